//! What this crate's tests share.

use crate::model::{Kind, Service, ShapeId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::{Parts, Request};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A request head.
pub fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// A form's POST.
pub fn form() -> Parts {
    head("POST", "/", &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")])
}

/// Texts that XML can carry, so that nothing is replaced on the way.
fn text() -> impl Strategy<Value = String> {
    "[ -~\t\n\u{a0}-\u{2ff}€🚢]{0,12}"
}

/// Documents of a shape: every type right, constraints not minded, no list or map empty
/// (a form cannot tell an empty one from an absent one).
pub fn document(service: &'static Service, shape: ShapeId) -> BoxedStrategy<Value> {
    match &service.shape(shape).kind {
        Kind::Structure(structure) => {
            let members: Vec<_> = structure
                .members
                .iter()
                .map(|member| prop::option::of(document(service, member.shape).prop_map(|value| (member.name, value))))
                .collect();
            members
                .prop_map(|members| {
                    let set = members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
                    Value::Object(set.filter(|(_, value)| *value != json!({})).collect())
                })
                .boxed()
        }
        Kind::List { member, .. } => vec(scalar_or_full(service, *member), 1..12).prop_map(Value::Array).boxed(),
        Kind::Map { value, .. } => btree_map(text(), scalar_or_full(service, *value), 1..4)
            .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
            .boxed(),
        Kind::Integer(_) => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Long(_) => any::<i64>().prop_map(Value::from).boxed(),
        Kind::Float(_) | Kind::Double(_) => (-1e9..1e9).prop_map(|number: f64| Value::from(number)).boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Blob(_) => vec(any::<u8>(), 0..20).prop_map(|bytes| Value::from(STANDARD.encode(bytes))).boxed(),
        Kind::Timestamp(_) => (0..4_000_000_000_000_i64).prop_map(|millis| Value::from(millis as f64 / 1000.0)).boxed(),
        Kind::String { .. } | Kind::Document => text().prop_map(Value::from).boxed(),
    }
}

/// A document that leaves a trace in a form: an entry without members would not.
fn scalar_or_full(service: &'static Service, shape: ShapeId) -> BoxedStrategy<Value> {
    document(service, shape).prop_filter("a trace", |value| *value != json!({})).boxed()
}

/// Any JSON, so that the wrong thing is found at every place.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths: the JSON parser may be off by the last bit elsewhere.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            btree_map("[a-zA-Z]{0,10}", inner, 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
