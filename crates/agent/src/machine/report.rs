//! What the control plane is told of a task, and when.

use crate::task::{Binding, Container, Reported, Stage, Task};
use base::Timestamp;
use wire::acs::HOST_STOPPED;

#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// SubmitTaskStateChange.
    Task(TaskReport),
    /// SubmitContainerStateChange: a container ended while its task goes on.
    Container(ContainerReport),
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskReport {
    /// Never [`Reported::Nothing`].
    pub status: Reported,
    pub reason: Option<String>,
    pub containers: Vec<ContainerReport>,
    pub pull_started: Option<Timestamp>,
    pub pull_stopped: Option<Timestamp>,
    pub execution_stopped: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ContainerReport {
    pub name: String,
    /// Never [`Reported::Nothing`].
    pub status: Reported,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub bindings: Vec<Binding>,
}

impl Report {
    /// The next thing to tell, if there is any. RUNNING is told before STOPPED, however short it was;
    /// STOPPED only when all that was told before is `durable`, or a restart could tell it again.
    pub(super) fn next(task: &Task, durable: bool) -> Option<Self> {
        let over = durable && task.containers.iter().all(Container::is_over);
        let ran = has_run(task);
        let resolved = task.containers.iter().any(|container| container.stage == Stage::ManifestPulled);
        let due = match task.reported {
            Reported::Stopped => return None,
            Reported::Nothing | Reported::Pending if ran => Reported::Running,
            _ if over => Reported::Stopped,
            Reported::Nothing if resolved => Reported::Pending,
            // Of a task that ends with its node, the task's own end alone is told: it says why.
            Reported::Running if task.stage() == Stage::Running && !task.host_stopped => {
                return ended(task).map(Self::Container);
            }
            Reported::Nothing | Reported::Pending | Reported::Running => return None,
        };
        Some(Self::Task(task_report(task, due)))
    }

    /// True for the last report of a task.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Task(report) if report.status == Reported::Stopped)
    }

    /// Notes in the task that this was acknowledged.
    pub(super) fn settle(&self, task: &mut Task) {
        let told = match self {
            Self::Task(report) => {
                task.reported = report.status;
                report.containers.iter().collect()
            }
            Self::Container(report) => vec![report],
        };
        for report in told.into_iter().filter(|report| report.status == Reported::Stopped) {
            if let Some(index) = task.position(&report.name) {
                task.containers[index].end_reported = true;
            }
        }
    }
}

/// True once every container has started. A non-essential one that ended without having started is
/// not waited for, as long as the task goes on without it.
fn has_run(task: &Task) -> bool {
    let containers = || task.containers.iter().zip(&task.order.containers);
    let goes_on = containers().any(|(container, order)| order.essential && container.started)
        && !containers().any(|(container, order)| order.essential && container.stage == Stage::Stopped);
    containers().all(|(container, order)| container.started || (goes_on && !order.essential && container.is_over()))
}

/// A container whose end is complete and not told yet.
fn ended(task: &Task) -> Option<ContainerReport> {
    let untold = |container: &Container| container.is_over() && !container.end_reported;
    let index = task.containers.iter().position(untold)?;
    Some(container_report(task, index, Reported::Stopped))
}

fn task_report(task: &Task, status: Reported) -> TaskReport {
    let over = task.containers.iter().all(Container::is_over);
    let status_of = |container: &Container| match status {
        // A task that is already over was running a moment ago: its end is the next report.
        Reported::Running if !over && container.is_over() => Reported::Stopped,
        Reported::Pending if container.started => Reported::Running,
        _ => status,
    };
    TaskReport {
        status,
        reason: failure(task).filter(|_| status == Reported::Stopped).or_else(|| host_stopped(task)),
        containers: (0..task.containers.len())
            .map(|index| container_report(task, index, status_of(&task.containers[index])))
            .collect(),
        pull_started: task.pull_started,
        pull_stopped: task.pull_stopped,
        execution_stopped: task.execution_stopped.filter(|_| status == Reported::Stopped),
    }
}

/// Why the task never ran: what the agent cannot do for it, or the first container that failed.
fn failure(task: &Task) -> Option<String> {
    let failed = |container: &&Container| !container.started && container.reason.is_some();
    let first = || task.containers.iter().find(failed).and_then(|container| container.reason.clone());
    task.order.refusal.clone().or_else(first)
}

fn host_stopped(task: &Task) -> Option<String> {
    task.host_stopped.then(|| HOST_STOPPED.to_owned())
}

fn container_report(task: &Task, index: usize, status: Reported) -> ContainerReport {
    let container = &task.containers[index];
    let stopped = status == Reported::Stopped;
    ContainerReport {
        name: task.order.containers[index].name.clone(),
        status,
        runtime_id: container.made.then(|| container.runtime_id.clone()),
        image_digest: container.image_digest.clone(),
        exit_code: container.exit_code.filter(|_| stopped),
        reason: container.reason.clone().or_else(|| task.order.containers[index].refusal.clone()).filter(|_| stopped),
        bindings: container.bindings.clone(),
    }
}
