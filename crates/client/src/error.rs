//! Why a call did not give its document.

use serde_json::Value;
use std::error::Error;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service said no; `code` is without namespace.
    #[error("{code} ({status}): {message}")]
    Service { code: String, message: String, status: u16 },
    /// No connection, or one that broke: whether the call was carried out is not known.
    #[error("the endpoint cannot be reached: {0}; check that it runs, then call again")]
    Transport(String),
    #[error("the answer is not understood: {0}; check that the endpoint is an AWS service's")]
    Document(String),
    #[error("'{0}' is not an endpoint: write http://host:port or https://host:port")]
    Endpoint(String),
    #[error("there is no operation {0} in the models; check its spelling")]
    UnknownOperation(String),
    #[error("service {0} does not speak AWS JSON, which alone is spoken here; use the AWS CLI for it")]
    Protocol(&'static str),
    #[error("the value of header {0} cannot be sent; leave out control characters")]
    Header(&'static str),
    #[error(transparent)]
    Sign(#[from] wire::sigv4::SignError),
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Error codes that ask the caller to slow down (AWS SDKs, "Retry behavior").
const THROTTLING: [&str; 5] = [
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
];

impl CallError {
    /// The service's error code, if it was the service that refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            _ => None,
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Document(_) => true,
            Self::Service { code, status, .. } => {
                // 501 is the answer of an operation that does not exist there.
                (*status >= 500 && *status != 501) || *status == 429 || THROTTLING.contains(&code.as_str())
            }
            _ => false,
        }
    }

    pub(crate) fn transport(error: reqwest::Error) -> Self {
        Self::Transport(chain(&error.without_url()))
    }

    /// AWS JSON errors: the code is in `__type`, or else a header, with or without a namespace before `#` and a URL
    /// after `:`; the message is in `message` or `Message`.
    pub(crate) fn refused(status: u16, header: Option<&str>, body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let code = text("__type").or(header).unwrap_or("Unknown");
        let code = code.rsplit('#').next().unwrap_or(code);
        let code = code.split(':').next().unwrap_or(code).to_owned();
        let message = text("message").or(text("Message")).unwrap_or("no reason given").to_owned();
        Self::Service { code, message, status }
    }
}

/// An error with its causes, which reqwest leaves out of its own text.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
