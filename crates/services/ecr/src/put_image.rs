//! PutImage.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>

use crate::commit::Commits;
use crate::errors::{EcrError, from_blobs};
use crate::image_ids::identifier;
use crate::repositories::{find, registry, resource};
use auth::Check;
use base::ApiError;
use blobs::Kept;
use oci::manifest;
use oci::{Digest, reference::is_tag};
use plan::image::{Pushed, Refusal};
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
    let (read, _kept) = match read(commits.input()) {
        Ok((digest, pushed)) => keep(commits.flow(), commits.input(), &digest, pushed).await?,
        refused => (refused.map(|(_, pushed)| pushed), None),
    };
    commits.commit(move |tx, input, cx| put(tx, input, cx, read?)).await
}

/// Bytes before row. What is refused after this is collected as garbage.
async fn keep(
    flow: &Flow,
    input: &PutImageRequest,
    digest: &Digest,
    pushed: Pushed,
) -> Result<(Result<Pushed, EcrError>, Option<Kept>), ApiError> {
    let blobs = flow.requests.blobs();
    let caller = &flow.cx.caller;
    let stored = {
        let view = flow.requests.view();
        match find(&view, input.registry_id.as_deref(), &input.repository_name, caller) {
            Ok(repository) => plan::image::stored(&view, repository, &pushed),
            Err(error) => return Ok((Err(error), None)),
        }
    };
    if let Some(lost) = blobs.missing(stored).await.map_err(|error| from_blobs(&error))? {
        let account = registry(input.registry_id.as_deref(), caller);
        return Ok((Err(Refusal::layer_lost(lost.as_str(), &input.repository_name, account).into()), None));
    }
    let kept = blobs.put_bytes(digest, input.image_manifest.as_bytes()).await;
    Ok((Ok(pushed), Some(kept.map_err(|error| from_blobs(&error))?)))
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
    let pushed = Pushed::new(&manifest, &digest, bytes.len(), input.image_tag.clone());
    Ok((digest, pushed))
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
