//! DescribeTaskEvents: a task's whole story, as long as the task itself is shown.

use crate::story::{self, Node};
use auth::Check;
use base::{ApiError, Arn};
use request::{Caller, Checks, Cx};
use state::{CONTAINER_INSTANCES, Cluster, ContainerInstance, TASK_EVENTS, TASKS, Task};
use store::{View, key};
use wire::types::longshore::{DescribeTaskEventsRequest, DescribeTaskEventsResponse};

/// The cluster of a request that names none, as in ECS.
const DEFAULT_CLUSTER: &str = "default";

/// Lengths of tasks' ids, as in ECS: today's, and the UUIDs of before.
const ID_CHARS: [usize; 2] = [32, 36];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("'{0}' is not the ARN of a task. Use arn:aws:ecs:<region>:<account>:task/<cluster>/<id>, or the id.")]
    TaskName(String),
    #[error("'{0}' is neither the name nor the ARN of a cluster.")]
    ClusterName(String),
    /// ECS's words, as the next.
    #[error("Invalid identifier: Identifier is for cluster {theirs}. Your cluster is {ours}")]
    OtherCluster { theirs: String, ours: String },
    #[error("taskId length should be one of [32,36]")]
    IdLength,
    #[error("The referenced task was not found. It may be of another cluster, or have stopped over 24 hours ago.")]
    TaskUnknown,
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let code = match problem {
            Problem::TaskUnknown => "ResourceNotFoundException",
            _ => "InvalidParameterException",
        };
        Self::client(code, problem.to_string())
    }
}

/// The cluster's name and the task's id. As in ECS, an ARN is of the cluster that is named beside it.
fn named(input: &DescribeTaskEventsRequest) -> Result<(String, String), Problem> {
    let ours = cluster(input.cluster.as_deref())?;
    let id = match input.task.starts_with("arn:") {
        false => input.task.clone(),
        true => {
            let problem = || Problem::TaskName(input.task.clone());
            let arn: Arn = input.task.parse().map_err(|_| problem())?;
            let (theirs, id) =
                arn.resource_of_kind("task").and_then(|rest| rest.split_once('/')).ok_or_else(problem)?;
            if theirs != ours {
                return Err(Problem::OtherCluster { theirs: theirs.to_owned(), ours });
            }
            id.to_owned()
        }
    };
    if ID_CHARS.contains(&id.len()) { Ok((ours, id)) } else { Err(Problem::IdLength) }
}

fn cluster(given: Option<&str>) -> Result<String, Problem> {
    match given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_CLUSTER) {
        arn if arn.starts_with("arn:") => {
            let problem = || Problem::ClusterName(arn.to_owned());
            let parsed: Arn = arn.parse().map_err(|_| problem())?;
            Ok(parsed.resource_of_kind("cluster").ok_or_else(problem)?.to_owned())
        }
        name => Ok(name.to_owned()),
    }
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
    let tells = told.is_some() || instance(view, task).is_some_and(ContainerInstance::is_ours);
    Ok(DescribeTaskEventsResponse {
        task_arn: Some(task.arn().to_string()),
        last_status: Some(task.last.as_str().to_owned()),
        dropped: told.and_then(|told| i64::try_from(told.dropped).ok()),
        events: Some(story::of(task, if tells { Node::Tells(told) } else { Node::Reports })),
    })
}

fn instance<'a>(view: &'a View, task: &Task) -> Option<&'a ContainerInstance> {
    view.get(CONTAINER_INSTANCES, &key![task.account, task.region, task.cluster, task.instance.as_ref()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn tasks_are_named_by_id_or_arn() {
        fn check(cluster: Option<&str>, task: &str, expect: Result<&str, &str>) {
            let input = DescribeTaskEventsRequest { cluster: cluster.map(str::to_owned), task: task.to_owned() };
            let expect = expect.map(|cluster| (cluster.to_owned(), ID.to_owned())).map_err(str::to_owned);
            assert_eq!(named(&input).map_err(|problem| problem.to_string()), expect, "{input:?}");
        }
        let arn = format!("arn:aws:ecs:r:0:task/c/{ID}");
        check(None, ID, Ok("default"));
        check(Some("c"), ID, Ok("c"));
        check(Some("arn:aws:ecs:r:0:cluster/c"), ID, Ok("c"));
        check(Some("c"), &arn, Ok("c"));
        let other = "Invalid identifier: Identifier is for cluster c. Your cluster is other";
        check(Some("other"), &arn, Err(other));
        check(None, &arn, Err("Invalid identifier: Identifier is for cluster c. Your cluster is default"));
        check(Some("c"), "1", Err("taskId length should be one of [32,36]"));
        let service = "arn:aws:ecs:r:0:service/c";
        check(Some(service), ID, Err(&format!("'{service}' is neither the name nor the ARN of a cluster.")));
        for task in ["arn:aws:ecs:r:0:cluster/c", "arn:aws"] {
            let problem = Problem::TaskName(task.to_owned());
            check(None, task, Err(&problem.to_string()));
        }
    }
}
