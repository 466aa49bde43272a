use crate::digest::{Digest, DigestError};
use crate::text::name;
use std::io;
use std::path::{Path, PathBuf};

/// Why a layer was not unpacked. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("'{}' is not the media type of a layer: only tar, tar+gzip and tar+zstd layers can be unpacked", name(.0.as_bytes()))]
    MediaType(String),
    #[error("layer is announced as '{media_type}' but is {found}: rebuild the image with matching media types")]
    Encoding { media_type: String, found: &'static str },
    #[error("layer does not have the {expected} bytes that its manifest says: pull it again")]
    Size { expected: u64 },
    #[error("layer has digest {actual}, not {expected}: pull it again")]
    Digest { expected: Digest, actual: Digest },
    #[error("layer's content has digest {actual}, but the image config says {expected}: rebuild the image")]
    DiffId { expected: Digest, actual: Digest },
    #[error(transparent)]
    UnsupportedDigest(#[from] DigestError),
    #[error("layer has more than {limit} entries, the most that is allowed: split it")]
    TooManyEntries { limit: u64 },
    #[error("layer has more than {limit} bytes uncompressed, the most that is allowed for its size: split it")]
    TooLarge { limit: u64 },
    #[error(
        "layer has no room: the node's disk has {} MiB free, and keeps {} MiB for the node itself (--disk-high-water): \
         free some", free >> 20, reserve >> 20
    )]
    DiskFull { free: u64, reserve: u64 },
    #[error("layer is not a valid tar stream: {0}")]
    Malformed(String),
    /// An entry that could do harm, or that we do not support.
    #[error("layer entry '{path}' is refused: {why}")]
    Refused { path: String, why: &'static str },
    #[error("{} exists already: use it, or remove it first", .0.display())]
    Exists(PathBuf),
    #[error("layer cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl UnpackError {
    pub(super) fn refused(path: &[u8], why: &'static str) -> Self {
        Self::Refused { path: name(path), why }
    }

    /// What was found wrong on the way to an entry is said of the entry.
    pub(super) fn about(self, path: &[u8]) -> Self {
        match self {
            Self::Refused { why, .. } => Self::refused(path, why),
            other => other,
        }
    }

    /// For `map_err` on reads: our own errors come out as they went in.
    pub(super) fn from_read(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::Read(error),
        }
    }
}

/// For `map_err`: an I/O error with the path that it is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
    move |source| UnpackError::Io { path: path.display().to_string(), source }
}
