//! When a container may be made, and when it may be stopped: what its dependencies say.
//!
//! As the ECS agent does, but that images are pulled at once (its ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT).

use crate::order::{Condition, ContainerOrder, Dependency};
use crate::task::{Container, HealthStatus, Stage, Task};
use base::Timestamp;

/// The exit code that the ECS agent gives to a container whose dependency can no longer be met: nothing ran, but a
/// container that ended has to have one.
pub(super) const NEVER_STARTED_CODE: i32 = 143;

/// What stands between a container and its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Something must happen first; at this time at the latest it is too late.
    Closed(Option<Timestamp>),
    /// It never opens: the container's `reason`.
    Never(String),
}

pub(super) fn gate(task: &Task, index: usize, now: Timestamp) -> Gate {
    let order = &task.order.containers[index];
    let mut gate = Gate::Open;
    for dependency in &order.depends_on {
        let Some(at) = task.position(&dependency.container) else { continue };
        match one(&task.containers[at], &task.order.containers[at], dependency, now) {
            Gate::Open => {}
            Gate::Never(why) => return Gate::Never(never(&dependency.container, &order.name, &why)),
            Gate::Closed(until) => gate = Gate::Closed(earlier(&gate, until)),
        }
    }
    gate
}

fn earlier(so_far: &Gate, until: Option<Timestamp>) -> Option<Timestamp> {
    match so_far {
        Gate::Closed(Some(known)) => Some(until.map_or(*known, |until| until.min(*known))),
        _ => until,
    }
}

fn one(on: &Container, its_order: &ContainerOrder, dependency: &Dependency, now: Timestamp) -> Gate {
    let ended = on.stage == Stage::Stopped;
    let met = match dependency.condition {
        Condition::Create => on.stage >= Stage::Created && (on.made || on.started),
        Condition::Start => on.stage >= Stage::Running && on.started,
        Condition::Complete => ended && on.started,
        Condition::Success => ended && on.started && on.exit_code == Some(0),
        Condition::Healthy => on.health.status == HealthStatus::Healthy,
    };
    let times_out = !matches!(dependency.condition, Condition::Create | Condition::Start);
    let until = on.started_at.zip(its_order.start_timeout_s).map(|(at, seconds)| at.plus_secs(seconds));
    match until.filter(|_| times_out && !ended) {
        _ if met => Gate::Open,
        _ if ended && !on.started => Gate::Never("because dependency will never start".to_owned()),
        _ if ended && dependency.condition == Condition::Success => {
            Gate::Never("as dependency did not exit successfully".to_owned())
        }
        _ if ended => Gate::Never("because dependency ended before it was healthy".to_owned()),
        Some(until) if until <= now => Gate::Never("has timed out".to_owned()),
        until => Gate::Closed(until),
    }
}

/// In the ECS agent's words.
fn never(on: &str, container: &str, why: &str) -> String {
    let failed = if why == "has timed out" { "" } else { "failed to resolve " };
    format!(
        "CannotStartContainerError: dependency graph: {failed}container ordering dependency [{on}] for target [{container}] {why}."
    )
}

/// True while a container runs that needs this one: it is stopped first.
pub(super) fn is_needed(task: &Task, index: usize) -> bool {
    let name = &task.order.containers[index].name;
    let needs = |order: &ContainerOrder| order.depends_on.iter().any(|dependency| dependency.container == *name);
    let mut others = task.containers.iter().zip(&task.order.containers);
    others.any(|(other, order)| other.stage != Stage::Stopped && needs(order))
}
