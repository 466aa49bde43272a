use super::{By, Service, text, with};
use base::ApiError;
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

const NODE: By = By::Node("AKIANODE1");

impl Service {
    async fn report(&self, task: &str, report: Value) -> Result<Value, ApiError> {
        let input = with(json!({ "cluster": "default", "task": task }), report);
        self.by(NODE, "SubmitTaskStateChange", input).await
    }

    async fn report_container(&self, task: &str, report: Value) -> Result<Value, ApiError> {
        let input = with(json!({ "cluster": "default", "task": task, "containerName": "app" }), report);
        self.by(NODE, "SubmitContainerStateChange", input).await
    }
}

/// What an agent says of a container that runs.
fn running() -> Value {
    json!({
        "status": "RUNNING",
        "pullStartedAt": 1_800_000_000.5,
        "pullStoppedAt": 1_800_000_001.25,
        "containers": [{
            "containerName": "app",
            "runtimeId": "f".repeat(64),
            "imageDigest": "sha256:1",
            "status": "RUNNING",
            "networkBindings": [{ "bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp" }],
        }],
    })
}

#[tokio::test]
async fn a_task_runs_and_ends_as_its_agent_says() {
    let (service, node) = Service::with_web().await;
    let task = service.run_web().await;
    assert_eq!(service.report(&task, running()).await.expect("taken"), json!({ "acknowledgment": "ACK" }));
    assert_json_snapshot!("running", service.task(&task).await);
    service.connect(&node, false).await;
    assert_eq!(service.task(&task).await["connectivity"], "DISCONNECTED");
    let exited = json!({ "status": "STOPPED", "exitCode": 3 });
    assert_eq!(service.report_container(&task, exited).await.expect("taken"), json!({ "acknowledgment": "ACK" }));
    let ended = json!({ "status": "STOPPED", "executionStoppedAt": 1_800_000_020.0 });
    service.report(&task, ended).await.expect("taken");
    let stopped = service.task(&task).await;
    assert_json_snapshot!("stopped", stopped);
    service.report(&task, running()).await.expect("taken, and late");
    assert_eq!(service.task(&task).await, stopped);
}

#[tokio::test]
async fn a_task_that_ended_with_its_node_tells_that() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    service.report(&task, running()).await.expect("taken");
    let container = json!({ "containerName": "app", "status": "STOPPED", "exitCode": 143 });
    let ended = json!({ "status": "STOPPED", "reason": "HostStopped", "containers": [container] });
    service.report(&task, ended).await.expect("taken");
    let task = service.task(&task).await;
    assert_eq!(task["stopCode"], "TerminationNotice");
    assert_eq!(task["stoppedReason"], "Host stopped: its operator took the node down.");
}

#[tokio::test]
async fn a_task_that_cannot_start_tells_why() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    let reason = format!("CannotPullContainerError: {}", "x".repeat(2000));
    let container = json!({ "containerName": "app", "status": "STOPPED", "reason": reason });
    service.report(&task, json!({ "status": "STOPPED", "containers": [container] })).await.expect("taken");
    let task = service.task(&task).await;
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert_eq!(task["stoppedReason"], json!(reason[..1024]));
}

#[tokio::test]
async fn a_stopped_tasks_room_and_port_are_free_again() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    let full = service.ok("RunTask", json!({ "taskDefinition": "web" })).await;
    assert_eq!(full["failures"][0]["reason"], "RESOURCE:PORTS");
    service.report(&task, json!({ "status": "STOPPED" })).await.expect("taken");
    service.run_web().await;
}

#[tokio::test]
async fn a_node_reports_its_own_tasks_alone() {
    let (service, _) = Service::with_web().await;
    service.node("AKIANODE2", 1024, 512).await;
    let (first, second) = (service.run_web().await, service.run_web().await);
    let mut taken = 0;
    for task in [&first, &second] {
        match service.report(task, running()).await {
            Ok(_) => taken += 1,
            Err(error) => assert_eq!(error.code, "AccessDeniedException"),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn a_report_that_makes_no_sense_is_refused() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    let mut refusals = Vec::new();
    for more in [
        json!({ "status": "PAUSED" }),
        json!({ "task": "" }),
        json!({ "task": "0".repeat(32) }),
        json!({ "cluster": "none" }),
        json!({ "containers": [{ "status": "RUNNING" }] }),
        json!({ "containers": [{ "containerName": "app", "networkBindings": [{ "containerPort": 80 }] }] }),
        json!({ "attachments": [{ "attachmentArn": "a", "status": "ATTACHED" }] }),
        json!({ "managedAgents": [{ "containerName": "app", "managedAgentName": "ExecuteCommandAgent", "status": "RUNNING" }] }),
    ] {
        refusals.push(service.err("SubmitTaskStateChange", with(json!({ "task": task }), more)).await);
    }
    refusals.push(service.err("SubmitContainerStateChange", json!({ "task": task, "status": "STOPPED" })).await);
    assert_snapshot!(refusals.join("\n"));
    assert_eq!(text(&service.task(&task).await["lastStatus"]), "PENDING");
}
