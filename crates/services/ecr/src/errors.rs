//! Every error of this service, with its code and text.

use base::{ApiError, SealError};
use blobs::BlobError;
use plan::image::Refusal;
use plan::upload::UploadRefusal;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EcrError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("The repository with name '{name}' already exists in the registry with id '{account}'")]
    RepositoryExists { name: String, account: String },
    #[error(
        "The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still contains images"
    )]
    RepositoryNotEmpty { name: String, account: String },
    #[error("The registry with id '{account}' has {max} repositories, the most that it can have: delete some first")]
    TooManyRepositories { account: String, max: usize },
    /// `id` is `{imageDigest:'…', imageTag:'…'}`.
    #[error(
        "The image with imageId {id} does not exist within the repository with name '{name}' in the registry with id '{account}'"
    )]
    ImageNotFound { id: String, name: String, account: String },
    /// `image` is `digest '…'`, and where there is one ` and tag '…'`.
    #[error("Image with {image} already exists in the repository with name '{name}' in registry with id '{account}'")]
    ImageExists { image: String, name: String, account: String },
    #[error("Image digest '{actual}' computed from the manifest does not match the imageDigest '{expected}'")]
    DigestDoesNotMatch { expected: String, actual: String },
    #[error("Invalid parameter at '{field}' failed to satisfy constraint: '{reason}'")]
    Parameter { field: &'static str, reason: String },
    #[error("{0}")]
    Tag(String),
    #[error("{given} tags are more than the {max} that a resource can have")]
    TooManyTags { given: usize, max: usize },
    #[error(
        "The layer with digest '{digest}' does not exist within the repository with name '{name}' in the registry with id '{account}'"
    )]
    LayerNotFound { digest: String, name: String, account: String },
    #[error(transparent)]
    Upload(#[from] UploadRefusal),
    #[error("Tokens and download addresses are made for an access key, and this caller has none: sign with one")]
    NoAccessKey,
}

impl EcrError {
    pub fn parameter(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Parameter { field, reason: reason.into() }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::LayerNotFound { .. } => "LayersNotFoundException",
            Self::Upload(refusal) => refusal.code(),
            Self::RepositoryExists { .. } => "RepositoryAlreadyExistsException",
            Self::RepositoryNotEmpty { .. } => "RepositoryNotEmptyException",
            Self::TooManyRepositories { .. } => "LimitExceededException",
            Self::ImageNotFound { .. } => "ImageNotFoundException",
            Self::ImageExists { .. } => "ImageAlreadyExistsException",
            Self::DigestDoesNotMatch { .. } => "ImageDigestDoesNotMatchException",
            Self::Parameter { .. } | Self::NoAccessKey => "InvalidParameterException",
            Self::Tag(_) => "InvalidTagParameterException",
            Self::TooManyTags { .. } => "TooManyTagsException",
        }
    }
}

impl From<EcrError> for ApiError {
    fn from(error: EcrError) -> Self {
        Self::client(error.code(), error.to_string())
    }
}

/// The blob store failed: its text has paths of ours, so it goes to the caller without them.
pub fn from_blobs(error: &BlobError) -> ApiError {
    ApiError::server("ServerException", format!("an image's bytes could not be read or kept: {}", told(error)))
}

fn told(error: &BlobError) -> String {
    match error {
        BlobError::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

pub fn from_seal(error: &SealError) -> ApiError {
    ApiError::server("ServerException", error.to_string())
}
