//! A task's story: what its row remembers, and what its node told, causes before what came of them.
//!
//! The control plane writes nothing for it that it would not write anyway. A node that tells nothing (Amazon's
//! agent) leaves the stations of its reports.

mod order;
#[cfg(test)]
mod tests;

use base::Timestamp;
use order::Mark;
use state::{ContainerInstance, Task, TaskContainer, TaskEvents};
use wire::types::longshore::TaskEvent;

const CONTROL_PLANE: &str = "control-plane";
const NODE: &str = "node";

/// What a task's node has to say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    /// It tells its part itself: so far this, if anything.
    Tells(Option<&'a TaskEvents>),
    /// It reports states alone.
    Reports,
}

/// An event, with what it is to others.
type Marked = (Mark, TaskEvent);

pub(crate) fn of(task: &Task, node: Node<'_>) -> Vec<TaskEvent> {
    let mut own: Vec<Marked> = beginning(task).into_iter().chain(stations(task)).collect();
    // Stable: what happened within one millisecond keeps the order in which it is listed, causes first.
    own.sort_by_key(|(_, event)| event.at);
    let theirs: Vec<TaskEvent> = match node {
        Node::Tells(told) => told.into_iter().flat_map(|told| &told.events).map(of_node).collect(),
        Node::Reports => reported(task),
    };
    order::merged(own, theirs.into_iter().map(|event| (Mark::of_node(&event), event)).collect())
}

fn event(at: Timestamp, kind: &str, text: impl Into<String>) -> TaskEvent {
    TaskEvent {
        at: Some(at),
        source: Some(CONTROL_PLANE.to_owned()),
        kind: Some(kind.to_owned()),
        text: Some(text.into()),
        ..TaskEvent::default()
    }
}

fn beginning(task: &Task) -> Vec<Marked> {
    let definition = format!("{}:{}", task.family, task.revision);
    let by = task.started_by.as_ref().map(|by| format!(", startedBy {by}")).unwrap_or_default();
    let created = event(task.times.created, "CREATED_TASK", format!("a task of {definition}{by}"));
    let placed = task.instance.as_ref().map(|instance| {
        let arn = ContainerInstance::arn_of(&task.account, &task.region, &task.cluster, instance);
        event(task.times.created, "PLACED", format!("on {arn}: {}", task.because))
    });
    std::iter::once(created).chain(placed).map(|event| (Mark::Other, event)).collect()
}

/// In the order in which one leads to the next, where they have the same time.
fn stations(task: &Task) -> Vec<Marked> {
    let times = &task.times;
    let [run, stop] = [("run", task.delivery.run), ("stop", task.delivery.stop)].map(|(what, over)| {
        let text = format!("the order to {what} it");
        (over.map(|it| it.sent), over.map(|it| it.acknowledged), text)
    });
    let code = task.stop_code.as_deref().unwrap_or_default();
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    let by = task.stopped_by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    let stopping = if task.stopped_by.is_some() { Mark::AskedToStop } else { Mark::SeenToStop };
    let stations = [
        (Mark::RunSent, run.0, "ORDER_SENT", run.2.clone()),
        (Mark::RunTaken, run.1, "ORDER_ACKNOWLEDGED", run.2),
        (Mark::Running, times.started, "RUNNING", "every container has started".to_owned()),
        (stopping, times.stopping, "STOPPING_TASK", format!("{code}: {reason}{by}")),
        (Mark::StopSent, stop.0, "ORDER_SENT", stop.2.clone()),
        (Mark::StopTaken, stop.1, "ORDER_ACKNOWLEDGED", stop.2),
        (Mark::Stopped, times.stopped, "STOPPED", format!("{code}: {reason}")),
    ];
    stations.into_iter().filter_map(|(mark, at, kind, text)| Some((mark, event(at?, kind, text)))).collect()
}

/// What reports of states say of a node's part.
fn reported(task: &Task) -> Vec<TaskEvent> {
    let times = &task.times;
    let pulls = [(times.pull_started, "PULL_STARTED"), (times.pull_stopped, "PULLED")];
    let pulls = pulls.into_iter().filter_map(|(at, kind)| Some(event(at?, kind, "the task's images")));
    let over = times.execution_stopped.or(times.stopped);
    let ends = over.into_iter().flat_map(|at| task.containers.iter().filter_map(move |it| end(it, at)));
    pulls.chain(ends).map(|event| TaskEvent { source: Some(NODE.to_owned()), ..event }).collect()
}

/// A container that was never made has failed; it did not exit.
fn end(container: &TaskContainer, at: Timestamp) -> Option<TaskEvent> {
    let kind = if container.runtime_id.is_some() { "EXITED" } else { "FAILED" };
    let code = container.exit_code.map(|code| format!("exit code {code}"));
    let texts: Vec<String> = code.into_iter().chain(container.reason.clone()).collect();
    (!texts.is_empty()).then(|| TaskEvent {
        container: Some(container.name.clone()),
        exit_code: container.exit_code.map(i64::from),
        ..event(at, kind, texts.join(": "))
    })
}

fn of_node(told: &state::TaskEvent) -> TaskEvent {
    TaskEvent {
        at: Some(told.at),
        source: Some(NODE.to_owned()),
        kind: Some(told.kind.clone()),
        container: told.container.clone(),
        text: Some(told.text.clone()),
        exit_code: told.exit_code,
        signal: told.signal,
        out_of_memory: told.out_of_memory.then_some(true),
        health: told.health.clone(),
        bytes: told.bytes,
    }
}
