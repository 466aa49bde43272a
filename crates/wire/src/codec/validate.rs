//! Checks a canonical document against its operation's input shape.

use super::constraint::{self, Constraint};
use crate::model::{Kind, Operation, Protocol, Service, Shape, ShapeId, Structure};
use base::ApiError;
use serde_json::{Map, Value};
use std::fmt::Write;

/// Violations that an error spells out; the rest are only counted. AWS names no limit; ours keeps
/// the answer to a bad batch of thousands of entries short.
pub(super) const SPELT_OUT_MAX: usize = 10;
/// Characters of an offending value that an error echoes: enough to know it by. AWS echoes all of it; ours, for the
/// same reason.
const ECHO_CHARS_MAX: usize = 100;

/// Checks every constraint of the model: types, required members, sizes, ranges, patterns, enums.
///
/// The error is the service's own: ECS and CloudWatch Logs answer InvalidParameterException with
/// AWS's common text, ECR InvalidParameterException with a text of its own for the first
/// violation, STS ValidationError. A value of a wrong type is a SerializationException
/// (MalformedInput in awsQuery). Sensitive values are never echoed. Null members count as absent;
/// members that the model does not know are passed over, as AWS does (see [`super::decode`]).
pub fn validate(service: &'static Service, operation: &Operation, document: &Value) -> Result<(), ApiError> {
    let mut walk = Walk { service, path: Vec::new(), violations: Vec::new() };
    let checked = match operation.input {
        Some(input) => walk.value(service.shape(input), document, false),
        None => Ok(()),
    };
    match checked {
        Err(mismatch) => Err(mismatch_error(service.protocol, mismatch)),
        Ok(()) if walk.violations.is_empty() => Ok(()),
        Ok(()) => Err(violations_error(service, &walk.violations)),
    }
}

fn mismatch_error(protocol: Protocol, text: String) -> ApiError {
    let code = if protocol == Protocol::AwsQuery { "MalformedInput" } else { "SerializationException" };
    ApiError::client(code, text)
}

fn violations_error(service: &Service, violations: &[Violation]) -> ApiError {
    match (service.name, violations.first()) {
        ("ecr", Some(Violation { path, constraint, .. })) => {
            let reason = constraint.ecr_reason();
            let text = format!("Invalid parameter at '{path}' failed to satisfy constraint: '{reason}'");
            ApiError::client("InvalidParameterException", text)
        }
        ("sts", _) => ApiError::client("ValidationError", common_text(violations)),
        _ => ApiError::client("InvalidParameterException", common_text(violations)),
    }
}

fn common_text(violations: &[Violation]) -> String {
    let (count, plural) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
    let spelt: Vec<String> = violations.iter().take(SPELT_OUT_MAX).map(Violation::text).collect();
    format!("{count} validation error{plural} detected: {}", spelt.join("; "))
}

/// A constraint that does not hold.
struct Violation {
    path: String,
    /// The value as it is echoed; `None` for a sensitive one.
    shown: Option<String>,
    constraint: Constraint,
}

impl Violation {
    fn text(&self) -> String {
        let Self { path, constraint, shown } = self;
        match shown {
            Some(shown) => format!("Value {shown} at '{path}' failed to satisfy constraint: {constraint}"),
            None => format!("Value at '{path}' failed to satisfy constraint: {constraint}"),
        }
    }
}

/// A step from a value to one in it.
enum Step<'a> {
    Member(&'static str),
    /// Counted from one.
    Entry(usize),
    Key(&'a str),
}

/// A walk over document and shape together. Its methods fail on a value of a wrong type.
struct Walk<'a> {
    service: &'static Service,
    path: Vec<Step<'a>>,
    violations: Vec<Violation>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, shape: &'static Shape, value: &'a Value, hidden: bool) -> Result<(), String> {
        let hidden = hidden || shape.sensitive;
        if !fits(&shape.kind, value) {
            return Err(self.mismatch(&shape.kind, value));
        }
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Object(members)) => self.structure(structure, members, hidden),
            (Kind::List { member, .. }, Value::Array(entries)) => {
                self.own(&shape.kind, value, hidden);
                self.list(*member, entries, value, hidden)
            }
            (Kind::Map { key, value: part, .. }, Value::Object(entries)) => {
                self.own(&shape.kind, value, hidden);
                self.map(*key, *part, entries, value, hidden)
            }
            (Kind::Blob(size), Value::String(text)) => match constraint::violated_by_blob(*size, text) {
                Some(violated) => {
                    violated.into_iter().for_each(|constraint| self.report(constraint, value, true));
                    Ok(())
                }
                None => Err(self.mismatch(&shape.kind, value)),
            },
            _ => {
                self.own(&shape.kind, value, hidden);
                Ok(())
            }
        }
    }

    /// Reports what a value's shape asks of the value itself.
    fn own(&mut self, kind: &'static Kind, value: &Value, hidden: bool) {
        for constraint in constraint::of(kind) {
            if !constraint.holds(value) {
                self.report(constraint, value, hidden);
            }
        }
    }

    fn structure(
        &mut self,
        structure: &'static Structure,
        values: &'a Map<String, Value>,
        hidden: bool,
    ) -> Result<(), String> {
        let mut set = 0;
        for member in structure.members {
            let value = values.get(member.name).unwrap_or(&Value::Null);
            self.path.push(Step::Member(member.name));
            if !value.is_null() {
                set += 1;
                self.value(self.service.shape(member.shape), value, hidden)?;
            } else if member.required {
                self.report(Constraint::NotNull, value, false);
            }
            self.path.pop();
        }
        if structure.union && set != 1 {
            let names = structure.members.iter().map(|member| member.name).collect();
            self.report(Constraint::ExactlyOne(names), &Value::Null, true);
        }
        Ok(())
    }

    fn list(&mut self, member: ShapeId, entries: &'a [Value], whole: &Value, hidden: bool) -> Result<(), String> {
        let shape = self.service.shape(member);
        let mut broken = false;
        for (at, entry) in entries.iter().enumerate() {
            self.path.push(Step::Entry(at + 1));
            if entry.is_null() {
                self.report(Constraint::NotNull, entry, false);
            } else if is_scalar(&shape.kind) {
                broken |= self.scalar_breaks(shape, entry)?;
            } else {
                self.value(shape, entry, hidden)?;
            }
            self.path.pop();
        }
        if broken {
            self.report(Constraint::Entries(constraint::of(&shape.kind)), whole, hidden || shape.sensitive);
        }
        Ok(())
    }

    fn map(
        &mut self,
        key: ShapeId,
        value: ShapeId,
        entries: &'a Map<String, Value>,
        whole: &Value,
        hidden: bool,
    ) -> Result<(), String> {
        let (key, shape) = (self.service.shape(key), self.service.shape(value));
        let (mut keys_broken, mut values_broken) = (false, false);
        for (name, value) in entries {
            self.path.push(Step::Key(name));
            keys_broken |= self.scalar_breaks(key, &Value::from(name.as_str()))?;
            if value.is_null() {
                self.report(Constraint::NotNull, value, false);
            } else if is_scalar(&shape.kind) {
                values_broken |= self.scalar_breaks(shape, value)?;
            } else {
                self.value(shape, value, hidden)?;
            }
            self.path.pop();
        }
        let hidden = hidden || key.sensitive || shape.sensitive;
        if keys_broken {
            self.report(Constraint::Keys(constraint::of(&key.kind)), whole, hidden);
        }
        if values_broken {
            self.report(Constraint::Values(constraint::of(&shape.kind)), whole, hidden);
        }
        Ok(())
    }

    /// Whether a scalar in a list or map breaks a constraint: the list or map is then reported.
    fn scalar_breaks(&self, shape: &'static Shape, value: &Value) -> Result<bool, String> {
        if !fits(&shape.kind, value) {
            return Err(self.mismatch(&shape.kind, value));
        }
        Ok(constraint::of(&shape.kind).iter().any(|constraint| !constraint.holds(value)))
    }

    fn report(&mut self, constraint: Constraint, value: &Value, hidden: bool) {
        let shown = match value {
            _ if hidden => None,
            Value::Null => Some("null".to_owned()),
            _ => Some(format!("'{}'", shortened(show(value)))),
        };
        self.violations.push(Violation { path: self.place(), shown, constraint });
    }

    /// AWS's spelling of a place: `containerDefinitions.1.member.name`.
    fn place(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            if !out.is_empty() {
                out.push('.');
            }
            match step {
                Step::Member(name) => out += &lower_first(name),
                // Writing to a String cannot fail.
                Step::Entry(at) => drop(write!(out, "{at}.member")),
                Step::Key(key) => drop(write!(out, "{key}.member")),
            }
        }
        out
    }

    fn mismatch(&self, kind: &Kind, value: &Value) -> String {
        let found = match value {
            Value::Array(_) => "Start of list found where not expected".to_owned(),
            Value::Object(_) => "Start of structure or map found where not expected".to_owned(),
            Value::String(_) => format!("STRING_VALUE cannot be converted to {}", java_name(kind)),
            Value::Number(_) => format!("NUMBER_VALUE cannot be converted to {}", java_name(kind)),
            Value::Bool(true) => format!("TRUE_VALUE cannot be converted to {}", java_name(kind)),
            Value::Bool(false) => format!("FALSE_VALUE cannot be converted to {}", java_name(kind)),
            Value::Null => format!("NULL_VALUE cannot be converted to {}", java_name(kind)),
        };
        format!("{found} at '{}'", self.place())
    }
}

/// Whether a value has the type of its shape; what is inside is not looked at.
fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Structure(_) | Kind::Map { .. } => value.is_object(),
        Kind::List { .. } => value.is_array(),
        Kind::String { .. } | Kind::Blob(_) => value.is_string(),
        Kind::Integer(_) => value.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok()),
        Kind::Long(_) => value.is_i64(),
        Kind::Float(_) | Kind::Double(_) | Kind::Timestamp(_) => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::Document => true,
    }
}

fn is_scalar(kind: &Kind) -> bool {
    !matches!(kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. } | Kind::Blob(_))
}

/// The names that AWS's messages use.
fn java_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Structure(_) | Kind::Document => "a structure",
        Kind::List { .. } => "a list",
        Kind::Map { .. } => "a map",
        Kind::String { .. } => "String",
        Kind::Integer(_) => "Integer",
        Kind::Long(_) => "Long",
        Kind::Float(_) => "Float",
        Kind::Double(_) => "Double",
        Kind::Boolean => "Boolean",
        Kind::Blob(_) => "base64 bytes",
        Kind::Timestamp(_) => "Timestamp",
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

/// A value in the manner of Java's `toString`.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) => format!("[{}]", entries.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={}", show(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
