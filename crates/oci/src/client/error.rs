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
    #[error("{what} not found{}", more(message))]
    NotFound { what: String, message: String },
    /// 401: no credentials, or wrong ones.
    #[error("registry {host} wants valid credentials: {message}")]
    Unauthorized { host: String, message: String },
    /// 403: known, but not allowed; or the credentials have expired.
    #[error("denied by the registry: {0}")]
    Denied(String),
    /// 429.
    #[error("registry {host} limits requests, try again later: {message}")]
    TooManyRequests { host: String, message: String },
    /// Any other status than the expected ones; `code` is of the distribution specification, or empty.
    #[error("registry {host} answered {status}{}: {message}", coded(code))]
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
    /// It took longer than [`super::READ_TIMEOUT`], or what the transport has in its place.
    #[error("registry {host} went silent: {why}")]
    Silent { host: String, why: String },
    /// It sends requests to where they cannot go.
    #[error("registry {host} redirects requests in vain: {why}")]
    Redirect { host: String, why: String },
    /// The other side's certificate is not trusted, or it does not speak TLS.
    #[error("TLS with registry {host} failed: {why}; trust its certificate authority, or correct its address")]
    Handshake { host: String, why: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// A code with the blank before it, if there is one.
fn coded(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" {code}") }
}

/// What a 404 says beyond that, with a colon before it; nothing for the bare status, as HEAD has it.
fn more(message: &str) -> String {
    if message.is_empty() || message.eq_ignore_ascii_case("not found") { String::new() } else { format!(": {message}") }
}

impl ClientError {
    /// The URL is left out: an upload's may bear a secret.
    pub(super) fn network(host: &str, error: reqwest::Error) -> Self {
        let (host, silent) = (host.to_owned(), error.is_timeout() && !error.is_connect());
        let error = error.without_url();
        if let Some(why) = error.is_redirect().then(|| error.source()).flatten() {
            return Self::Redirect { host, why: chain(why) };
        }
        let why = chain(&error);
        match silent {
            true => Self::Silent { host, why },
            false if is_tls(&error) => Self::Handshake { host, why },
            false => Self::Network { host, why },
        }
    }

    /// Whether the same request may do better in a while.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyRequests { .. } | Self::Network { .. } | Self::Silent { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }
}

/// True where TLS itself is the cause; I/O errors do not show what they wrap as their source.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}

/// An error with its causes, which reqwest leaves out of its own text.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
