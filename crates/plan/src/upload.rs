//! Uploads of layers: the rows that they begin and end with, and why one is refused.
//!
//! Texts are the ones that Amazon ECR answers, shared by its JSON API and by the registry's HTTP API.

use crate::image::within;
use base::{ApiError, Timestamp};
use state::{LAYERS, Layer, Repository, UPLOADS, Upload};
use store::View;

/// Bytes of a part, as InitiateLayerUpload tells them and at most (Amazon ECR service quotas, "Maximum
/// layer part size"). Over HTTP a chunk may have any size.
pub const PART_BYTES: u64 = 10 * 1024 * 1024;
/// Bytes of a part that is not the last (API reference, CompleteLayerUpload).
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadRefusal {
    #[error(
        "The upload with id '{id}' in the repository with name '{name}' in registry with id '{account}' does not exist"
    )]
    NotFound { id: String, name: String, account: String },
    #[error(
        "The upload with id '{id}' in the repository with name '{name}' in registry with id '{account}' cannot be completed because it does not have any parts"
    )]
    Empty { id: String, name: String, account: String },
    #[error("All layer parts except the last part should be at least 5MB")]
    PartTooSmall,
    #[error(
        "The layer part of the upload with id '{id}' is invalid: {reason}. Bytes 0 to {received} were received before it"
    )]
    InvalidPart { id: String, name: String, account: String, reason: String, received: u64 },
    #[error(
        "The layer with digest '{digest}' already exists in the repository with name '{name}' in registry with id '{account}'"
    )]
    LayerExists { digest: String, name: String, account: String },
    /// With what the content's digest is.
    #[error("{0}")]
    InvalidLayer(String),
}

impl UploadRefusal {
    pub fn not_found(repository: &Repository, id: &str) -> Self {
        let (id, name, account) = (id.to_owned(), repository.name.clone(), repository.account.clone());
        Self::NotFound { id, name, account }
    }

    pub fn empty(repository: &Repository, id: &str) -> Self {
        let (id, name, account) = (id.to_owned(), repository.name.clone(), repository.account.clone());
        Self::Empty { id, name, account }
    }

    /// `received` is how many bytes came before the part.
    pub fn invalid_part(repository: &Repository, id: &str, reason: String, received: u64) -> Self {
        let (id, name, account) = (id.to_owned(), repository.name.clone(), repository.account.clone());
        Self::InvalidPart { id, name, account, reason, received }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "UploadNotFoundException",
            Self::Empty { .. } => "EmptyUploadException",
            Self::PartTooSmall => "LayerPartTooSmallException",
            Self::InvalidPart { .. } => "InvalidLayerPartException",
            Self::LayerExists { .. } => "LayerAlreadyExistsException",
            Self::InvalidLayer(_) => "InvalidLayerException",
        }
    }
}

impl From<UploadRefusal> for ApiError {
    fn from(refusal: UploadRefusal) -> Self {
        let error = Self::client(refusal.code(), refusal.to_string());
        match refusal {
            UploadRefusal::InvalidPart { id, name, account, received, .. } => error
                .with_field("registryId", account)
                .with_field("repositoryName", name)
                .with_field("uploadId", id)
                .with_field("lastValidByteReceived", received.saturating_sub(1)),
            _ => error,
        }
    }
}

/// The row of an upload that begins.
pub fn begin(repository: &Repository, id: String, now: Timestamp) -> Upload {
    Upload {
        account: repository.account.clone(),
        region: repository.region.clone(),
        repository: repository.name.clone(),
        id,
        created_at: now,
        short_part_end: None,
    }
}

pub fn find<'a>(view: &'a View, repository: &Repository, id: &str) -> Result<&'a Upload, UploadRefusal> {
    let row = view.get(UPLOADS, &within(repository).push(id));
    row.ok_or_else(|| UploadRefusal::not_found(repository, id))
}

/// True when an upload of `size` bytes has a part too short for its place: one that others followed.
pub fn has_short_part(upload: &Upload, size: u64) -> bool {
    upload.short_part_end.is_some_and(|end| end < size)
}

/// The row that gives a blob to a repository; `None` where it has it.
pub fn layer(view: &View, repository: &Repository, digest: &str, size: u64, now: Timestamp) -> Option<Layer> {
    let known = view.get(LAYERS, &within(repository).push(digest)).is_some();
    (!known).then(|| Layer {
        account: repository.account.clone(),
        region: repository.region.clone(),
        repository: repository.name.clone(),
        digest: digest.to_owned(),
        size,
        uploaded_at: now,
    })
}
