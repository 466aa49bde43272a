//! CompleteLayerUpload: the parts become a layer.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html>

use crate::commit::Commits;
use crate::errors::{EcrError, from_blobs};
use crate::repositories::{find, resource};
use crate::uploads::resume;
use auth::Check;
use base::ApiError;
use blobs::{BlobError, Kept, Staged};
use oci::Digest;
use plan::garbage::promised_until;
use plan::image::within;
use plan::upload::{self, UploadRefusal, has_short_part};
use request::{Caller, Checks, Cx, Flow};
use state::{LAYERS, Repository, UPLOADS, Upload};
use store::{Tx, View};
use wire::types::ecr::{CompleteLayerUploadRequest, CompleteLayerUploadResponse};

pub fn checks(_view: &View, input: &CompleteLayerUploadRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:CompleteLayerUpload", resource)])
}

pub async fn run(flow: Flow, input: CompleteLayerUploadRequest) -> Result<CompleteLayerUploadResponse, ApiError> {
    let digest = digest(&input.layer_digests)?;
    let commits = Commits::new(flow, input, checks);
    let kept = keep(commits.flow(), commits.input(), &digest).await?;
    let outcome = kept.as_ref().map(|kept| kept.size).map_err(Clone::clone);
    let layer = digest.clone();
    commits.commit(move |tx, input, cx| put(tx, input, cx, &layer, outcome?)).await
}

/// A layer here has one digest, of SHA-256; it may be given more than once.
fn digest(given: &[String]) -> Result<Digest, EcrError> {
    let refused = |reason: String| EcrError::parameter("layerDigests", reason);
    let first = given.first().ok_or_else(|| refused("needs the layer's digest".to_owned()))?;
    if let Some(other) = given.iter().find(|other| *other != first) {
        return Err(refused(format!("'{first}' and '{other}' differ: give the layer's one digest")));
    }
    first.parse().map_err(|error: oci::DigestError| refused(error.to_string()))
}

/// Bytes first: the layer in its place, or why it cannot be.
async fn keep(
    flow: &Flow,
    input: &CompleteLayerUploadRequest,
    digest: &Digest,
) -> Result<Result<Kept, UploadRefusal>, ApiError> {
    let (repository, upload) = {
        let view = flow.requests.view();
        let found = find(&view, input.registry_id.as_deref(), &input.repository_name, &flow.cx.caller)?;
        match upload::find(&view, found, &input.upload_id) {
            Ok(upload) => (found.clone(), upload.clone()),
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    let staged = resume(flow, &repository, &upload.id).await?;
    if let Some(refusal) = incomplete(&repository, &upload, &staged) {
        return Ok(Err(refusal));
    }
    match staged.finish(digest).await {
        Ok(kept) => {
            flow.requests.blobs().promise(digest, promised_until(flow.cx.now));
            let known = upload::layer(&flow.requests.view(), &repository, digest.as_str(), 0, flow.cx.now).is_none();
            if !known {
                return Ok(Ok(kept));
            }
            forget(flow, &repository, &upload).await?;
            let (digest, name, account) = (digest.to_string(), repository.name, repository.account);
            Ok(Err(UploadRefusal::LayerExists { digest, name, account }))
        }
        Err(error @ BlobError::DigestMismatch { .. }) => {
            // The content is gone, so its row goes too.
            forget(flow, &repository, &upload).await?;
            Ok(Err(UploadRefusal::InvalidLayer(error.to_string())))
        }
        Err(BlobError::UnsupportedDigest(digest)) => {
            Ok(Err(UploadRefusal::InvalidLayer(BlobError::UnsupportedDigest(digest).to_string())))
        }
        Err(error) => Err(from_blobs(&error)),
    }
}

fn incomplete(repository: &Repository, upload: &Upload, staged: &Staged) -> Option<UploadRefusal> {
    if staged.is_empty() {
        return Some(UploadRefusal::empty(repository, &upload.id));
    }
    has_short_part(upload, staged.len()).then_some(UploadRefusal::PartTooSmall)
}

async fn forget(flow: &Flow, repository: &Repository, upload: &Upload) -> Result<(), ApiError> {
    let key = within(repository).push(&upload.id);
    let delete = move |tx: &mut Tx| {
        tx.delete(UPLOADS, &key);
        Ok(())
    };
    flow.requests.transact(delete).await
}

fn put(
    tx: &mut Tx,
    input: &CompleteLayerUploadRequest,
    cx: &mut Cx,
    digest: &Digest,
    size: u64,
) -> Result<CompleteLayerUploadResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
    let id = &input.upload_id;
    tx.delete(UPLOADS, &within(&repository).push(id)).ok_or_else(|| UploadRefusal::not_found(&repository, id))?;
    if let Some(layer) = upload::layer(tx, &repository, digest.as_str(), size, cx.now) {
        tx.put(LAYERS, layer);
    }
    Ok(CompleteLayerUploadResponse {
        registry_id: Some(repository.account),
        repository_name: Some(repository.name),
        upload_id: Some(id.clone()),
        layer_digest: Some(digest.to_string()),
    })
}
