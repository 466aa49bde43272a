//! Roles that callers hand to tasks.

use crate::errors::{DefinitionError, EcsError};
use auth::Check;
use base::Arn;

/// Whom task and execution roles are passed to.
const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// The ARN of a role that is given by ARN or by name; nothing for an empty text.
pub(crate) fn arn(account: &str, given: Option<&str>) -> Result<Option<String>, EcsError> {
    let Some(given) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    if !given.starts_with("arn:") {
        return Ok(Some(Arn::new("iam", "", account, format!("role/{given}")).to_string()));
    }
    let parsed = given.parse::<Arn>().ok().filter(|arn| arn.service == "iam" && arn.resource_of_kind("role").is_some());
    parsed.map(|arn| Some(arn.to_string())).ok_or_else(|| DefinitionError::Role.into())
}

/// `iam:PassRole` for each role given.
pub(crate) fn checks(account: &str, given: [Option<&str>; 2]) -> Result<Vec<Check>, EcsError> {
    let mut checks = Vec::new();
    for role in given {
        checks.extend(arn(account, role)?.map(|role| Check::pass_role(role, TASKS_SERVICE)));
    }
    Ok(checks)
}
