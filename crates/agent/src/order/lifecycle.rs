//! When a container may begin, how its health is asked for, and whether it is started again.

use serde::{Deserialize, Serialize};
use wire::acs::{self, docker};

/// Docker's own defaults, for a check that leaves them open (Docker Engine API reference, HealthConfig).
const INTERVAL_DEFAULT_MS: i64 = 30_000;
const TIMEOUT_DEFAULT_MS: i64 = 30_000;
const RETRIES_DEFAULT: u32 = 3;
const NS_PER_MS: i64 = 1_000_000;
/// Seconds that a container must have run to be started again, when its policy says nothing (Amazon ECS API
/// reference, ContainerRestartPolicy).
const ATTEMPT_PERIOD_DEFAULT_S: i64 = 300;

/// What must have become of another container of the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub container: String,
    pub condition: Condition,
}

/// Amazon ECS API reference, ContainerDependency; `Create` is what `volumesFrom` needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    Create,
    Start,
    /// It ended.
    Complete,
    /// It ended with 0.
    Success,
    Healthy,
}

impl Condition {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Start => "START",
            Self::Complete => "COMPLETE",
            Self::Success => "SUCCESS",
            Self::Healthy => "HEALTHY",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What to run in the container; 0 says healthy.
    pub args: Vec<String>,
    pub interval_ms: i64,
    pub timeout_ms: i64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Failures do not count for this long after the start, until a first success.
    pub start_period_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// A container that ends with one of these stays ended.
    pub ignored_exit_codes: Vec<i32>,
    /// A container that ends sooner after its last start stays ended.
    pub attempt_period_s: i64,
}

/// `dependsOn`, and what links and shared volumes imply, as the ECS agent has it.
pub(super) fn dependencies(container: &acs::Container) -> Result<Vec<Dependency>, String> {
    let written = container.depends_on.iter().flatten().map(|given| {
        let condition = condition(given.condition.as_deref().unwrap_or_default())?;
        Ok(Dependency { container: given.container_name.clone().unwrap_or_default(), condition })
    });
    let on = |name: &str, condition| Ok(Dependency { container: name.to_owned(), condition });
    let links = container.links.iter().flatten().map(|link| link.split(':').next().unwrap_or_default());
    let sources = container.volumes_from.iter().flatten().filter_map(|from| from.source_container.as_deref());
    let implied = links.map(|name| on(name, Condition::Start)).chain(sources.map(|name| on(name, Condition::Create)));
    written.chain(implied).collect()
}

fn condition(text: &str) -> Result<Condition, String> {
    match text {
        "START" => Ok(Condition::Start),
        "COMPLETE" => Ok(Condition::Complete),
        "SUCCESS" => Ok(Condition::Success),
        "HEALTHY" => Ok(Condition::Healthy),
        other => {
            Err(format!("the condition {other} of its dependsOn is not one of START, COMPLETE, SUCCESS and HEALTHY"))
        }
    }
}

/// The check that the definition asks for: only one of type `docker` counts, an image's own never does.
pub(super) fn health_check(
    check_type: Option<&str>,
    config: Option<&docker::Healthcheck>,
) -> Result<Option<HealthCheck>, String> {
    match check_type.unwrap_or_default() {
        "" => return Ok(None),
        "docker" => {}
        other => return Err(format!("the health check type {other} is not supported; use docker")),
    }
    let config = config.ok_or("its health check is not in its Docker config")?;
    let Some(args) = args(config.test.as_deref().unwrap_or_default())? else { return Ok(None) };
    let ms = |ns: Option<i64>| ns.map(|ns| ns / NS_PER_MS).filter(|ms| *ms > 0);
    let retries = config.retries.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
    Ok(Some(HealthCheck {
        args,
        interval_ms: ms(config.interval).unwrap_or(INTERVAL_DEFAULT_MS),
        timeout_ms: ms(config.timeout).unwrap_or(TIMEOUT_DEFAULT_MS),
        retries: retries.unwrap_or(RETRIES_DEFAULT),
        start_period_ms: ms(config.start_period).unwrap_or_default(),
    }))
}

/// Docker's `Test`: the command itself, or a text for the shell; none for `NONE`.
fn args(test: &[String]) -> Result<Option<Vec<String>>, String> {
    let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
    match test.split_first() {
        Some((kind, _)) if kind == "NONE" => Ok(None),
        Some((kind, rest)) if kind == "CMD" && !rest.is_empty() => Ok(Some(rest.to_vec())),
        Some((kind, rest)) if kind == "CMD-SHELL" && !rest.is_empty() => {
            Ok(Some(shell.into_iter().chain(rest.iter().cloned()).collect()))
        }
        _ => Err("its health check's command does not begin with CMD or CMD-SHELL and a command".to_owned()),
    }
}

pub(super) fn restart_policy(given: Option<&acs::RestartPolicy>) -> Option<RestartPolicy> {
    let policy = given.filter(|policy| policy.enabled == Some(true))?;
    let codes = policy.ignored_exit_codes.iter().flatten();
    Some(RestartPolicy {
        ignored_exit_codes: codes.filter_map(|code| i32::try_from(*code).ok()).collect(),
        attempt_period_s: policy.restart_attempt_period.unwrap_or(ATTEMPT_PERIOD_DEFAULT_S),
    })
}

/// True when no order of starting the containers satisfies all dependencies: one leads to a container that is not
/// there, or round in a circle.
pub(super) fn is_unresolvable(containers: &[super::ContainerOrder]) -> bool {
    let mut open: Vec<&super::ContainerOrder> = containers.iter().collect();
    let there = |name: &str| containers.iter().any(|container| container.name == name);
    if open.iter().flat_map(|container| &container.depends_on).any(|dependency| !there(&dependency.container)) {
        return true;
    }
    loop {
        let waits = |container: &&super::ContainerOrder| {
            container.depends_on.iter().any(|it| open.iter().any(|other| other.name == it.container))
        };
        let still: Vec<_> = open.iter().copied().filter(waits).collect();
        match still.len() {
            0 => return false,
            same if same == open.len() => return true,
            _ => open = still,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ContainerOrder;
    use super::*;

    #[test]
    fn a_health_check_is_dockers() {
        fn check(test: &[&str], expect: Result<Option<&[&str]>, ()>) {
            let test = Some(test.iter().map(ToString::to_string).collect());
            let config = docker::Healthcheck { test, ..docker::Healthcheck::default() };
            let read = health_check(Some("docker"), Some(&config)).map_err(drop);
            let args = read.map(|check| check.map(|check| check.args));
            let expect = expect.map(|args| args.map(|args| args.iter().map(ToString::to_string).collect()));
            assert_eq!(args, expect, "{config:?}");
        }
        check(&["CMD", "/check", "-v"], Ok(Some(&["/check", "-v"])));
        check(&["CMD-SHELL", "check || exit 1"], Ok(Some(&["/bin/sh", "-c", "check || exit 1"])));
        check(&["NONE"], Ok(None));
        check(&["/check"], Err(()));
        check(&["CMD"], Err(()));
        check(&[], Err(()));
        let config = docker::Healthcheck {
            test: Some(vec!["CMD".to_owned(), "x".to_owned()]),
            interval: Some(5_000_000_000),
            retries: Some(2),
            ..docker::Healthcheck::default()
        };
        let read = health_check(Some("docker"), Some(&config)).expect("read").expect("a check");
        assert_eq!((read.interval_ms, read.timeout_ms, read.retries, read.start_period_ms), (5_000, 30_000, 2, 0));
        assert_eq!(health_check(None, Some(&config)), Ok(None), "ECS does not look at images' own checks");
        assert!(health_check(Some("docker"), None).is_err());
        assert!(health_check(Some("http"), Some(&config)).is_err());
    }

    #[test]
    fn dependencies_that_lead_nowhere_or_round_are_found() {
        fn check(containers: &[(&str, &[&str])], expect: bool) {
            let on = |name: &&str| Dependency { container: (*name).to_owned(), condition: Condition::Start };
            let container = |(name, needs): &(&str, &[&str])| ContainerOrder {
                name: (*name).to_owned(),
                depends_on: needs.iter().map(on).collect(),
                ..ContainerOrder::default()
            };
            let containers: Vec<_> = containers.iter().map(container).collect();
            assert_eq!(is_unresolvable(&containers), expect, "{containers:?}");
        }
        check(&[], false);
        check(&[("a", &[]), ("b", &["a"]), ("c", &["b", "a"])], false);
        check(&[("a", &["b"]), ("b", &[])], false);
        check(&[("a", &["a"])], true);
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &[])], true);
        check(&[("a", &["gone"])], true);
    }
}
