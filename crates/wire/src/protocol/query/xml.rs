//! The answer's half: a canonical document as XML elements.

use crate::model::{Kind, Service, Shape, ShapeId, TimestampFormat};
use base::Timestamp;
use quick_xml::escape::escape;
use serde_json::Value;

/// `<name>inside</name>`; `inside` is XML already.
pub fn element(name: &str, inside: &str) -> String {
    format!("<{name}>{inside}</{name}>")
}

/// A text as XML. Characters that XML 1.0 cannot carry become U+FFFD.
pub fn text(text: &str) -> String {
    let carried: String = text.chars().map(|c| if is_xml_char(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    escape(carried).into_owned()
}

/// <https://www.w3.org/TR/xml/#charsets>
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The elements of a structure's members, in the model's order.
pub fn members(service: &'static Service, shape: &Shape, document: &Value) -> String {
    let set = shape.members().iter().filter_map(|member| Some((member, document.get(member.name)?)));
    set.filter(|(_, value)| !value.is_null())
        .map(|(member, value)| named(service, member.wire_name(), member.shape, member.timestamp, value))
        .collect()
}

/// One value under a name; a flattened list or map repeats the name instead.
fn named(
    service: &'static Service,
    name: &str,
    shape: ShapeId,
    format: Option<TimestampFormat>,
    value: &Value,
) -> String {
    let shape = service.shape(shape);
    match (&shape.kind, value) {
        (Kind::Structure(_), _) => element(name, &members(service, shape, value)),
        (Kind::List { member, location, flattened, .. }, Value::Array(entries)) => {
            let inner = if *flattened { name } else { location.unwrap_or("member") };
            let all: String = entries.iter().map(|entry| named(service, inner, *member, None, entry)).collect();
            if *flattened { all } else { element(name, &all) }
        }
        (Kind::Map { key, value: part, flattened, .. }, Value::Object(entries)) => {
            let inner = if *flattened { name } else { "entry" };
            let pair = |(name, value): (&String, &Value)| {
                let name = named(service, "key", *key, None, &Value::from(name.as_str()));
                element(inner, &(name + &named(service, "value", *part, None, value)))
            };
            let all: String = entries.iter().map(pair).collect();
            if *flattened { all } else { element(name, &all) }
        }
        (Kind::Timestamp(own), Value::Number(secs)) => element(name, &timestamp(format.or(*own), secs.as_f64())),
        _ => element(name, &scalar(value)),
    }
}

pub fn timestamp(format: Option<TimestampFormat>, secs: Option<f64>) -> String {
    let secs = secs.unwrap_or_default();
    match format {
        Some(TimestampFormat::EpochSeconds) => secs.to_string(),
        Some(TimestampFormat::Rfc822) => rfc822(secs),
        Some(TimestampFormat::Iso8601) | None => Timestamp::from_millis((secs * 1000.0).round() as i64).iso8601(),
    }
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`; a moment outside the calendar's range shows as epoch seconds.
fn rfc822(secs: f64) -> String {
    match jiff::Timestamp::from_second(secs as i64) {
        Ok(at) => at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        Err(_) => secs.to_string(),
    }
}

/// A value without structure.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(plain) => text(plain),
        other => text(&other.to_string()),
    }
}
