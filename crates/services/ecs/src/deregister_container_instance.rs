//! DeregisterContainerInstance: the instance becomes INACTIVE and its agent is sent away.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use crate::show::{self, InstanceParts};
use auth::Check;
use base::ApiError;
use plan::task_state::{Observed, Report, StopCode, reported, stopped_by};
use request::{Caller, Checks, Cx};
use state::{CONTAINER_INSTANCES, DesiredStatus, InstanceStatus, TASKS, Task};
use store::{Tx, View};
use wire::types::ecs::{DeregisterContainerInstanceRequest, DeregisterContainerInstanceResponse};

/// Tasks that a forced deregistration ends. Ours: within the rows and bytes of one transaction.
const TASKS_MAX: usize = 100;

pub fn checks(_view: &View, input: &DeregisterContainerInstanceRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster_arn(scope.cluster(input.cluster.as_deref())?);
    Ok(vec![Check::new("ecs:DeregisterContainerInstance", cluster)])
}

/// With `force`, tasks end here at once; their containers are left to the machine.
pub fn run(
    tx: &mut Tx,
    input: DeregisterContainerInstanceRequest,
    cx: &mut Cx,
) -> Result<DeregisterContainerInstanceResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(tx, scope, cluster)?;
    let member = scope.member(Kind::ContainerInstance, cluster, &input.container_instance)?;
    let mut row = find::instance(tx, scope, cluster, &member).cloned().ok_or(EcsError::InstanceNotFound)?;
    let tasks: Vec<Task> = find::tasks_on(tx, &row).cloned().collect();
    match (tasks.len(), input.force.unwrap_or(false)) {
        (0, _) => {}
        (_, false) => return Err(EcsError::InstanceBusy.into()),
        (tasks, true) if tasks > TASKS_MAX => return Err(EcsError::InstanceTooBusy { tasks, most: TASKS_MAX }.into()),
        (_, true) => tasks.iter().for_each(|task| tx.put(TASKS, ended(task, cx))),
    }
    if row.status != InstanceStatus::Inactive {
        (row.status, row.agent_connected) = (InstanceStatus::Inactive, false);
        row.version += 1;
        tx.put(CONTAINER_INSTANCES, row.clone());
    }
    let shown = show::instance(tx, &row, InstanceParts::default());
    Ok(DeregisterContainerInstanceResponse { container_instance: Some(shown) })
}

fn ended(task: &Task, cx: &Cx) -> Task {
    let instance = task.instance.as_deref().unwrap_or_default();
    let reason = format!("Container instance {instance} was deregistered by force.");
    let mut stopping = stopped_by(task, StopCode::UserInitiated, &reason, cx.now);
    if task.desired == DesiredStatus::Running {
        stopping.stopped_by = Some(cx.caller.principal.arn());
    }
    reported(&stopping, &Report { status: Some(Observed::Stopped), ..Report::default() }, cx.now)
}
