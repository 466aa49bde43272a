//! Placement constraints, of definitions and of single calls.

use crate::errors::EcsError;
use plan::query::Query;
use wire::types::ecs::PlacementConstraint;

/// Constraints of a task, its definition's and its call's together (Amazon ECS API reference, RunTask).
pub(crate) const CONSTRAINTS_MAX: usize = 10;

pub(crate) fn check_count(count: usize) -> Result<(), EcsError> {
    match count > CONSTRAINTS_MAX {
        true => Err(EcsError::TooMany { what: "placementConstraints", most: CONSTRAINTS_MAX }),
        false => Ok(()),
    }
}

/// The expression of a memberOf constraint, the only type that is supported so far.
pub(crate) fn member_of(kind: Option<&str>, expression: Option<&str>) -> Result<Query, EcsError> {
    match kind.unwrap_or_default() {
        "memberOf" => query(expression.unwrap_or_default()),
        kind => Err(EcsError::FieldNotSupported(format!("placementConstraints {kind}"))),
    }
}

pub(crate) fn query(expression: &str) -> Result<Query, EcsError> {
    Query::parse(expression).map_err(|error| EcsError::Expression { text: expression.to_owned(), error })
}

/// A definition's constraints and those of a call.
pub(crate) fn all(definition: &[String], call: &[PlacementConstraint]) -> Result<Vec<Query>, EcsError> {
    check_count(definition.len() + call.len())?;
    let own = call.iter().map(|one| member_of(one.r#type.as_deref(), one.expression.as_deref()));
    definition.iter().map(|expression| query(expression)).chain(own).collect()
}
