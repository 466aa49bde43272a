//! Which operation a request asks for, before anything is known of its caller.

use super::{Dialect, Encoded, encode_error};
use crate::model::{Operation, Protocol, Service};
use crate::protocol::query;
use crate::{services, sigv4};
use base::ApiError;
use http::request::Parts;

/// A request that names no operation here, and how to say so to its caller.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct IdentifyError {
    pub dialect: Dialect,
    pub error: ApiError,
}

impl IdentifyError {
    fn new(dialect: impl Into<Dialect>, code: &'static str, text: String) -> Self {
        Self { dialect: dialect.into(), error: ApiError::client(code, text) }
    }

    /// The answer, in the protocol that the request seems to speak.
    pub fn encode(&self, request_id: &str) -> Encoded {
        encode_error(self.dialect, &self.error, request_id)
    }
}

/// Finds the operation: by `X-Amz-Target` in awsJson, by `Action` and `Version` in awsQuery.
pub fn identify(head: &Parts, body: &[u8]) -> Result<(&'static Service, &'static Operation), IdentifyError> {
    if let Some(target) = head.headers.get("x-amz-target") {
        return by_target(head, &String::from_utf8_lossy(target.as_bytes()));
    }
    let body = if content_type(head).starts_with("application/x-www-form-urlencoded") { body } else { &[] };
    match query::parameter(head, body, "Action") {
        Some(action) => by_action(head, body, &action),
        None => Err(IdentifyError::new(
            Protocol::AwsQuery,
            "MissingAction",
            "The request names no operation: send the header X-Amz-Target or the parameter Action.".to_owned(),
        )),
    }
}

fn content_type(head: &Parts) -> &str {
    head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn by_target(head: &Parts, target: &str) -> Result<(&'static Service, &'static Operation), IdentifyError> {
    let (prefix, name) = target.rsplit_once('.').unwrap_or((target, ""));
    let service = services().iter().copied().find(|service| service.target_prefix == Some(prefix));
    if let Some((service, operation)) = service.and_then(|service| Some((service, service.operation(name)?))) {
        return Ok((service, operation));
    }
    let spoken = if content_type(head).contains("json-1.0") { Protocol::AwsJson10 } else { Protocol::AwsJson11 };
    let dialect = service.map_or(spoken.into(), Dialect::from);
    Err(IdentifyError::new(dialect, "UnknownOperationException", format!("No operation is known as {target}.")))
}

fn by_action(head: &Parts, body: &[u8], action: &str) -> Result<(&'static Service, &'static Operation), IdentifyError> {
    let version = query::parameter(head, body, "Version");
    let scope = sigv4::scope_service(head);
    let named = |service: &&Service| {
        service.protocol == Protocol::AwsQuery
            && version.as_ref().is_none_or(|version| service.api_version == version)
            && scope.as_ref().is_none_or(|scope| service.signing_name == scope)
    };
    let candidates: Vec<&'static Service> = services().iter().copied().filter(named).collect();
    if let Some(found) = candidates.iter().find_map(|service| Some((*service, service.operation(action)?))) {
        return Ok(found);
    }
    let dialect = candidates.first().map_or(Protocol::AwsQuery.into(), |service| Dialect::from(*service));
    let version = version.as_deref().unwrap_or("NO_VERSION_SPECIFIED");
    let text = format!("Could not find operation {action} for version {version}");
    Err(IdentifyError::new(dialect, "InvalidAction", text))
}
