//! A task's story: what its row remembers, and what its node told, in order of time.
//!
//! The control plane writes nothing for it that it would not write anyway. A node that tells nothing (Amazon's
//! agent) leaves the stations of its reports.

use base::Timestamp;
use state::{ContainerInstance, Task, TaskContainer, TaskEvents};
use wire::types::longshore::TaskEvent;

const CONTROL_PLANE: &str = "control-plane";
const NODE: &str = "node";

pub(crate) fn of(task: &Task, told: Option<&TaskEvents>) -> Vec<TaskEvent> {
    let mut story: Vec<TaskEvent> = beginning(task).into_iter().chain(stations(task)).collect();
    match told {
        Some(told) => story.extend(told.events.iter().map(of_node)),
        None => story.extend(reported(task)),
    }
    // Stable: what happened within one millisecond keeps the order in which it was written down.
    story.sort_by_key(|event| event.at);
    story
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

fn beginning(task: &Task) -> Vec<TaskEvent> {
    let definition = format!("{}:{}", task.family, task.revision);
    let by = task.started_by.as_ref().map(|by| format!(", startedBy {by}")).unwrap_or_default();
    let created = event(task.times.created, "CREATED_TASK", format!("a task of {definition}{by}"));
    let placed = task.instance.as_ref().map(|instance| {
        let arn = ContainerInstance::arn_of(&task.account, &task.region, &task.cluster, instance);
        event(task.times.created, "PLACED", format!("on {arn}: {}", task.because))
    });
    std::iter::once(created).chain(placed).collect()
}

fn stations(task: &Task) -> Vec<TaskEvent> {
    let handed = |what: &'static str, over: Option<state::Handover>| {
        let sent = over.map(|over| event(over.sent, "ORDER_SENT", format!("the order to {what} it")));
        let taken = over.map(|over| event(over.acknowledged, "ORDER_ACKNOWLEDGED", format!("the order to {what} it")));
        sent.into_iter().chain(taken)
    };
    let times = &task.times;
    let code = task.stop_code.as_deref().unwrap_or_default();
    let reason = task.stopped_reason.as_deref().unwrap_or_default();
    let by = task.stopped_by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    let stations = [
        (times.started, "RUNNING", "every container has started".to_owned()),
        (times.stopping, "STOPPING_TASK", format!("{code}: {reason}{by}")),
        (times.stopped, "STOPPED", format!("{code}: {reason}")),
    ];
    let stations = stations.into_iter().filter_map(|(at, kind, text)| Some(event(at?, kind, text)));
    handed("run", task.delivery.run).chain(handed("stop", task.delivery.stop)).chain(stations).collect()
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

fn end(container: &TaskContainer, at: Timestamp) -> Option<TaskEvent> {
    let code = container.exit_code.map(|code| format!("exit code {code}"));
    let texts: Vec<String> = code.into_iter().chain(container.reason.clone()).collect();
    (!texts.is_empty()).then(|| TaskEvent {
        container: Some(container.name.clone()),
        exit_code: container.exit_code.map(i64::from),
        ..event(at, "EXITED", texts.join(": "))
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
