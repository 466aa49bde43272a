//! awsJson 1.0 and 1.1: JSON both ways, the operation in `X-Amz-Target`.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>

use crate::codec::Encoded;
use crate::model::{Kind, Operation, Protocol, Service, ShapeId};
use base::{ApiError, Timestamp};
use serde_json::{Map, Value};

/// Reads a body; an empty one is an empty document.
pub fn decode(service: &'static Service, operation: &Operation, body: &[u8]) -> Result<Value, ApiError> {
    let document = match body {
        [] => Value::Object(Map::new()),
        _ => serde_json::from_slice(body).map_err(|e| ApiError::client("SerializationException", e.to_string()))?,
    };
    Ok(match operation.input {
        Some(input) => canonical(service, input, document),
        None => Value::Object(Map::new()),
    })
}

/// The document without null or unknown members, its timestamps as numbers.
///
/// It goes no deeper than the JSON parser went (128 levels).
fn canonical(service: &'static Service, shape: ShapeId, value: Value) -> Value {
    match (&service.shape(shape).kind, value) {
        (Kind::Structure(structure), Value::Object(mut members)) => {
            let known = structure.members.iter().filter_map(|member| {
                let value = members.remove(member.name).filter(|value| !value.is_null())?;
                Some((member.name.to_owned(), canonical(service, member.shape, value)))
            });
            Value::Object(known.collect())
        }
        (Kind::List { member, .. }, Value::Array(entries)) => {
            Value::Array(entries.into_iter().map(|entry| canonical(service, *member, entry)).collect())
        }
        (Kind::Map { value, .. }, Value::Object(entries)) => {
            Value::Object(entries.into_iter().map(|(key, entry)| (key, canonical(service, *value, entry))).collect())
        }
        (Kind::Timestamp(_), Value::String(text)) => match Timestamp::parse_iso8601(&text) {
            Some(at) => Value::from(at.as_millis() as f64 / 1000.0),
            None => Value::String(text),
        },
        (_, value) => value,
    }
}

/// The answer to a success; an operation without output has an empty body.
pub fn encode(service: &Service, operation: &Operation, output: &Value, request_id: &str) -> Encoded {
    let body = if operation.output.is_some() { output.to_string().into_bytes() } else { Vec::new() };
    Encoded { status: 200, headers: headers(service.protocol, request_id), body }
}

pub fn encode_error(protocol: Protocol, status: u16, error: &ApiError, request_id: &str) -> Encoded {
    let mut body = error.fields.clone();
    body.insert("__type".to_owned(), Value::from(&*error.code));
    body.insert("message".to_owned(), Value::from(error.message.as_str()));
    Encoded { status, headers: headers(protocol, request_id), body: Value::Object(body).to_string().into_bytes() }
}

fn headers(protocol: Protocol, request_id: &str) -> Vec<(&'static str, String)> {
    let version = if protocol == Protocol::AwsJson10 { "1.0" } else { "1.1" };
    vec![("content-type", format!("application/x-amz-json-{version}")), ("x-amzn-requestid", request_id.to_owned())]
}
