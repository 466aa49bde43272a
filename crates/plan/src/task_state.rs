//! What a task becomes by an agent's report or an order to stop.
//!
//! ```text
//! PENDING --agent: RUNNING--> RUNNING --agent: STOPPED--> STOPPED
//!    \------------------agent: STOPPED-------------------/
//! ```
//! Reports arrive late and repeatedly: what is known is never taken back, a
//! status never goes backwards, and STOPPED is final. Times and the cause of
//! the end are written once, by whoever comes first.

use base::Timestamp;
use state::{DesiredStatus, LastStatus, NetworkBinding, Task, TaskContainer};

/// What an agent says of a task. A report of one container alone has no `status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub status: Option<Observed>,
    pub reason: Option<String>,
    /// The task was ended because its node was taken down.
    pub host_stopped: bool,
    pub containers: Vec<ContainerReport>,
    pub pull_started: Option<Timestamp>,
    pub pull_stopped: Option<Timestamp>,
    pub execution_stopped: Option<Timestamp>,
}

/// What an agent says of a container; what it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerReport {
    pub name: String,
    pub status: Option<Observed>,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub bindings: Vec<NetworkBinding>,
}

/// The statuses that agents report, of tasks and containers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    Pending,
    Running,
    Stopped,
}

impl Observed {
    /// Reads the wire's `PENDING`, `RUNNING` or `STOPPED`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PENDING" => Some(Self::Pending),
            "RUNNING" => Some(Self::Running),
            "STOPPED" => Some(Self::Stopped),
            _ => None,
        }
    }
}

impl From<Observed> for LastStatus {
    fn from(observed: Observed) -> Self {
        match observed {
            Observed::Pending => Self::Pending,
            Observed::Running => Self::Running,
            Observed::Stopped => Self::Stopped,
        }
    }
}

/// Why a task ends: its `stopCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCode {
    EssentialContainerExited,
    TaskFailedToStart,
    /// The host under the task went away, as ECS says of an instance that was stopped.
    TerminationNotice,
    UserInitiated,
}

impl StopCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::TerminationNotice => "TerminationNotice",
            Self::UserInitiated => "UserInitiated",
        }
    }
}

/// `stoppedReason` of [`StopCode::EssentialContainerExited`].
const ESSENTIAL_EXITED: &str = "Essential container in task exited";

/// `stoppedReason` of [`StopCode::TerminationNotice`].
const HOST_STOPPED: &str = "Host stopped: its operator took the node down.";

/// `stoppedReason` of [`StopCode::TaskFailedToStart`] when the agent gives none.
const FAILED_TO_START: &str = "Task failed to start";

/// The one reason that a container may have although it ran.
const OUT_OF_MEMORY: &str = "OutOfMemoryError";

/// The task after `report`, which arrived at `now`. Containers that the task does not have are passed over.
pub fn reported(task: &Task, report: &Report, now: Timestamp) -> Task {
    let mut next = task.clone();
    if task.last == LastStatus::Stopped {
        return next;
    }
    next.times.connectivity.get_or_insert(now);
    next.times.pull_started = next.times.pull_started.or(report.pull_started);
    next.times.pull_stopped = next.times.pull_stopped.or(report.pull_stopped);
    next.times.execution_stopped = next.times.execution_stopped.or(report.execution_stopped);
    for said in &report.containers {
        if let Some(container) = next.containers.iter_mut().find(|container| container.name == said.name) {
            learn(container, said);
        }
    }
    match report.status {
        Some(Observed::Running) => run(&mut next, now),
        Some(Observed::Stopped) => end(&mut next, report, now),
        Some(Observed::Pending) | None => {}
    }
    if next.containers.iter().any(is_over) {
        by_itself(&mut next, report, now);
    }
    counted(task, next)
}

/// The task once it is asked to stop; one that is stopping already keeps its first cause.
pub fn stopped_by(task: &Task, code: StopCode, reason: &str, now: Timestamp) -> Task {
    let mut next = task.clone();
    stop(&mut next, code, reason, now);
    counted(task, next)
}

/// Every change makes an event, and every event counts.
fn counted(before: &Task, mut next: Task) -> Task {
    next.version += u64::from(next != *before);
    next
}

fn learn(container: &mut TaskContainer, said: &ContainerReport) {
    container.last = container.last.max(said.status.map_or(container.last, LastStatus::from));
    container.exit_code = container.exit_code.or(said.exit_code);
    fill(&mut container.runtime_id, &said.runtime_id);
    fill(&mut container.image_digest, &said.image_digest);
    fill(&mut container.reason, &said.reason);
    if container.bindings.is_empty() {
        container.bindings.clone_from(&said.bindings);
    }
}

fn fill(known: &mut Option<String>, said: &Option<String>) {
    if known.is_none() {
        *known = said.clone().filter(|text| !text.is_empty());
    }
}

fn run(task: &mut Task, now: Timestamp) {
    if task.last < LastStatus::Running {
        task.last = LastStatus::Running;
        task.times.started = Some(now);
    }
}

fn end(task: &mut Task, report: &Report, now: Timestamp) {
    task.containers.iter_mut().for_each(|container| container.last = LastStatus::Stopped);
    by_itself(task, report, now);
    task.last = LastStatus::Stopped;
    task.times.execution_stopped.get_or_insert(now);
    task.times.stopped = Some(now);
}

fn is_over(container: &TaskContainer) -> bool {
    container.essential && container.last == LastStatus::Stopped
}

/// Stops a task that nobody asked to stop.
fn by_itself(task: &mut Task, report: &Report, now: Timestamp) {
    if report.host_stopped {
        return stop(task, StopCode::TerminationNotice, HOST_STOPPED, now);
    }
    if ran(task) {
        return stop(task, StopCode::EssentialContainerExited, ESSENTIAL_EXITED, now);
    }
    let told = report.reason.clone().filter(|reason| !reason.is_empty());
    let reason = told.or_else(|| task.containers.iter().find_map(|container| container.reason.clone()));
    stop(task, StopCode::TaskFailedToStart, reason.as_deref().unwrap_or(FAILED_TO_START), now);
}

/// True when the task was seen running, or ended so fast that its end was seen first.
fn ran(task: &Task) -> bool {
    let over = || task.containers.iter().filter(|container| is_over(container));
    task.times.started.is_some() || (over().any(|container| container.exit_code.is_some()) && !over().any(failed))
}

/// True when the agent gives a reason that speaks of an attempt to start, not of the process.
fn failed(container: &TaskContainer) -> bool {
    container.reason.as_deref().is_some_and(|reason| !reason.starts_with(OUT_OF_MEMORY))
}

fn stop(task: &mut Task, code: StopCode, reason: &str, now: Timestamp) {
    if task.desired == DesiredStatus::Running {
        task.desired = DesiredStatus::Stopped;
        task.stop_code = Some(code.as_str().to_owned());
        task.stopped_reason = Some(reason.to_owned());
        task.times.stopping.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests;
