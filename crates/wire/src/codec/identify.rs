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

/// What AWS's endpoints answer to a request that names no operation in any protocol.
const STATUS_NO_OPERATION: u16 = 404;

/// Finds the operation: by `X-Amz-Target` in awsJson, by `Action` and `Version` in awsQuery.
pub fn identify(head: &Parts, body: &[u8]) -> Result<(&'static Service, &'static Operation), IdentifyError> {
    if let Some(target) = head.headers.get("x-amz-target") {
        return by_target(head, &String::from_utf8_lossy(target.as_bytes()));
    }
    let is_form = is_form(head);
    let body = if is_form { body } else { &[] };
    match query::parameter(head, body, "Action") {
        Some(action) => by_action(head, body, &action),
        None if is_form => Err(without_action(head, body)),
        None => Err(without_operation(head)),
    }
}

/// A form without Action.
fn without_action(head: &Parts, body: &[u8]) -> IdentifyError {
    let text = "The request names no operation: send the parameter Action, or the header X-Amz-Target.";
    let named = query::parameter(head, body, "Version").is_some() || sigv4::scope_service(head).is_some();
    let service = candidates(head, body).next().filter(|_| named);
    let dialect = service.map_or(Protocol::AwsQuery.into(), Dialect::from);
    IdentifyError::new(dialect, "MissingAction", text.to_owned())
}

/// Neither a target nor a form.
fn without_operation(head: &Parts) -> IdentifyError {
    let text = "The request names no operation: send the header X-Amz-Target, as AWS clients do.".to_owned();
    if let Some(spoken) = spoken_json(head) {
        return IdentifyError::new(spoken, "UnknownOperationException", text);
    }
    let error = ApiError::client("UnknownOperationException", text).with_status(STATUS_NO_OPERATION);
    IdentifyError { dialect: Dialect::default(), error }
}

/// How a request seems to speak, by its head alone: for an answer before its body is read.
pub fn spoken(head: &Parts) -> Dialect {
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit_once('.'));
    let service = target.and_then(|(prefix, _)| services().iter().find(|known| known.target_prefix == Some(prefix)));
    match (service, spoken_json(head)) {
        (Some(service), _) => (*service).into(),
        (None, Some(protocol)) => protocol.into(),
        (None, None) if is_form(head) => candidates(head, &[]).next().map_or(Protocol::AwsQuery.into(), Dialect::from),
        (None, None) => Dialect::default(),
    }
}

fn is_form(head: &Parts) -> bool {
    content_type(head).starts_with("application/x-www-form-urlencoded")
}

/// The protocol that a content type of awsJson names.
fn spoken_json(head: &Parts) -> Option<Protocol> {
    match content_type(head) {
        kind if kind.starts_with("application/x-amz-json-1.0") => Some(Protocol::AwsJson10),
        kind if kind.starts_with("application/x-amz-json") => Some(Protocol::AwsJson11),
        _ => None,
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
    let spoken = spoken_json(head).unwrap_or(Protocol::AwsJson11);
    let dialect = service.map_or(spoken.into(), Dialect::from);
    Err(IdentifyError::new(dialect, "UnknownOperationException", format!("No operation is known as {target}.")))
}

fn by_action(head: &Parts, body: &[u8], action: &str) -> Result<(&'static Service, &'static Operation), IdentifyError> {
    if let Some(found) = candidates(head, body).find_map(|service| Some((service, service.operation(action)?))) {
        return Ok(found);
    }
    let dialect = candidates(head, body).next().map_or(Protocol::AwsQuery.into(), Dialect::from);
    let version = query::parameter(head, body, "Version");
    let version = version.as_deref().unwrap_or("NO_VERSION_SPECIFIED");
    let text = format!("Could not find operation {action} for version {version}");
    Err(IdentifyError::new(dialect, "InvalidAction", text))
}

/// The awsQuery services that the version, and the signature's scope, leave.
fn candidates(head: &Parts, body: &[u8]) -> impl Iterator<Item = &'static Service> {
    let version = query::parameter(head, body, "Version");
    let scope = sigv4::scope_service(head);
    services().iter().copied().filter(move |service| {
        service.protocol == Protocol::AwsQuery
            && version.as_ref().is_none_or(|version| service.api_version == version)
            && scope.as_ref().is_none_or(|scope| service.signing_name == scope)
    })
}
