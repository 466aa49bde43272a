//! Order, health and restarts, in the words of the agent protocol and of Docker's API. Pure.

use wire::acs::{self, docker};
use wire::types::ecs::{ContainerDefinition, ContainerRestartPolicy, HealthCheck};

const NS_PER_SEC: i64 = 1_000_000_000;

pub(super) fn depends_on(container: &ContainerDefinition) -> Option<Vec<acs::ContainerDependency>> {
    let needs = container.depends_on.as_ref().filter(|needs| !needs.is_empty())?;
    let dependency = |need: &wire::types::ecs::ContainerDependency| acs::ContainerDependency {
        container_name: Some(need.container_name.clone()),
        condition: Some(need.condition.clone()),
    };
    Some(needs.iter().map(dependency).collect())
}

/// The definition's defaults are filled in already.
pub(super) fn healthcheck(check: &HealthCheck) -> docker::Healthcheck {
    let ns = |seconds: Option<i32>| seconds.map(|seconds| i64::from(seconds) * NS_PER_SEC);
    docker::Healthcheck {
        test: Some(check.command.clone()),
        interval: ns(check.interval),
        timeout: ns(check.timeout),
        start_period: ns(check.start_period),
        retries: check.retries.map(i64::from),
    }
}

pub(super) fn restart_policy(policy: &ContainerRestartPolicy) -> acs::RestartPolicy {
    let codes = policy.ignored_exit_codes.as_ref();
    acs::RestartPolicy {
        enabled: Some(policy.enabled),
        ignored_exit_codes: codes.map(|codes| codes.iter().copied().map(i64::from).collect()),
        restart_attempt_period: policy.restart_attempt_period.map(i64::from),
    }
}
