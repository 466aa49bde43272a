//! awsQuery: a form in, XML out.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

mod form;
mod xml;

pub use form::parameter;

use crate::codec::Encoded;
use crate::model::{Operation, Service};
use base::{ApiError, Fault};
use http::request::Parts;
use serde_json::{Map, Value};
use xml::{element, text};

/// Reads the form in the query string and the body.
pub fn decode(service: &'static Service, operation: &Operation, head: &Parts, body: &[u8]) -> Result<Value, ApiError> {
    let form = form::Node::parse(head, body)?;
    Ok(match operation.input {
        Some(input) => form.structure(service, service.shape(input)),
        None => Value::Object(Map::new()),
    })
}

/// The answer to a success.
pub fn encode(service: &'static Service, operation: &Operation, output: &Value, request_id: &str) -> Encoded {
    let members = match operation.output {
        Some(shape) => xml::members(service, service.shape(shape), output),
        None => String::new(),
    };
    let result = operation.result_wrapper.map_or(members.clone(), |wrapper| element(wrapper, &members));
    let metadata = element("ResponseMetadata", &element("RequestId", &text(request_id)));
    answer(200, &format!("{}Response", operation.name), Some(service), &(result + &metadata), request_id)
}

pub fn encode_error(service: Option<&Service>, status: u16, error: &ApiError, request_id: &str) -> Encoded {
    let kind = match error.fault {
        Fault::Sender => "Sender",
        Fault::Receiver => "Receiver",
    };
    let mut inside = element("Type", kind) + &element("Code", &text(&error.code));
    inside += &element("Message", &text(&error.message));
    for (name, value) in &error.fields {
        inside += &element(name, &xml::scalar(value));
    }
    let body = element("Error", &inside) + &element("RequestId", &text(request_id));
    answer(status, "ErrorResponse", service, &body, request_id)
}

/// An error to who shows no protocol at all: the code as the root element, as AWS's endpoints do it.
pub fn encode_bare_error(status: u16, error: &ApiError, request_id: &str) -> Encoded {
    answer(status, &error.code, None, &element("Message", &text(&error.message)), request_id)
}

fn answer(status: u16, root: &str, service: Option<&Service>, inside: &str, request_id: &str) -> Encoded {
    let namespace = service.and_then(|service| service.xml_namespace);
    let namespace = namespace.map(|namespace| format!(" xmlns=\"{}\"", text(namespace))).unwrap_or_default();
    let body = format!("<{root}{namespace}>{inside}</{root}>\n");
    let headers = vec![("content-type", "text/xml".to_owned()), ("x-amzn-requestid", request_id.to_owned())];
    Encoded { status, headers, body: body.into_bytes() }
}

#[cfg(test)]
mod tests;
