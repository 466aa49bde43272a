//! A task as commands look at it: found by id or ARN, its states, the streams of its containers.

use crate::session::{Session, items, last, taken, text};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Where a container writes by the awslogs driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub container: String,
    pub group: String,
    pub stream: String,
}

/// The task as DescribeTasks tells it. Every command that is given a task asks for it here first, so that the same
/// mistake has the same answer everywhere.
pub async fn describe(session: &Session, cluster: &str, task: &str) -> Result<Value> {
    found(session.ecs("DescribeTasks", &json!({ "cluster": cluster, "tasks": [task] })).await?, cluster, task)
}

/// The one task of an answer; DescribeTasks tells a missing one among its failures.
fn found(mut answer: Value, cluster: &str, task: &str) -> Result<Value> {
    taken(&mut answer, "tasks").into_iter().next().with_context(|| {
        format!("task {} was not found in cluster {cluster}: `longshore ps --all` lists its tasks", last(task))
    })
}

/// The streams of the task's containers, of `only` one of them if it is named.
pub async fn streams(session: &Session, task: &Value, only: Option<&str>) -> Result<Vec<Stream>> {
    let input = json!({ "taskDefinition": text(&task["taskDefinitionArn"])? });
    let definition = session.ecs("DescribeTaskDefinition", &input).await?;
    let containers = items(&definition["taskDefinition"]["containerDefinitions"]);
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let streams: Vec<_> = containers
        .iter()
        .filter(|container| wanted(container["name"].as_str().unwrap_or_default()))
        .filter_map(|container| stream(container, task))
        .collect();
    if streams.is_empty() {
        bail!("{} has no container that logs by awslogs{}", last(&text(&task["taskArn"])?), named(only));
    }
    Ok(streams)
}

fn named(only: Option<&str>) -> String {
    only.map_or(String::new(), |name| format!(" and is called {name}"))
}

/// `prefix/container/task`, or the container's runtime id where there is no prefix.
fn stream(container: &Value, task: &Value) -> Option<Stream> {
    let config = &container["logConfiguration"];
    if config["logDriver"] != "awslogs" {
        return None;
    }
    let (name, options) = (container["name"].as_str()?, &config["options"]);
    let running = items(&task["containers"]).iter().find(|running| running["name"] == *name)?;
    let stream = match options["awslogs-stream-prefix"].as_str() {
        Some(prefix) => format!("{prefix}/{name}/{}", last(task["taskArn"].as_str()?)),
        None => running["runtimeId"].as_str()?.to_owned(),
    };
    Some(Stream { container: name.to_owned(), group: options["awslogs-group"].as_str()?.to_owned(), stream })
}

/// The exit code of the container that decides: the first essential one that ended otherwise than well, else 0.
///
/// # Errors
/// Why a container has none.
pub fn exit_code(task: &Value) -> Result<i64> {
    let containers = items(&task["containers"]);
    let codes: Vec<_> = containers.iter().map(|container| container["exitCode"].as_i64()).collect();
    if let Some(code) = codes.iter().flatten().find(|code| **code != 0) {
        return Ok(*code);
    }
    match containers.iter().find(|container| container["exitCode"].is_null()) {
        None => Ok(0),
        Some(container) => {
            let reason = container["reason"].as_str().or(task["stoppedReason"].as_str());
            let name = container["name"].as_str().unwrap_or_default();
            bail!("container {name} did not run: {}", reason.context("no reason is given")?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_missing_is_said_to_be() {
        let there = json!({ "tasks": [{ "taskArn": "arn" }], "failures": [] });
        assert_eq!(found(there, "c", "t").expect("a task"), json!({ "taskArn": "arn" }));
        for answer in [json!({ "tasks": [], "failures": [{ "arn": "arn", "reason": "MISSING" }] }), Value::Null] {
            let error = found(answer, "c", "arn:aws:ecs:r:0:task/c/t").expect_err("no task").to_string();
            assert_eq!(error, "task t was not found in cluster c: `longshore ps --all` lists its tasks");
        }
    }

    #[test]
    fn a_stream_is_named_by_prefix_or_by_runtime_id() {
        fn check(prefix: Option<&str>, expect: &str) {
            let mut options = json!({ "awslogs-group": "/g" });
            if let Some(prefix) = prefix {
                options["awslogs-stream-prefix"] = prefix.into();
            }
            let container =
                json!({ "name": "app", "logConfiguration": { "logDriver": "awslogs", "options": options } });
            let task = json!({ "taskArn": "arn:x:task/c/1", "containers": [{ "name": "app", "runtimeId": "r" }] });
            assert_eq!(stream(&container, &task).map(|it| it.stream).as_deref(), Some(expect));
        }
        check(Some("p"), "p/app/1");
        check(None, "r");
        assert_eq!(stream(&json!({ "name": "app" }), &json!({})), None);
    }

    #[test]
    fn the_exit_code_is_the_first_that_is_not_well() {
        let task = |codes: &[i64]| {
            let containers: Vec<_> = codes.iter().map(|code| json!({ "name": "c", "exitCode": code })).collect();
            json!({ "containers": containers })
        };
        assert_eq!(exit_code(&task(&[0, 0])).ok(), Some(0));
        assert_eq!(exit_code(&task(&[0, 7, 9])).ok(), Some(7));
        let failed = json!({ "containers": [{ "name": "c", "reason": "CannotPullContainerError: no" }] });
        assert!(exit_code(&failed).expect_err("no code").to_string().contains("CannotPullContainerError"));
    }
}
