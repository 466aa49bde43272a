//! DescribeTaskEvents: a task's whole story, as long as the task itself is shown.

use crate::story;
use auth::Check;
use base::{ApiError, Arn};
use request::{Caller, Checks, Cx};
use state::{Cluster, TASK_EVENTS, TASKS, Task};
use store::{View, key};
use wire::types::longshore::{DescribeTaskEventsRequest, DescribeTaskEventsResponse};

/// The cluster of a request that names none, as in ECS.
const DEFAULT_CLUSTER: &str = "default";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("'{0}' is not the ARN of a task. Use arn:aws:ecs:<region>:<account>:task/<cluster>/<id>, or the id.")]
    TaskName(String),
    #[error("'{0}' is neither the name nor the ARN of a cluster.")]
    ClusterName(String),
    #[error("The referenced task was not found. It may be of another cluster, or have stopped over 24 hours ago.")]
    TaskUnknown,
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let code = match problem {
            Problem::TaskName(_) | Problem::ClusterName(_) => "InvalidParameterException",
            Problem::TaskUnknown => "ResourceNotFoundException",
        };
        Self::client(code, problem.to_string())
    }
}

/// The cluster's name and the task's id: an ARN says both.
fn named(input: &DescribeTaskEventsRequest) -> Result<(String, String), Problem> {
    if input.task.starts_with("arn:") {
        let problem = || Problem::TaskName(input.task.clone());
        let arn: Arn = input.task.parse().map_err(|_| problem())?;
        let (cluster, id) = arn.resource_of_kind("task").and_then(|rest| rest.split_once('/')).ok_or_else(problem)?;
        return Ok((cluster.to_owned(), id.to_owned()));
    }
    let cluster = match input.cluster.as_deref().filter(|cluster| !cluster.is_empty()) {
        None => DEFAULT_CLUSTER.to_owned(),
        Some(arn) if arn.starts_with("arn:") => {
            let problem = || Problem::ClusterName(arn.to_owned());
            let parsed: Arn = arn.parse().map_err(|_| problem())?;
            parsed.resource_of_kind("cluster").ok_or_else(problem)?.to_owned()
        }
        Some(name) => name.to_owned(),
    };
    Ok((cluster, input.task.clone()))
}

pub fn checks(_view: &View, input: &DescribeTaskEventsRequest, caller: &Caller) -> Checks {
    let (cluster, id) = named(input)?;
    let arn = match input.task.parse::<Arn>() {
        Ok(arn) => arn,
        Err(_) => Task::arn_of(&caller.account, &caller.region, &cluster, &id),
    };
    let cluster = Cluster::arn_of(&arn.account, &arn.region, &cluster).to_string();
    Ok(vec![Check::new("longshore:DescribeTaskEvents", arn.to_string()).with("ecs:cluster", [cluster])])
}

pub fn run(view: &View, input: DescribeTaskEventsRequest, cx: &mut Cx) -> Result<DescribeTaskEventsResponse, ApiError> {
    let (cluster, id) = named(&input)?;
    let key = key![cx.account(), cx.region(), cluster, id];
    let task = view.get(TASKS, &key).ok_or(Problem::TaskUnknown)?;
    let told = view.get(TASK_EVENTS, &key);
    Ok(DescribeTaskEventsResponse {
        task_arn: Some(task.arn().to_string()),
        last_status: Some(task.last.as_str().to_owned()),
        dropped: told.and_then(|told| i64::try_from(told.dropped).ok()),
        events: Some(story::of(task, told)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_by_id_or_arn() {
        fn check(cluster: Option<&str>, task: &str, expect: Result<(&str, &str), ()>) {
            let input = DescribeTaskEventsRequest { cluster: cluster.map(str::to_owned), task: task.to_owned() };
            let expect = expect.map(|(cluster, id)| (cluster.to_owned(), id.to_owned()));
            assert_eq!(named(&input).map_err(drop), expect, "{input:?}");
        }
        check(None, "1", Ok(("default", "1")));
        check(Some("c"), "1", Ok(("c", "1")));
        check(Some("arn:aws:ecs:r:0:cluster/c"), "1", Ok(("c", "1")));
        check(Some("other"), "arn:aws:ecs:r:0:task/c/1", Ok(("c", "1")));
        check(Some("arn:aws:ecs:r:0:service/c"), "1", Err(()));
        check(None, "arn:aws:ecs:r:0:cluster/c", Err(()));
        check(None, "arn:aws", Err(()));
    }
}
