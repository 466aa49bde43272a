//! PutImage.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>

use crate::commit::Commits;
use crate::errors::{EcrError, from_blobs};
use crate::image_ids::identifier;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use oci::manifest::{self, Manifest};
use oci::{Descriptor, Digest, reference::is_tag};
use plan::image::Pushed;
use request::{Caller, Checks, Cx, Flow};
use state::{IMAGE_TAGS, IMAGES};
use store::{Tx, View};
use wire::types::ecr::{Image, PutImageRequest, PutImageResponse};

pub fn checks(_view: &View, input: &PutImageRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:PutImage", resource)])
}

pub async fn run(flow: Flow, input: PutImageRequest) -> Result<PutImageResponse, ApiError> {
    let commits = Commits::new(flow, input, checks);
    let read = read(commits.input());
    if let Ok((digest, _)) = &read {
        // Bytes before row. What is refused after this is collected as garbage.
        let bytes = commits.input().image_manifest.as_bytes();
        commits.flow().requests.blobs().put_bytes(digest, bytes).await.map_err(|error| from_blobs(&error))?;
    }
    commits.commit(move |tx, input, cx| put(tx, input, cx, read?.1)).await
}

/// The manifest with its digest, once it is known to be one.
fn read(input: &PutImageRequest) -> Result<(Digest, Pushed), EcrError> {
    let bytes = input.image_manifest.as_bytes();
    let parsed = manifest::parse(bytes, input.image_manifest_media_type.as_deref());
    let manifest = parsed.map_err(|error| EcrError::parameter("ImageManifest", error.to_string()))?;
    let digest = Digest::of(bytes);
    if let Some(expected) = input.image_digest.as_ref().filter(|expected| **expected != digest.as_str()) {
        return Err(EcrError::DigestDoesNotMatch { expected: expected.clone(), actual: digest.to_string() });
    }
    if input.image_tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        let reason = "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'";
        return Err(EcrError::parameter("imageTag", reason));
    }
    let pushed = pushed(&manifest, &digest, bytes.len() as u64, input.image_tag.clone());
    Ok((digest, pushed))
}

fn pushed(manifest: &Manifest, digest: &Digest, manifest_bytes: u64, tag: Option<String>) -> Pushed {
    let text = |descriptor: &Descriptor| descriptor.digest.to_string();
    Pushed {
        digest: digest.to_string(),
        media_type: manifest.media_type().to_owned(),
        artifact_type: manifest.artifact_type().map(str::to_owned),
        subject: manifest.subject().map(text),
        content_bytes: manifest.content_bytes(),
        manifest_bytes,
        children: manifest.children().iter().map(text).collect(),
        blobs: manifest.blobs().map(text).collect(),
        tag,
    }
}

fn put(tx: &mut Tx, input: &PutImageRequest, cx: &mut Cx, pushed: Pushed) -> Result<PutImageResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
    let (digest, media_type) = (pushed.digest.clone(), pushed.media_type.clone());
    let push = plan::image::push(tx, &repository, pushed, cx.now)?;
    let tag = input.image_tag.as_deref();
    if push.is_repeat() {
        let tagged = tag.map(|tag| format!(" and tag '{tag}'")).unwrap_or_default();
        let image = format!("digest '{digest}'{tagged}");
        return Err(EcrError::ImageExists { image, name: repository.name, account: repository.account }.into());
    }
    if let Some(image) = push.image {
        tx.put(IMAGES, image);
    }
    if let Some(tag) = push.tag {
        tx.put(IMAGE_TAGS, tag);
    }
    let image = Image {
        registry_id: Some(repository.account),
        repository_name: Some(repository.name),
        image_id: Some(identifier(&digest, tag)),
        image_manifest: Some(input.image_manifest.clone()),
        image_manifest_media_type: Some(media_type),
    };
    Ok(PutImageResponse { image: Some(image) })
}
