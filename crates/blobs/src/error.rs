use oci::Digest;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a blob or an upload.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("upload '{0}' does not exist: start a new one")]
    UploadNotFound(String),
    #[error("upload '{0}' exists already: resume it, or start one with another id")]
    UploadExists(String),
    #[error("upload '{0}' is in use by another request: wait for that one to end")]
    UploadBusy(String),
    #[error("'{0}' is not an upload id: use 1 to 64 letters, digits and '-'")]
    UploadId(String),
    #[error("content has digest {actual}, but {expected} was announced: upload it again")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("blobs are kept by sha256 only, not as {0}: push with sha256")]
    UnsupportedDigest(Digest),
    #[error("content has more than {limit} bytes, the most that is allowed here")]
    TooLarge { limit: u64 },
    #[error("blob {0} is damaged and was set aside: push it again")]
    Damaged(Digest),
    #[error("range {start}..{end} is outside the blob's {size} bytes")]
    RangeNotSatisfiable { start: u64, end: u64, size: u64 },
    /// The stream that an upload reads from ended with an error.
    #[error("upload broke off: {0}")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// Refused by the disk, or by us ([`Short`](crate::Short)) before it came to that.
    #[error("the disk has no room for it: {0}; free some, then send it again")]
    NoRoom(#[source] io::Error),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl BlobError {
    /// For `map_err`: an I/O error with the path that it is about, unless the path is all the same to it.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match base::is_disk_full(&source) {
            true => Self::NoRoom(source),
            false => Self::Io { path: path.to_owned(), source },
        }
    }
}
