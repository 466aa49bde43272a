//! The request's half: a form whose names are paths, such as `Tags.member.1.Key`.

use crate::model::{Kind, Service, Shape, ShapeId};
use base::{ApiError, Timestamp};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Dots in a parameter's name; the deepest input of the public models has far fewer.
const DEPTH_MAX: usize = 32;

/// A point in the form: its own value, and what lies below.
#[derive(Debug, Default)]
pub struct Node {
    value: Option<String>,
    below: BTreeMap<String, Node>,
}

/// The first value of a parameter in the query string or the body.
pub fn parameter(head: &Parts, body: &[u8], name: &str) -> Option<String> {
    pairs(head, body).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Names and values of the query string, then of the body.
fn pairs<'a>(head: &'a Parts, body: &'a [u8]) -> impl Iterator<Item = (String, String)> + 'a {
    let query = Cow::Borrowed(head.uri.query().unwrap_or_default());
    [query, String::from_utf8_lossy(body)].into_iter().flat_map(|form| {
        let pairs = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        pairs.collect::<Vec<_>>()
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Node {
    pub fn parse(head: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        let mut root = Self::default();
        for (name, value) in pairs(head, body) {
            if name.split('.').count() > DEPTH_MAX {
                let text = format!("A parameter's name has more than {DEPTH_MAX} parts; no operation takes one.");
                return Err(ApiError::client("MalformedInput", text));
            }
            let place = name.split('.').fold(&mut root, |node, part| node.below.entry(part.to_owned()).or_default());
            place.value.get_or_insert(value);
        }
        Ok(root)
    }

    /// The members of a structure that are below this point.
    pub fn structure(&self, service: &'static Service, shape: &Shape) -> Value {
        let members = shape.members().iter().filter_map(|member| {
            let node = self.below.get(member.wire_name())?;
            Some((member.name.to_owned(), node.read(service, member.shape)))
        });
        Value::Object(members.collect())
    }

    /// What this point holds for a shape; a text of the wrong form stays a text.
    fn read(&self, service: &'static Service, shape: ShapeId) -> Value {
        let shape = service.shape(shape);
        match &shape.kind {
            Kind::Structure(_) => self.structure(service, shape),
            Kind::List { member, location, flattened, .. } => {
                let entries = self.entries(if *flattened { None } else { Some(location.unwrap_or("member")) });
                Value::Array(entries.into_iter().map(|node| node.read(service, *member)).collect())
            }
            Kind::Map { key, value, flattened, .. } => {
                let entries = self.entries(if *flattened { None } else { Some("entry") });
                Value::Object(entries.into_iter().filter_map(|node| node.pair(service, *key, *value)).collect())
            }
            kind => scalar(kind, self.value.as_deref().unwrap_or_default()),
        }
    }

    /// The numbered nodes, in the order of their numbers, below `under` if there is such a level.
    fn entries(&self, under: Option<&str>) -> Vec<&Node> {
        let level = match under {
            Some(name) => self.below.get(name),
            None => Some(self),
        };
        let numbered = level.into_iter().flat_map(|node| &node.below);
        let mut entries: Vec<(u32, &Node)> =
            numbered.filter_map(|(number, node)| Some((number.parse().ok()?, node))).collect();
        entries.sort_by_key(|(number, _)| *number);
        entries.into_iter().map(|(_, node)| node).collect()
    }

    fn pair(&self, service: &'static Service, key: ShapeId, value: ShapeId) -> Option<(String, Value)> {
        let Value::String(key) = self.below.get("key")?.read(service, key) else { return None };
        let value = self.below.get("value").map_or(Value::Null, |node| node.read(service, value));
        Some((key, value))
    }
}

fn scalar(kind: &Kind, text: &str) -> Value {
    let read = match kind {
        Kind::Integer(_) | Kind::Long(_) => text.parse::<i64>().ok().map(Value::from),
        Kind::Float(_) | Kind::Double(_) => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        Kind::Timestamp(_) => timestamp(text),
        _ => None,
    };
    read.unwrap_or_else(|| Value::from(text))
}

/// ISO 8601, which the protocol asks for, or epoch seconds, which some clients send.
fn timestamp(text: &str) -> Option<Value> {
    let secs = match Timestamp::parse_iso8601(text) {
        Some(at) => at.as_millis() as f64 / 1000.0,
        None => text.parse().ok()?,
    };
    Number::from_f64(secs).map(Value::Number)
}
