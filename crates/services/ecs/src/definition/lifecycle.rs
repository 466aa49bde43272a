//! What a container waits for, how its health is checked, and whether it is started again.
//!
//! Amazon ECS API reference, ContainerDependency, HealthCheck and ContainerRestartPolicy.

use super::limits::{
    HEALTH_INTERVAL_SECS, HEALTH_RETRIES, HEALTH_START_PERIOD_SECS, HEALTH_TIMEOUT_SECS, IGNORED_EXIT_CODES_MAX,
    RESTART_PERIOD_SECS,
};
use crate::errors::DefinitionError;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use wire::types::ecs::{ContainerDefinition, ContainerRestartPolicy, HealthCheck};

/// What ECS fills in.
const INTERVAL_DEFAULT_SECS: i32 = 30;
const TIMEOUT_DEFAULT_SECS: i32 = 5;
const RETRIES_DEFAULT: i32 = 3;
const RESTART_PERIOD_DEFAULT_SECS: i32 = 300;

/// Checks a container's health check and fills in its defaults.
pub(super) fn health_check(
    container: &str,
    given: Option<HealthCheck>,
) -> Result<Option<HealthCheck>, DefinitionError> {
    let Some(given) = given else { return Ok(None) };
    let begins_well = match given.command.split_first() {
        Some((kind, [])) => kind == "NONE",
        Some((kind, _)) => kind == "CMD" || kind == "CMD-SHELL",
        None => false,
    };
    if !begins_well {
        let problem = "Its command must begin with CMD or CMD-SHELL, and name a command.";
        return Err(setting(container, "healthCheck", problem.to_owned()));
    }
    for (member, value, range) in [
        ("interval", given.interval, HEALTH_INTERVAL_SECS),
        ("timeout", given.timeout, HEALTH_TIMEOUT_SECS),
        ("retries", given.retries, HEALTH_RETRIES),
        ("startPeriod", given.start_period, HEALTH_START_PERIOD_SECS),
    ] {
        within(container, "healthCheck", member, value, &range)?;
    }
    Ok(Some(HealthCheck {
        interval: given.interval.or(Some(INTERVAL_DEFAULT_SECS)),
        timeout: given.timeout.or(Some(TIMEOUT_DEFAULT_SECS)),
        retries: given.retries.or(Some(RETRIES_DEFAULT)),
        ..given
    }))
}

/// Checks a container's restart policy and fills in its default.
pub(super) fn restart_policy(
    container: &str,
    given: Option<ContainerRestartPolicy>,
) -> Result<Option<ContainerRestartPolicy>, DefinitionError> {
    let Some(mut given) = given else { return Ok(None) };
    if given.ignored_exit_codes.as_ref().is_some_and(|codes| codes.len() > IGNORED_EXIT_CODES_MAX) {
        let problem = format!("ignoredExitCodes can have at most {IGNORED_EXIT_CODES_MAX} items.");
        return Err(setting(container, "restartPolicy", problem));
    }
    let period = given.restart_attempt_period;
    within(container, "restartPolicy", "restartAttemptPeriod", period, &RESTART_PERIOD_SECS)?;
    if given.enabled {
        given.restart_attempt_period = period.or(Some(RESTART_PERIOD_DEFAULT_SECS));
    }
    Ok(Some(given))
}

fn within(
    container: &str,
    member: &'static str,
    part: &str,
    value: Option<i32>,
    range: &RangeInclusive<i32>,
) -> Result<(), DefinitionError> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(setting(container, member, format!("{part} must be between {} and {}.", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

fn setting(container: &str, member: &'static str, problem: String) -> DefinitionError {
    DefinitionError::Setting { container: container.to_owned(), member, problem }
}

/// Checks what containers depend on: others that can come that far, and no way round.
pub(super) fn check_order(containers: &[ContainerDefinition]) -> Result<(), DefinitionError> {
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in containers {
        let name = container.name.as_deref().unwrap_or_default();
        for dependency in container.depends_on.iter().flatten() {
            check_one(containers, name, &dependency.container_name, &dependency.condition)?;
            graph.entry(name).or_default().push(&dependency.container_name);
        }
    }
    // Whoever depends on none of those left can start; what is then still left goes round.
    while let Some(first) = graph.iter().find(|(_, on)| !on.iter().any(|on| graph.contains_key(on))) {
        let first = *first.0;
        graph.remove(first);
    }
    if graph.is_empty() { Ok(()) } else { Err(DefinitionError::DependencyCycle) }
}

fn check_one(
    containers: &[ContainerDefinition],
    container: &str,
    on: &str,
    condition: &str,
) -> Result<(), DefinitionError> {
    let found = containers.iter().find(|other| other.name.as_deref() == Some(on));
    let found = found.ok_or_else(|| DefinitionError::DependencyUnknown(on.to_owned()))?;
    match condition {
        "COMPLETE" | "SUCCESS" if found.essential.unwrap_or(true) => Err(DefinitionError::DependencyEssential),
        "HEALTHY" if found.health_check.is_none() => {
            Err(DefinitionError::DependencyWithoutHealth { container: container.to_owned(), on: on.to_owned() })
        }
        _ => Ok(()),
    }
}
