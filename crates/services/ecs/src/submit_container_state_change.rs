//! SubmitContainerStateChange: an agent tells what became of one container.

use crate::reports;
use base::ApiError;
use plan::task_state::Report;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecs::{ContainerStateChange, SubmitContainerStateChangeRequest, SubmitContainerStateChangeResponse};

pub fn checks(_view: &View, input: &SubmitContainerStateChangeRequest, caller: &Caller) -> Checks {
    reports::checks("ecs:SubmitContainerStateChange", caller, input.cluster.as_deref(), input.task.as_deref())
}

pub fn run(
    tx: &mut Tx,
    input: SubmitContainerStateChangeRequest,
    cx: &mut Cx,
) -> Result<SubmitContainerStateChangeResponse, ApiError> {
    let container = reports::container(ContainerStateChange {
        container_name: input.container_name,
        image_digest: None,
        runtime_id: input.runtime_id,
        exit_code: input.exit_code,
        network_bindings: input.network_bindings,
        reason: input.reason,
        status: input.status,
    })?;
    let report = Report { containers: vec![container], ..Report::default() };
    reports::submit(tx, cx, input.cluster.as_deref(), input.task.as_deref(), &report)?;
    Ok(SubmitContainerStateChangeResponse { acknowledgment: Some(reports::ACKNOWLEDGEMENT.to_owned()) })
}
