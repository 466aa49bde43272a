//! BatchGetImage: manifests as they were pushed, byte for byte.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html>

use crate::errors::{EcrError, from_blobs};
use crate::image_ids::{self, IdFailure, identifier};
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use oci::Digest;
use oci::manifest::MANIFEST_BYTES_MAX;
use plan::image::pull_is_recorded;
use request::{Caller, Checks, Flow, Requests};
use state::{IMAGES, Image, Repository};
use store::{Key, Table, Tx, View};
use wire::types::ecr::{BatchGetImageRequest, BatchGetImageResponse, Image as Shown, ImageFailure, ImageIdentifier};

/// Bytes of manifests in one answer. Ours: eight of the largest, a thousand times as many usual ones.
const ANSWER_BYTES_MAX: u64 = 8 * MANIFEST_BYTES_MAX as u64;

pub fn checks(_view: &View, input: &BatchGetImageRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:BatchGetImage", resource)])
}

/// The rows that a batch finds, and what it does not.
struct Found {
    images: Vec<(ImageIdentifier, Image)>,
    failures: Vec<ImageFailure>,
}

pub async fn run(flow: Flow, input: BatchGetImageRequest) -> Result<BatchGetImageResponse, ApiError> {
    let Found { images, failures } = find_all(&flow.requests.view(), &input, &flow.cx.caller)?;
    if images.iter().map(|(_, image)| image.manifest_size).sum::<u64>() > ANSWER_BYTES_MAX {
        let reason = format!("manifests of more than {ANSWER_BYTES_MAX} bytes: ask for fewer images at once");
        return Err(EcrError::parameter("imageIds", reason).into());
    }
    record_pulls(&flow, &images).await;
    let mut shown = Vec::with_capacity(images.len());
    for (id, image) in images {
        let manifest = manifest(&flow.requests, &image).await?;
        shown.push(show(&id, image, manifest));
    }
    Ok(BatchGetImageResponse { images: Some(shown), failures: Some(failures) })
}

fn find_all(view: &View, input: &BatchGetImageRequest, caller: &Caller) -> Result<Found, EcrError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, caller)?;
    let accepted = input.accepted_media_types.as_deref().unwrap_or_default();
    let mut found = Found { images: Vec::new(), failures: Vec::new() };
    for id in &input.image_ids {
        match find_one(view, repository, id, accepted) {
            Ok(image) => found.images.push((id.clone(), image.clone())),
            Err(failure) => found.failures.push(failure.shown(id)),
        }
    }
    Ok(found)
}

/// Asked for by digest, an image is answered in whatever type it has.
fn find_one<'a>(
    view: &'a View,
    repository: &Repository,
    id: &ImageIdentifier,
    accepted: &[String],
) -> Result<&'a Image, IdFailure> {
    let image = plan::image::find(view, repository, &image_ids::read(id)?)?;
    if id.image_digest.is_none() && !accepted.is_empty() && !accepted.contains(&image.media_type) {
        return Err(IdFailure::NotAccepted(image.media_type.clone()));
    }
    Ok(image)
}

/// Writes down when the images were pulled, where that is due. The answer goes on without it.
async fn record_pulls(flow: &Flow, images: &[(ImageIdentifier, Image)]) {
    let now = flow.cx.now;
    let due = images.iter().map(|(_, image)| image).filter(|image| pull_is_recorded(image, now));
    let keys: Vec<Key> = due.map(<IMAGES as Table>::key).collect();
    if keys.is_empty() {
        return;
    }
    let record = move |tx: &mut Tx| {
        for key in &keys {
            tx.update(IMAGES, key, |image| image.last_pulled_at = Some(now));
        }
        Ok(())
    };
    if let Err(error) = flow.requests.transact(record).await {
        tracing::warn!(%error, "the times of pulls could not be recorded");
    }
}

async fn manifest(requests: &Requests, image: &Image) -> Result<String, ApiError> {
    let damaged =
        || ApiError::server("ServerException", format!("the manifest of image '{}' is damaged", image.digest));
    let digest: Digest = image.digest.parse().map_err(|_| damaged())?;
    let bytes = requests.blobs().get_bytes(&digest, MANIFEST_BYTES_MAX as u64).await;
    let bytes = bytes.map_err(|error| from_blobs(&error))?.ok_or_else(damaged)?;
    String::from_utf8(bytes.into()).map_err(|_| damaged())
}

fn show(id: &ImageIdentifier, image: Image, manifest: String) -> Shown {
    Shown {
        image_id: Some(identifier(&image.digest, id.image_tag.as_deref())),
        registry_id: Some(image.account),
        repository_name: Some(image.repository),
        image_manifest: Some(manifest),
        image_manifest_media_type: Some(image.media_type),
    }
}
