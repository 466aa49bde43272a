//! The task: registered, run, followed, and its log read.

use super::image::text;
use super::{Demo, LOG_GROUP, NAME};
use crate::demo::steps::Steps;
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
        let container = self.container(image);
        if let Ok(newest) = self.aws.call("ecs", "DescribeTaskDefinition", &json!({ "taskDefinition": NAME })).await
            && contains(&newest["taskDefinition"]["containerDefinitions"][0], &container)
        {
            let arn = text(&newest["taskDefinition"]["taskDefinitionArn"])?;
            steps.done(format!("task definition {}, already registered", last(&arn)))?;
            return Ok(arn);
        }
        let input = json!({ "family": NAME, "networkMode": "bridge", "containerDefinitions": [container] });
        let made = self.aws.call("ecs", "RegisterTaskDefinition", &input).await?;
        let arn = text(&made["taskDefinition"]["taskDefinitionArn"])?;
        steps.done(format!("task definition {}", last(&arn)))?;
        Ok(arn)
    }

    fn container(&self, image: &str) -> Value {
        json!({
            "name": NAME,
            "image": image,
            "memory": 32,
            "command": ["sh", "-c", SCRIPT],
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": LOG_GROUP,
                "awslogs-region": self.endpoint.region,
                "awslogs-stream-prefix": "demo",
                "awslogs-create-group": "true",
            } },
        })
    }

    pub(super) async fn run_task(&self, steps: &mut Steps, definition: &str) -> Result<String> {
        steps.begin("running the task");
        let message = json!({ "name": NAME, "environment": [{ "name": "MESSAGE", "value": "it works" }] });
        let input = json!({ "cluster": self.endpoint.cluster, "taskDefinition": definition, "overrides": { "containerOverrides": [message] } });
        let answer = self.aws.call("ecs", "RunTask", &input).await?;
        if let Some(failure) = answer["failures"].get(0) {
            bail!("the task was not placed: {}", failure["reason"].as_str().unwrap_or("no reason given"));
        }
        text(&answer["tasks"][0]["taskArn"])
    }

    /// Shows each state until the task has stopped.
    pub(super) async fn follow(&self, steps: &mut Steps, task: &str) -> Result<()> {
        let begun = Instant::now();
        let mut shown = String::new();
        loop {
            let answer = self
                .aws
                .call("ecs", "DescribeTasks", &json!({ "cluster": self.endpoint.cluster, "tasks": [task] }))
                .await?;
            let state = &answer["tasks"][0];
            let status = text(&state["lastStatus"])?;
            if status != shown {
                steps.line(format!("{:>6} ms  {status}", begun.elapsed().as_millis()))?;
                shown.clone_from(&status);
            }
            if status == "STOPPED" {
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
        let page = self.aws.call("logs", "GetLogEvents", &input).await.context("the task's log cannot be read")?;
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

/// True when `whole` has every member of `part`, with what ECS filled in beside it.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|there| contains(there, value)))
        }
        _ => whole == part,
    }
}

fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::contains;
    use serde_json::json;

    #[test]
    fn a_definition_with_defaults_filled_in_contains_what_was_asked() {
        let asked = json!({ "name": "hello", "log": { "driver": "awslogs" } });
        assert!(contains(&json!({ "name": "hello", "cpu": 0, "log": { "driver": "awslogs", "x": [] } }), &asked));
        assert!(!contains(&json!({ "name": "hello", "log": { "driver": "json-file" } }), &asked));
        assert!(!contains(&json!({ "name": "hello" }), &asked));
    }
}
