//! StopTask: the node hears of it from control, and its report ends the task.

use crate::find;
use crate::names::{Kind, Scope};
use crate::show;
use auth::Check;
use base::ApiError;
use plan::task_state::{StopCode, stopped_by};
use request::{Caller, Checks, Cx};
use state::{DesiredStatus, TASKS};
use store::{Tx, View};
use wire::types::ecs::{StopTaskRequest, StopTaskResponse};

/// `stoppedReason` where the caller gives none.
const DEFAULT_REASON: &str = "Task stopped by user";

pub fn checks(_view: &View, input: &StopTaskRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let member = scope.member(Kind::Task, cluster, &input.task)?;
    Ok(vec![Check::new("ecs:StopTask", member.arn).with("ecs:cluster", [scope.cluster_arn(cluster)])])
}

/// A task that is stopping or stopped is answered as it is. Stopping takes a task's tags away
/// (Amazon ECS API reference, StopTask).
pub fn run(tx: &mut Tx, input: StopTaskRequest, cx: &mut Cx) -> Result<StopTaskResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let row = find::one_task(tx, scope, cluster, &input.task)?;
    let reason = input.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(DEFAULT_REASON);
    let mut task = stopped_by(row, StopCode::UserInitiated, reason, cx.now);
    if row.desired == DesiredStatus::Running {
        task.stopped_by = Some(cx.caller.principal.arn());
    }
    task.tags.clear();
    let answer = StopTaskResponse { task: Some(show::task(tx, &task, true)?) };
    tx.put(TASKS, task);
    Ok(answer)
}
