//! The JSON form of an AWS service model, as botocore publishes it, without its prose.
//!
//! Reading a whole model and writing it back is the trimming: what has no field here is left
//! out, and what is neither known nor listed in [`IGNORED`] stops the reading, so that a trait
//! that matters is never lost in silence.

use anyhow::{Context, Result, bail};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Number;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Traits that say nothing about the wire.
const IGNORED: &[&str] = &[
    "documentation",
    "documentationUrl",
    "deprecated",
    "deprecatedMessage",
    "deprecatedSince",
    "box",
    "synthetic",
    "endpoint",
    "authtype",
    "version",
    "wrapper",
    "name",
];

/// Keys that no field took.
type Rest = BTreeMap<String, IgnoredAny>;

#[derive(Deserialize, Serialize)]
pub struct Model {
    pub metadata: Metadata,
    pub operations: Ordered<Operation>,
    pub shapes: Ordered<Shape>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub api_version: String,
    pub endpoint_prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_version: Option<String>,
    pub protocol: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_namespace: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub http: Http,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Reference>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Reference>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub idempotent: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub readonly: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<String>,
    #[serde(flatten, skip_serializing)]
    rest: Rest,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    pub method: String,
    pub request_uri: String,
}

/// A use of a shape: as input, output, error, member, list entry, map key or value.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    pub shape: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_wrapper: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub idempotency_token: bool,
    #[serde(flatten, skip_serializing)]
    rest: Rest,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Ordered<Reference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub exception: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub fault: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorTrait>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub union: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub document: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub event: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub eventstream: bool,
    #[serde(flatten, skip_serializing)]
    rest: Rest,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorTrait {
    pub code: String,
    pub http_status_code: u16,
    #[serde(default)]
    pub sender_fault: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Model {
    pub fn parse(text: &str) -> Result<Self> {
        let model: Self = serde_json::from_str(text).context("not a service model of botocore's form")?;
        model.refuse_unknown_traits()?;
        Ok(model)
    }

    /// Adds a value to an enum.
    pub fn allow(&mut self, shape: &str, value: &str) -> Result<()> {
        let found = self.shapes.0.iter_mut().find(|(name, _)| name == shape);
        let (_, shape) = found.with_context(|| format!("there is no shape {shape}"))?;
        shape.values.push(value.to_owned());
        Ok(())
    }

    /// Canonical text: one operation or shape a line.
    pub fn to_text(&self) -> Result<String> {
        let mut out = format!("{{\n\"metadata\":{},\n\"operations\":{{\n", serde_json::to_string(&self.metadata)?);
        out += &lines(&self.operations)?;
        out += "},\n\"shapes\":{\n";
        out += &lines(&self.shapes)?;
        out += "}\n}\n";
        Ok(out)
    }

    pub fn shape(&self, name: &str) -> Result<&Shape> {
        self.shapes.get(name).with_context(|| format!("the model names shape '{name}' but does not define it"))
    }

    fn refuse_unknown_traits(&self) -> Result<()> {
        for (name, operation) in &self.operations.0 {
            refuse(name, &operation.rest)?;
            operation.references().try_for_each(|reference| refuse(name, &reference.rest))?;
        }
        for (name, shape) in &self.shapes.0 {
            refuse(name, &shape.rest)?;
            shape.references().try_for_each(|reference| refuse(name, &reference.rest))?;
        }
        Ok(())
    }
}

impl Operation {
    fn references(&self) -> impl Iterator<Item = &Reference> {
        self.input.iter().chain(&self.output).chain(&self.errors)
    }
}

impl Shape {
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let members = self.members.iter().flat_map(|members| members.0.iter().map(|(_, member)| member));
        members.chain(&self.member).chain(&self.key).chain(&self.value)
    }
}

fn refuse(place: &str, rest: &Rest) -> Result<()> {
    match rest.keys().find(|key| !IGNORED.contains(&key.as_str())) {
        Some(key) => bail!(
            "'{place}' has the trait '{key}', which the generator does not know: give it a field or list it as ignored"
        ),
        None => Ok(()),
    }
}

fn lines<T: Serialize>(entries: &Ordered<T>) -> Result<String> {
    let lines: Result<Vec<String>> = entries
        .0
        .iter()
        .map(|(name, entry)| Ok(format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(entry)?)))
        .collect();
    Ok(lines?.join(",\n") + "\n")
}

/// A JSON object whose order is kept: members are checked and written in the model's order.
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder(PhantomData))
    }
}

struct InOrder<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
    type Value = Ordered<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Ordered(entries))
    }
}
