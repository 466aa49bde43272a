//! What a model asks of a scalar or a size, and the texts that say so.

use crate::model::{Kind, Range, Size};
use crate::pattern::Pattern;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt;

/// One thing that a model asks of a value.
#[derive(Clone, Debug)]
pub enum Constraint {
    NotNull,
    LengthMax(u64),
    LengthMin(u64),
    ValueMax(f64),
    ValueMin(f64),
    Matches(&'static Pattern),
    OneOf(&'static [&'static str]),
    /// Every entry of the list.
    Entries(Vec<Constraint>),
    /// Every key of the map.
    Keys(Vec<Constraint>),
    /// Every value of the map.
    Values(Vec<Constraint>),
    /// Exactly one of these members is set.
    ExactlyOne(Vec<&'static str>),
}

impl Constraint {
    /// Whether `value`, which has the type that the constraint is about, keeps to it.
    ///
    /// Constraints of structures and of entries are found by walking, not here.
    pub fn holds(&self, value: &Value) -> bool {
        match self {
            Self::LengthMax(max) => length(value) <= *max,
            Self::LengthMin(min) => length(value) >= *min,
            Self::ValueMax(max) => value.as_f64().is_some_and(|value| value <= *max),
            Self::ValueMin(min) => value.as_f64().is_some_and(|value| value >= *min),
            Self::Matches(pattern) => value.as_str().is_some_and(|text| pattern.matches(text)),
            Self::OneOf(values) => value.as_str().is_some_and(|text| values.contains(&text)),
            _ => true,
        }
    }

    /// The reason inside ECR's `Invalid parameter at '…' failed to satisfy constraint: '…'`.
    pub fn ecr_reason(&self) -> String {
        match self {
            Self::Matches(pattern) => format!("must satisfy regular expression '{}'", pattern.source),
            Self::Entries(_) | Self::Keys(_) | Self::Values(_) => self.to_string(),
            _ => self.to_string().replacen("Member must", "must", 1),
        }
    }
}

/// Characters of a text (bytes of a blob are counted by [`of`]'s caller), entries of a list or map.
fn length(value: &Value) -> u64 {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(entries) => entries.len(),
        Value::Object(entries) => entries.len(),
        _ => 0,
    };
    length as u64
}

/// What a shape of this kind asks of a value itself, not of what is in it.
pub fn of(kind: &'static Kind) -> Vec<Constraint> {
    match kind {
        Kind::List { size, .. } | Kind::Map { size, .. } | Kind::Blob(size) => sized(*size).collect(),
        Kind::String { size, pattern, values } => {
            let pattern = pattern.as_ref().map(Constraint::Matches);
            let values = (!values.is_empty()).then_some(Constraint::OneOf(values));
            sized(*size).chain(pattern).chain(values).collect()
        }
        Kind::Integer(range) | Kind::Long(range) => {
            ranged(Range { min: range.min.map(|min| min as f64), max: range.max.map(|max| max as f64) }).collect()
        }
        Kind::Float(range) | Kind::Double(range) => ranged(*range).collect(),
        _ => Vec::new(),
    }
}

/// The constraints of a blob's size, which `text` carries in base64, that do not hold.
///
/// `None` when `text` is not base64.
pub fn violated_by_blob(size: Size, text: &str) -> Option<Vec<Constraint>> {
    let bytes = STANDARD.decode(text).ok()?.len() as u64;
    let holds = |constraint: &Constraint| match constraint {
        Constraint::LengthMax(max) => bytes <= *max,
        Constraint::LengthMin(min) => bytes >= *min,
        _ => true,
    };
    Some(sized(size).filter(|constraint| !holds(constraint)).collect())
}

fn sized(size: Size) -> impl Iterator<Item = Constraint> {
    size.max.map(Constraint::LengthMax).into_iter().chain(size.min.map(Constraint::LengthMin))
}

fn ranged(range: Range<f64>) -> impl Iterator<Item = Constraint> {
    range.max.map(Constraint::ValueMax).into_iter().chain(range.min.map(Constraint::ValueMin))
}

/// AWS's common text for the constraint.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNull => write!(f, "Member must not be null"),
            Self::LengthMax(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::LengthMin(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::ValueMax(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::ValueMin(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::Matches(pattern) => write!(f, "Member must satisfy regular expression pattern: {}", pattern.source),
            Self::OneOf(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
            Self::Entries(all) => write!(f, "Member must satisfy constraint: [{}]", join(all)),
            Self::Keys(all) => write!(f, "Map keys must satisfy constraint: [{}]", join(all)),
            Self::Values(all) => write!(f, "Map value must satisfy constraint: [{}]", join(all)),
            Self::ExactlyOne(members) => write!(f, "Member must set exactly one of: [{}]", members.join(", ")),
        }
    }
}

fn join(all: &[Constraint]) -> String {
    all.iter().map(Constraint::to_string).collect::<Vec<_>>().join(", ")
}
