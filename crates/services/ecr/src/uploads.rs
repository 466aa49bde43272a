//! An upload's bytes, for the operations that add to them or end them.

use crate::errors::from_blobs;
use base::ApiError;
use blobs::{BlobError, Staged};
use plan::upload::UploadRefusal;
use request::Flow;
use state::Repository;

/// The staged bytes of an upload whose row is there.
pub async fn resume(flow: &Flow, repository: &Repository, id: &str) -> Result<Staged, ApiError> {
    flow.requests.blobs().resume(id).await.map_err(|error| match error {
        BlobError::UploadNotFound(_) | BlobError::UploadId(_) => UploadRefusal::not_found(repository, id).into(),
        error => from_blobs(&error),
    })
}
