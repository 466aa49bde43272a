//! The task: registered, run, followed, and its log read.

use super::{Demo, LOG_GROUP, NAME};
use crate::definition::{self, Registered};
use crate::demo::steps::Steps;
use crate::events::{self, after, what};
use crate::session::{last, text};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What the container does: it says where it is, and ends with a code of its own.
const SCRIPT: &str = "echo \"Hello from $(uname -s) in a container\"; echo \"MESSAGE is: $MESSAGE\"; ls /; exit 7";

/// How often the task is looked at while it runs.
const POLL: Duration = Duration::from_millis(20);

const TASK_TIMEOUT: Duration = Duration::from_secs(60);

impl Demo {
    /// Registers the definition, unless the newest revision is this very one already.
    pub(super) async fn register(&self, steps: &mut Steps, image: &str) -> Result<String> {
        steps.begin("registering the task definition");
        let input = json!({ "family": NAME, "networkMode": "bridge", "containerDefinitions": [self.container(image)] });
        let Registered { arn, was_there } = definition::register(&self.session, &input).await?;
        let already = if was_there { ", already registered" } else { "" };
        steps.done(format!("task definition {}{already}", last(&arn)))?;
        Ok(arn)
    }

    fn container(&self, image: &str) -> Value {
        json!({
            "name": NAME,
            "image": image,
            "memory": 32,
            "cpu": 0,
            "essential": true,
            "command": ["sh", "-c", SCRIPT],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": LOG_GROUP,
                "awslogs-region": self.session.endpoint.region,
                "awslogs-stream-prefix": "demo",
                "awslogs-create-group": "true",
            } },
        })
    }

    pub(super) async fn run_task(&self, steps: &mut Steps, definition: &str) -> Result<String> {
        steps.begin("running the task");
        let message = json!({ "name": NAME, "environment": [{ "name": "MESSAGE", "value": "it works" }] });
        let input = json!({ "cluster": self.session.endpoint.cluster, "taskDefinition": definition, "overrides": { "containerOverrides": [message] } });
        let answer = self.session.aws.call("ecs", "RunTask", &input).await?;
        if let Some(failure) = answer["failures"].get(0) {
            bail!("the task was not placed: {}", failure["reason"].as_str().unwrap_or("no reason given"));
        }
        text(&answer["tasks"][0]["taskArn"])
    }

    /// Waits until the task has stopped, and shows what happened to it.
    pub(super) async fn follow(&self, steps: &mut Steps, task: &str) -> Result<()> {
        let begun = Instant::now();
        let input = json!({ "cluster": self.session.endpoint.cluster, "tasks": [task] });
        loop {
            let answer = self.session.aws.call("ecs", "DescribeTasks", &input).await?;
            let state = &answer["tasks"][0];
            let status = text(&state["lastStatus"])?;
            if status == "STOPPED" {
                for event in events::story(&self.session, &self.session.endpoint.cluster, task).await? {
                    steps.line(format!("{:>9}  {}", after(&event), what(&event)))?;
                }
                steps.done(format!("task {} ended: {}", last(task), outcome(state)))?;
                return Ok(());
            }
            if begun.elapsed() > TASK_TIMEOUT {
                bail!("the task is still {status} after {} s; see the server's log", TASK_TIMEOUT.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) async fn show_log(&self, steps: &mut Steps, task: &str) -> Result<()> {
        steps.begin("reading its log");
        let stream = format!("demo/{NAME}/{}", last(task));
        let input = json!({ "logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": true });
        let page =
            self.session.aws.call("logs", "GetLogEvents", &input).await.context("the task's log cannot be read")?;
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        for event in events {
            steps.line(event["message"].as_str().unwrap_or_default())?;
        }
        steps.done(format!("log {LOG_GROUP} {stream}, {} events", events.len()))?;
        Ok(())
    }
}

fn outcome(task: &Value) -> String {
    let container = &task["containers"][0];
    match container["exitCode"].as_i64() {
        Some(code) => format!("exit code {code}"),
        None => container["reason"].as_str().or(task["stoppedReason"].as_str()).unwrap_or("no reason given").to_owned(),
    }
}
