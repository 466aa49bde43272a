use crate::digest::{Digest, DigestError};
use crate::reference::ReferenceError;
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("'{0}' is not a registry's address: expected host or host:port")]
    Endpoint(String),
    /// 404: the repository, manifest, blob or upload is not there.
    #[error("{what} not found: {message}")]
    NotFound { what: String, message: String },
    /// 401: no credentials, or wrong ones.
    #[error("registry {host} wants valid credentials: {message}")]
    Unauthorized { host: String, message: String },
    #[error(
        "registry {host} wants a Bearer token, which is not supported yet: use a registry with Basic authentication"
    )]
    BearerChallenge { host: String },
    /// 403: known, but not allowed; or the credentials have expired.
    #[error("denied by the registry: {0}")]
    Denied(String),
    /// 429.
    #[error("registry {host} limits requests, try again later: {message}")]
    TooManyRequests { host: String, message: String },
    /// Any other status than the expected ones; `code` is of the distribution specification, or empty.
    #[error("registry {host} answered {status} {code}: {message}")]
    Refused { host: String, status: u16, code: String, message: String },
    #[error("content has digest {actual}, not {expected}: what the registry sends cannot be trusted")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("blob {digest} does not have the {expected} bytes that its manifest says")]
    SizeMismatch { digest: Digest, expected: u64 },
    #[error("content has more than {limit} bytes, the most that is read here")]
    TooLarge { limit: u64 },
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The answer breaks the distribution specification.
    #[error("registry {host} gave an answer that makes no sense: {why}")]
    Response { host: String, why: String },
    /// No connection, or one that broke.
    #[error("registry {host} cannot be reached: {why}")]
    Network { host: String, why: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl ClientError {
    /// The URL is left out: an upload's may bear a secret.
    pub(super) fn network(host: &str, error: reqwest::Error) -> Self {
        Self::Network { host: host.to_owned(), why: chain(&error.without_url()) }
    }
}

/// An error with its causes, which reqwest leaves out of its own text.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
