//! SubmitTaskStateChange: an agent tells what became of a task and its containers.

use crate::{reports, supported};
use base::ApiError;
use plan::task_state::Report;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::acs::HOST_STOPPED;
use wire::types::ecs::{SubmitTaskStateChangeRequest, SubmitTaskStateChangeResponse};

/// Members of the request that mean something here.
const SUPPORTED: [&str; 8] =
    ["cluster", "task", "status", "reason", "containers", "pullStartedAt", "pullStoppedAt", "executionStoppedAt"];

pub fn checks(_view: &View, input: &SubmitTaskStateChangeRequest, caller: &Caller) -> Checks {
    reports::checks("ecs:SubmitTaskStateChange", caller, input.cluster.as_deref(), input.task.as_deref())
}

pub fn run(
    tx: &mut Tx,
    input: SubmitTaskStateChangeRequest,
    cx: &mut Cx,
) -> Result<SubmitTaskStateChangeResponse, ApiError> {
    supported::only(&input, &SUPPORTED, "")?;
    let containers = input.containers.unwrap_or_default().into_iter().map(reports::container);
    let report = Report {
        status: reports::observed(input.status.as_deref())?,
        host_stopped: input.reason.as_deref() == Some(HOST_STOPPED),
        reason: input.reason,
        containers: containers.collect::<Result<_, _>>()?,
        pull_started: input.pull_started_at,
        pull_stopped: input.pull_stopped_at,
        execution_stopped: input.execution_stopped_at,
    };
    reports::submit(tx, cx, input.cluster.as_deref(), input.task.as_deref(), &report)?;
    Ok(SubmitTaskStateChangeResponse { acknowledgment: Some(reports::ACKNOWLEDGEMENT.to_owned()) })
}
