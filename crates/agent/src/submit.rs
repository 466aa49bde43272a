//! Telling the control plane what became of tasks.

use crate::backoff::Backoff;
use crate::machine::{ContainerReport, Report, TaskReport};
use crate::task::{Binding, Reported};
use client::{AwsClient, CallError};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Pauses between attempts to submit a report.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Submits a report of a task of that ARN and cluster ARN until it is taken, or refused for good.
pub async fn submit(aws: &AwsClient, task: &str, cluster: &str, report: &Report) {
    let (operation, input) = request(task, cluster, report);
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
    loop {
        match aws.call("ecs", operation, &input).await {
            Ok(_) => return,
            Err(error) if is_final(&error) => {
                return tracing::error!(task, %error, "the control plane refuses a report; it is given up");
            }
            Err(error) => {
                tracing::warn!(task, %error, "a report could not be submitted; trying again");
                backoff.wait().await;
            }
        }
    }
}

/// What no repetition changes: the task or its cluster is not known there, or not ours.
fn is_final(error: &CallError) -> bool {
    const FINAL: [&str; 4] =
        ["InvalidParameterException", "ClientException", "ClusterNotFoundException", "AccessDeniedException"];
    error.code().is_some_and(|code| FINAL.contains(&code))
}

/// Operation and input document.
fn request(task: &str, cluster: &str, report: &Report) -> (&'static str, Value) {
    match report {
        Report::Task(report) => ("SubmitTaskStateChange", task_document(task, cluster, report)),
        Report::Container(report) => {
            let mut document = container_document(report);
            // This operation has no place for the image's digest.
            document.remove("imageDigest");
            document.extend([("cluster".to_owned(), json!(cluster)), ("task".to_owned(), json!(task))]);
            ("SubmitContainerStateChange", document.into())
        }
    }
}

fn task_document(task: &str, cluster: &str, report: &TaskReport) -> Value {
    let containers: Vec<Value> = report.containers.iter().map(|it| container_document(it).into()).collect();
    present([
        ("cluster", json!(cluster)),
        ("task", json!(task)),
        ("status", json!(status(report.status))),
        ("reason", json!(report.reason)),
        ("containers", containers.into()),
        ("pullStartedAt", json!(report.pull_started)),
        ("pullStoppedAt", json!(report.pull_stopped)),
        ("executionStoppedAt", json!(report.execution_stopped)),
    ])
    .into()
}

fn container_document(report: &ContainerReport) -> Map<String, Value> {
    let bindings: Vec<Value> = report.bindings.iter().map(binding).collect();
    present([
        ("containerName", json!(report.name)),
        ("status", json!(status(report.status))),
        ("runtimeId", json!(report.runtime_id)),
        ("imageDigest", json!(report.image_digest)),
        ("exitCode", json!(report.exit_code)),
        ("reason", json!(report.reason)),
        ("networkBindings", if bindings.is_empty() { Value::Null } else { bindings.into() }),
    ])
}

/// A range shows its ends in place of single ports, as the ECS agent has it.
fn binding(binding: &Binding) -> Value {
    let Binding { bind_ip, container_port, host_port, protocol, range_ends } = binding;
    match range_ends {
        None => json!({
            "bindIP": bind_ip,
            "containerPort": container_port,
            "hostPort": host_port,
            "protocol": protocol,
        }),
        Some((last_inside, last)) => json!({
            "bindIP": bind_ip,
            "containerPortRange": format!("{container_port}-{last_inside}"),
            "hostPortRange": format!("{host_port}-{last}"),
            "protocol": protocol,
        }),
    }
}

/// The members that have a value.
fn present<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn status(reported: Reported) -> &'static str {
    match reported {
        Reported::Nothing | Reported::Pending => "PENDING",
        Reported::Running => "RUNNING",
        Reported::Stopped => "STOPPED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Timestamp;

    fn binding(range_ends: Option<(u16, u16)>) -> Binding {
        let (bind_ip, protocol) = ("0.0.0.0".to_owned(), "tcp".to_owned());
        Binding { bind_ip, container_port: 80, host_port: 8080, protocol, range_ends }
    }

    fn container() -> ContainerReport {
        ContainerReport {
            name: "web".to_owned(),
            status: Reported::Stopped,
            runtime_id: Some("ab".to_owned()),
            image_digest: Some("sha256:1".to_owned()),
            exit_code: Some(0),
            reason: None,
            bindings: [None, Some((82, 8082))].map(binding).into(),
        }
    }

    #[test]
    fn reports_are_documents_of_their_operations() {
        let task = Report::Task(TaskReport {
            status: Reported::Stopped,
            reason: None,
            containers: vec![container()],
            pull_started: Some(Timestamp::from_secs(7)),
            pull_stopped: None,
            execution_stopped: None,
        });
        for report in [task, Report::Container(container())] {
            let (operation, input) = request("task-arn", "cluster-arn", &report);
            let ecs = wire::service("ecs").expect("modelled");
            let operation = ecs.operation(operation).expect("modelled");
            wire::codec::validate(ecs, operation, &input).expect("valid");
            insta::assert_json_snapshot!(operation.name, input);
        }
    }
}
