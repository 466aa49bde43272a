//! HTTP requests to canonical documents, and documents and errors to HTTP answers.
//!
//! A canonical document is a JSON object with the model's member names, the same for every
//! protocol: blobs are base64 texts, timestamps are epoch seconds, absent members are absent
//! (never null). The order of use is [`identify`], [`decode`], [`validate`], then the operation,
//! then [`encode`] or [`encode_error`].

mod constraint;
mod identify;
mod redact;
mod validate;

pub use identify::{IdentifyError, identify, spoken};
pub use redact::redact;
pub use validate::validate;

use crate::model::{Operation, Protocol, Service};
use crate::protocol::{json, query};
use base::{ApiError, Fault};
use http::request::Parts;
use serde_json::Value;

/// An HTTP answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// How to speak to a caller: a service's protocol, only a protocol where no service is known, or neither.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialect {
    pub protocol: Option<Protocol>,
    pub service: Option<&'static Service>,
}

impl From<&'static Service> for Dialect {
    fn from(service: &'static Service) -> Self {
        Self { protocol: Some(service.protocol), service: Some(service) }
    }
}

impl From<Protocol> for Dialect {
    fn from(protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), service: None }
    }
}

/// Reads a request's document.
///
/// Members that the model does not know are dropped, as AWS drops them: newer clients send
/// members that older services lack. Null members are absent. Values of a wrong type stay as
/// they are, for [`validate`] to refuse.
pub fn decode(service: &'static Service, operation: &Operation, head: &Parts, body: &[u8]) -> Result<Value, ApiError> {
    match service.protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => json::decode(service, operation, body),
        Protocol::AwsQuery => query::decode(service, operation, head, body),
        other => Err(unsupported(other)),
    }
}

/// The answer to a request that succeeded, with its document.
pub fn encode(service: &'static Service, operation: &Operation, output: &Value, request_id: &str) -> Encoded {
    match service.protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => json::encode(service, operation, output, request_id),
        Protocol::AwsQuery => query::encode(service, operation, output, request_id),
        other => json::encode_error(Protocol::AwsJson11, STATUS_NOT_IMPLEMENTED, &unsupported(other), request_id),
    }
}

/// The answer to a request that failed.
///
/// The status is the error's own, else the model's for its code, else 400 or 500 by its fault.
pub fn encode_error(dialect: impl Into<Dialect>, error: &ApiError, request_id: &str) -> Encoded {
    let dialect = dialect.into();
    let status = status(dialect.service, error);
    match dialect.protocol {
        None => query::encode_bare_error(status, error, request_id),
        Some(Protocol::AwsQuery) => query::encode_error(dialect.service, status, error, request_id),
        Some(protocol) => json::encode_error(protocol, status, error, request_id),
    }
}

const STATUS_NOT_IMPLEMENTED: u16 = 501;

fn status(service: Option<&'static Service>, error: &ApiError) -> u16 {
    let modelled = || service?.error(&error.code).map(|shape| shape.status);
    error.status.or_else(modelled).unwrap_or(match error.fault {
        Fault::Sender => 400,
        Fault::Receiver => 500,
    })
}

fn unsupported(protocol: Protocol) -> ApiError {
    let text =
        format!("The protocol {protocol:?} is not supported yet; ask for a service that speaks awsJson or awsQuery.");
    ApiError::server("UnsupportedProtocol", text).with_status(STATUS_NOT_IMPLEMENTED)
}

#[cfg(test)]
mod tests;
