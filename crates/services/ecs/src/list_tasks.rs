//! ListTasks: ARNs of a cluster's tasks, by default of those that should run.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use crate::paging::Page;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::{TASKS, Task};
use store::{View, key};
use wire::types::ecs::{ListTasksRequest, ListTasksResponse};

pub fn checks(_view: &View, input: &ListTasksRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let instance = input.container_instance.as_deref().filter(|given| !given.is_empty());
    let resource = match instance {
        Some(given) => scope.member(Kind::ContainerInstance, cluster, given)?.arn,
        None => "*".to_owned(),
    };
    Ok(vec![Check::new("ecs:ListTasks", resource).with("ecs:cluster", [scope.cluster_arn(cluster)])])
}

pub fn run(view: &View, input: ListTasksRequest, cx: &mut Cx) -> Result<ListTasksResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(view, scope, cluster)?;
    check(&input)?;
    let page = Page::new(List::of(&cx.caller, "ListTasks", &input), input.max_results, input.next_token.as_deref())?;
    let all = key![scope.account, scope.region, cluster];
    let (rows, next_token) = match given(&input.container_instance) {
        None => page.cut(view.scan_after(TASKS, &all, &page.start(&all)).filter(|task| fits(&input, task)), position),
        Some(instance) => {
            let id = scope.member(Kind::ContainerInstance, cluster, instance)?.id;
            let seen = |task: &&Task| page.after.as_ref().is_some_and(|after| task.id <= *after);
            let rows = view.by(TASKS::BY_INSTANCE, &all.push(id)).skip_while(seen);
            page.cut(rows.filter(|task| fits(&input, task)), position)
        }
    };
    let task_arns = rows.into_iter().map(|row| row.arn().to_string()).collect();
    Ok(ListTasksResponse { task_arns: Some(task_arns), next_token })
}

fn given(filter: &Option<String>) -> Option<&str> {
    filter.as_deref().filter(|text| !text.is_empty())
}

/// There are no services and daemons yet, so none can be found.
fn check(input: &ListTasksRequest) -> Result<(), EcsError> {
    let others = [&input.container_instance, &input.family, &input.service_name];
    if given(&input.started_by).is_some() && others.into_iter().any(|other| given(other).is_some()) {
        return Err(EcsError::StartedByAlone);
    }
    if given(&input.daemon_name).is_some() {
        return Err(EcsError::FieldNotSupported("daemonName".to_owned()));
    }
    match given(&input.service_name) {
        Some(_) => Err(EcsError::ServiceNotFound),
        None => Ok(()),
    }
}

/// No task is ever meant to be PENDING, so that filter finds none (Amazon ECS API reference).
fn fits(input: &ListTasksRequest, task: &Task) -> bool {
    task.desired.as_str() == given(&input.desired_status).unwrap_or("RUNNING")
        && given(&input.family).is_none_or(|family| task.family == family)
        && given(&input.started_by).is_none_or(|started_by| task.started_by.as_deref() == Some(started_by))
        && given(&input.launch_type).is_none_or(|launch_type| task.launch_type == launch_type)
}

fn position(task: &Task) -> String {
    task.id.clone()
}
