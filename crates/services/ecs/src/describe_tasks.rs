//! DescribeTasks: tasks of one cluster, stopped ones for a while too.

use crate::find;
use crate::names::{Kind, Scope};
use crate::show;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{DescribeTasksRequest, DescribeTasksResponse};

/// Tasks of one call (Amazon ECS API reference, DescribeTasks).
const TASKS_MAX: usize = 100;

pub fn checks(_view: &View, input: &DescribeTasksRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let members = scope.members(Kind::Task, cluster, &input.tasks, TASKS_MAX)?;
    let check = |arn| Check::new("ecs:DescribeTasks", arn).with("ecs:cluster", [scope.cluster_arn(cluster)]);
    Ok(members.into_iter().map(|member| check(member.arn)).collect())
}

pub fn run(view: &View, input: DescribeTasksRequest, cx: &mut Cx) -> Result<DescribeTasksResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(view, scope, cluster)?;
    let with_tags = input.include.iter().flatten().any(|part| part == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for member in scope.members(Kind::Task, cluster, &input.tasks, TASKS_MAX)? {
        match find::task(view, scope, cluster, &member) {
            Some(row) => tasks.push(show::task(view, row, with_tags)?),
            None => failures.push(show::missing(member)),
        }
    }
    Ok(DescribeTasksResponse { tasks: Some(tasks), failures: Some(failures) })
}
