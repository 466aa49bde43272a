//! Documents as logs and audit may show them.

use crate::model::{Kind, Operation, Service, ShapeId};
use serde_json::Value;

/// The input document with every sensitive value replaced by `mark`.
pub fn redact(service: &'static Service, operation: &Operation, document: &Value, mark: &str) -> Value {
    match operation.input {
        Some(input) => redacted(service, input, document, mark),
        None => document.clone(),
    }
}

fn redacted(service: &'static Service, shape: ShapeId, value: &Value, mark: &str) -> Value {
    let shape = service.shape(shape);
    match (&shape.kind, value) {
        _ if shape.sensitive => Value::from(mark),
        (Kind::Structure(structure), Value::Object(members)) => {
            let shown = members.iter().map(|(name, value)| {
                let known = structure.members.iter().find(|member| member.name == name);
                let value = known.map_or(value.clone(), |member| redacted(service, member.shape, value, mark));
                (name.clone(), value)
            });
            Value::Object(shown.collect())
        }
        (Kind::List { member, .. }, Value::Array(entries)) => {
            Value::Array(entries.iter().map(|entry| redacted(service, *member, entry, mark)).collect())
        }
        (Kind::Map { value, .. }, Value::Object(entries)) => {
            let shown = entries.iter().map(|(key, entry)| (key.clone(), redacted(service, *value, entry, mark)));
            Value::Object(shown.collect())
        }
        _ => value.clone(),
    }
}
