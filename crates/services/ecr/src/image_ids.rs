//! Image ids as callers write them, and the failures that batch operations answer with.

use oci::reference::is_tag;
use plan::image::{IdRefusal, ImageId};
use wire::types::ecr::{ImageFailure, ImageIdentifier};

/// What an `imageDigest` looks like (the model's pattern).
const DIGEST_PATTERN: &str = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+";
/// What an `imageTag` looks like (OCI distribution specification, "Pulling manifests").
const TAG_PATTERN: &str = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";

/// Why one entry of a batch failed; the others go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdFailure {
    #[error(transparent)]
    Refused(#[from] IdRefusal),
    #[error("Invalid request parameters: image digest should satisfy the regex '{DIGEST_PATTERN}'")]
    Digest,
    #[error("Invalid request parameters: image tag should satisfy the regex '{TAG_PATTERN}'")]
    Tag,
    #[error("Requested image not found: its manifest has type {0}, which acceptedMediaTypes does not name")]
    NotAccepted(String),
}

impl IdFailure {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::NotAccepted(_) => "ImageNotFound",
            Self::Digest => "InvalidImageDigest",
            Self::Tag => "InvalidImageTag",
        }
    }

    /// The entry of `failures`.
    pub fn shown(&self, id: &ImageIdentifier) -> ImageFailure {
        ImageFailure {
            image_id: Some(id.clone()),
            failure_code: Some(self.code().to_owned()),
            failure_reason: Some(self.to_string()),
        }
    }
}

/// The id in this room's terms, once it is known to be well formed.
pub fn read(id: &ImageIdentifier) -> Result<ImageId, IdFailure> {
    if id.image_digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
        return Err(IdFailure::Digest);
    }
    if id.image_tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
        return Err(IdFailure::Tag);
    }
    Ok(ImageId { digest: id.image_digest.clone(), tag: id.image_tag.clone() })
}

pub fn identifier(digest: &str, tag: Option<&str>) -> ImageIdentifier {
    ImageIdentifier { image_digest: Some(digest.to_owned()), image_tag: tag.map(str::to_owned) }
}

/// True for any `algorithm:hex`, whether or not we know the algorithm.
pub fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let in_algorithm = |b: u8| b.is_ascii_alphanumeric() || b"-_+.".contains(&b);
    !algorithm.is_empty()
        && algorithm.bytes().all(in_algorithm)
        && !hex.is_empty()
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `{imageDigest:'…', imageTag:'…'}` with `null` for what is absent, as ECR's messages have it.
pub fn quoted(id: &ImageIdentifier) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    format!("{{imageDigest:'{}', imageTag:'{}'}}", part(&id.image_digest), part(&id.image_tag))
}
