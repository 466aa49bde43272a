//! The cluster query language: which container instances an expression means.
//!
//! Amazon ECS developer guide, "Create expressions to define container instances for Amazon ECS tasks".
//!
//! A test that is negated holds wherever the plain one does not: `attribute:stack != prod` is true of an
//! instance without that attribute.

mod parse;

use base::Timestamp;
use regex::Regex;
use state::{ContainerInstance, Held};
use std::cmp::Ordering;
use std::collections::BTreeSet;

pub use parse::QueryError;

/// Characters of an expression (Amazon ECS API reference, PlacementConstraint).
pub const QUERY_CHARS_MAX: usize = 2000;

/// An expression, read and checked.
#[derive(Clone, Debug)]
pub struct Query(Term);

impl Query {
    /// Reads an expression such as `attribute:ecs.os-type == linux and not(task:group == database)`.
    ///
    /// # Errors
    /// For what is no expression, with what was expected and where.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text).map(Self)
    }

    pub fn holds(&self, facts: &Facts) -> bool {
        self.0.holds(facts)
    }
}

/// What expressions ask about.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub instance: &'a ContainerInstance,
    /// Groups of the tasks on it.
    pub groups: BTreeSet<&'a str>,
    pub running_tasks: usize,
}

impl<'a> Facts<'a> {
    /// `held` is of the tasks on it that are not stopped.
    pub fn of(instance: &'a ContainerInstance, held: &'a Held) -> Self {
        Self { instance, groups: held.groups().collect(), running_tasks: held.running() }
    }
}

#[derive(Clone, Debug)]
enum Term {
    All(Vec<Term>),
    Any(Vec<Term>),
    Not(Box<Term>),
    Is(Subject, Test),
}

#[derive(Clone, Debug)]
enum Subject {
    AgentConnected,
    AgentVersion,
    Attribute(String),
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
}

#[derive(Clone, Debug)]
enum Test {
    Exists,
    /// Any of these values.
    In(Vec<Value>),
    /// Before, at or after the value.
    Order(Value, &'static [Ordering]),
    Matches(Regex),
}

/// A value as it compares.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(f64),
    /// Such as 1.54.1; what follows the digits does not count.
    Version(Vec<u64>),
    Time(Timestamp),
}

impl Term {
    fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(facts)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(facts)),
            Self::Not(term) => !term.holds(facts),
            Self::Is(subject, test) => test.holds(subject, facts),
        }
    }
}

impl Subject {
    /// What an instance says of itself: at most one value, but for the groups of its tasks.
    fn values(&self, facts: &Facts) -> Vec<String> {
        let instance = facts.instance;
        let one = |value: Option<&str>| value.map(str::to_owned).into_iter().collect();
        match self {
            Self::AgentConnected => vec![instance.agent_connected.to_string()],
            Self::AgentVersion => one(instance.agent_version.as_deref()),
            Self::Attribute(name) => {
                one(instance.attributes().get(name.as_str()).map(|value| value.unwrap_or_default()))
            }
            Self::Ec2InstanceId => one(instance.ec2_instance_id.as_deref()),
            Self::RegisteredAt => vec![instance.registered_at.iso8601()],
            Self::RunningTasksCount => vec![facts.running_tasks.to_string()],
            Self::TaskGroup => facts.groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    /// `text` as this subject compares it.
    fn value(&self, text: &str) -> Option<Value> {
        match self {
            Self::RegisteredAt => time(text).map(Value::Time),
            Self::RunningTasksCount => text.parse().ok().map(Value::Number),
            Self::AgentVersion => Some(Value::Version(version(text)?)),
            Self::Attribute(_) => Some(text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Number)),
            Self::AgentConnected | Self::Ec2InstanceId | Self::TaskGroup => Some(Value::Text(text.to_owned())),
        }
    }
}

impl Test {
    fn holds(&self, subject: &Subject, facts: &Facts) -> bool {
        let values = subject.values(facts);
        let known = || values.iter().filter_map(|value| subject.value(value));
        match self {
            Self::Exists => !values.is_empty(),
            Self::In(wanted) => known().any(|value| wanted.contains(&value)),
            Self::Order(wanted, orders) => {
                known().any(|value| order(&value, wanted).is_some_and(|order| orders.contains(&order)))
            }
            Self::Matches(pattern) => values.iter().any(|value| pattern.is_match(value)),
        }
    }
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => one.partial_cmp(other),
        (Value::Version(one), Value::Version(other)) => Some(one.cmp(other)),
        (Value::Time(one), Value::Time(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// A day, or a moment of one, in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let whole = match text.split_once('T') {
        None => format!("{text}T00:00:00Z"),
        Some((_, clock)) if clock.ends_with('Z') || clock.contains(['+', '-']) => text.to_owned(),
        Some(_) => format!("{text}Z"),
    };
    Timestamp::parse_iso8601(&whole)
}

fn version(text: &str) -> Option<Vec<u64>> {
    let digits = text.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    digits.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
