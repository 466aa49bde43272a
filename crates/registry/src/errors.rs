//! Every error of this room, with its code, status and text.
//!
//! Codes are those of the OCI distribution specification, chosen and worded as Amazon ECR does. It has none for a
//! download's range that cannot be served; RANGE_INVALID is what its reference implementation says of ranges.

use crate::body::{self, Body};
use auth::TokenError;
use base::ApiError;
use blobs::BlobError;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{Response, StatusCode};
use oci::DigestError;
use plan::image::{IdRefusal, Refusal};
use plan::upload::UploadRefusal;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("no basic auth credentials: log in as AWS with the password of 'aws ecr get-login-password'")]
    NoCredentials,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("'{0}' is not an address of this registry")]
    Path(String),
    #[error("{0} is not supported here")]
    Method(String),
    #[error("'{0}' is not a repository name: use lower-case letters and digits with single separators")]
    Name(String),
    #[error("'{0}' is not a tag: use letters, digits, '_', '.' and '-', not first '.' or '-', 128 at most")]
    Tag(String),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error("the upload names no digest: add ?digest=sha256:… to its address")]
    NoDigest,
    #[error("'{0}' is not a number of results: use 0 or more")]
    PageSize(String),
    #[error(
        "The layer with digest '{digest}' does not exist within the repository with name '{name}' in the registry with id '{account}'"
    )]
    BlobUnknown { digest: String, name: String, account: String },
    #[error("the bytes of manifest {0} are lost or damaged: push the image again")]
    ManifestLost(String),
    #[error("the range is outside the blob's {size} bytes")]
    BlobRange { size: u64 },
    #[error("The upload with id '{0}' does not exist")]
    UploadUnknown(String),
    #[error("the chunk begins elsewhere than at byte {received}, the next to be sent")]
    UploadRange { location: String, received: u64 },
    #[error("'{text}' is not the place of a chunk: write Content-Range as first-last, both inclusive")]
    ContentRange { text: String, location: String, received: u64 },
    #[error("the chunk has {actual} bytes, but Content-Range says {stated}")]
    Size { stated: u64, actual: u64 },
    #[error(transparent)]
    ManifestInvalid(Refusal),
    #[error("the manifest has more than {0} bytes, the most that is allowed")]
    ManifestTooLarge(usize),
    #[error("the request's body broke off")]
    BrokenOff,
    #[error(transparent)]
    Blobs(BlobError),
    /// Of a transaction, with a code of ECR's API.
    #[error("{}", .0.message)]
    Api(#[from] ApiError),
}

impl From<Refusal> for RegistryError {
    fn from(refusal: Refusal) -> Self {
        Self::Api(refusal.into())
    }
}

impl From<UploadRefusal> for RegistryError {
    fn from(refusal: UploadRefusal) -> Self {
        Self::Api(refusal.into())
    }
}

impl From<IdRefusal> for RegistryError {
    fn from(refusal: IdRefusal) -> Self {
        Self::Api(ApiError::client(refusal.code(), refusal.to_string()))
    }
}

impl From<BlobError> for RegistryError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::UploadNotFound(id) | BlobError::UploadId(id) => Self::UploadUnknown(id),
            BlobError::Source(_) => Self::BrokenOff,
            error => Self::Blobs(error),
        }
    }
}

impl RegistryError {
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    pub fn status(&self) -> StatusCode {
        self.kind().0
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoCredentials | Self::Token(TokenError::Invalid) => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Token(TokenError::Expired) => (StatusCode::FORBIDDEN, "DENIED"),
            Self::Path(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Name(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::Tag(_) => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
            Self::Digest(_) | Self::NoDigest => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::PageSize(_) => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::BlobUnknown { .. } => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::ManifestLost(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::BlobRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID"),
            Self::UploadUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::UploadRange { .. } | Self::ContentRange { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
            }
            Self::Size { .. } => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ManifestTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::BrokenOff => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::Blobs(error) => of_blobs(error),
            Self::Api(error) => of_api(error),
        }
    }

    pub fn response(&self) -> Response<Body> {
        let errors = serde_json::json!({"errors": [{"code": self.code(), "message": self.message()}]});
        let mut response = body::json(self.status(), &errors);
        let headers = response.headers_mut();
        match self {
            Self::BlobRange { size } => crate::set(headers, CONTENT_RANGE, &format!("bytes */{size}")),
            Self::UploadRange { location, received } | Self::ContentRange { location, received, .. } => {
                crate::set(headers, LOCATION, location);
                crate::set(headers, RANGE, &format!("0-{}", received.saturating_sub(1)));
            }
            _ => {}
        }
        response
    }

    /// The text for the client: without our paths.
    fn message(&self) -> String {
        match self {
            Self::Blobs(BlobError::Io { source, .. }) => source.to_string(),
            Self::Blobs(BlobError::NoRoom(why)) => {
                format!("the registry's disk has no room for it: {why}; free some, then push again")
            }
            error => error.to_string(),
        }
    }
}

fn of_blobs(error: &BlobError) -> (StatusCode, &'static str) {
    match error {
        BlobError::UploadBusy(_) => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
        BlobError::DigestMismatch { .. } | BlobError::UnsupportedDigest(_) => {
            (StatusCode::BAD_REQUEST, "DIGEST_INVALID")
        }
        BlobError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
        // The specification has no code for it; this is the reference implementation's for what may pass. Of an
        // answer from 500 on Docker shows the status alone, and this one says what is wrong.
        BlobError::NoRoom(_) => (StatusCode::INSUFFICIENT_STORAGE, "UNAVAILABLE"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
    }
}

fn of_api(error: &ApiError) -> (StatusCode, &'static str) {
    match error.code.as_ref() {
        "AccessDeniedException" => (StatusCode::FORBIDDEN, "DENIED"),
        "ImageReferencedByManifestList" | "LimitExceededException" => (StatusCode::FORBIDDEN, "DENIED"),
        "RepositoryNotFoundException" => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
        "ImageNotFound" => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        "UploadNotFoundException" => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
        "ImageTagAlreadyExistsException" => (StatusCode::BAD_REQUEST, "TAG_INVALID"),
        "EmptyUploadException" => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
        "InvalidLayerException" | "ImageDigestDoesNotMatchException" => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
        "LayersNotFoundException" | "ReferencedImagesNotFoundException" => {
            (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN")
        }
        // What ECR answers to a manifest that it cannot take; clients then try another format.
        "InvalidParameterException" => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
        "ServiceUnavailable" => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
    }
}
