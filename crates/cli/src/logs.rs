//! `longshore logs`: what a task's containers wrote.

use crate::pauses::Pauses;
use crate::say;
use crate::session::{Session, items, text};
use crate::table::Output;
use crate::task::{self, Stream};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long after its task's end a stream may still get events, where the node does not ship them before it tells the
/// end.
const AFTER_END: Duration = Duration::from_secs(2);
/// Our own node tells a task's end when its output is shipped, or five seconds after it ended (`LOGS_WAIT` of the
/// agent). An end that took this long to tell, in seconds, may have come before the output; clocks may differ a little.
const TOLD_LATE_S: f64 = 4.5;
/// What the attributes of our own nodes begin with.
const OUR_ATTRIBUTES: &str = "longshore.";

/// What is shown of a task.
pub struct Wanted<'a> {
    pub cluster: &'a str,
    pub task: &'a str,
    pub container: Option<&'a str>,
    /// Until the task has stopped.
    pub follow: bool,
}

pub async fn run(session: &Session, wanted: &Wanted<'_>, output: Output) -> Result<()> {
    let task = task::describe(session, wanted.cluster, wanted.task).await?;
    let streams = task::streams(session, &task, wanted.container).await?;
    let mut tails: Vec<Tail> = streams.into_iter().map(|stream| Tail { stream, token: None }).collect();
    let named = tails.len() > 1;
    follow(session, wanted, &mut tails, |stream, event| match output {
        Output::Json => {
            say(json!({ "container": stream.container, "timestamp": event["timestamp"], "message": event["message"] }))
        }
        Output::Table if named => say(format!("{} | {}", stream.container, message(event))),
        Output::Table => say(message(event)),
    })
    .await
}

/// Shows all of the streams, and with `follow` what comes until the task has stopped and nothing comes any more.
pub async fn follow(
    session: &Session,
    wanted: &Wanted<'_>,
    tails: &mut [Tail],
    mut show: impl FnMut(&Stream, &Value) -> Result<()>,
) -> Result<()> {
    let (mut pauses, mut end) = (Pauses::default(), None);
    loop {
        let mut came = false;
        for tail in &mut *tails {
            for event in tail.more(session).await? {
                came = true;
                show(&tail.stream, &event)?;
            }
        }
        if came {
            pauses = Pauses::default();
            continue;
        }
        if !wanted.follow || end.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
        if end.is_none() {
            let state = task::describe(session, wanted.cluster, wanted.task).await?;
            if state["lastStatus"] == "STOPPED" {
                let more = if is_shipped(session, wanted.cluster, &state).await { Duration::ZERO } else { AFTER_END };
                end = Some(Instant::now() + more);
                // What came between the last look and the end.
                continue;
            }
        }
        pauses.wait().await;
    }
}

/// True when all that a stopped task wrote is in its streams.
async fn is_shipped(session: &Session, cluster: &str, task: &Value) -> bool {
    if is_told_late(task) {
        return false;
    }
    let input = json!({ "cluster": cluster, "containerInstances": [task["containerInstanceArn"]] });
    // A node that is gone tells nothing.
    let nodes = session.ecs("DescribeContainerInstances", &input).await.unwrap_or_default();
    is_ours(&nodes["containerInstances"][0])
}

/// True where the end may have been told before the output was shipped.
fn is_told_late(task: &Value) -> bool {
    let times = task["stoppedAt"].as_f64().zip(task["executionStoppedAt"].as_f64());
    times.is_none_or(|(told, ended)| told - ended >= TOLD_LATE_S)
}

/// True for a node of ours, which ships before it tells.
fn is_ours(node: &Value) -> bool {
    let ours = |it: &Value| it["name"].as_str().is_some_and(|name| name.starts_with(OUR_ATTRIBUTES));
    items(&node["attributes"]).iter().any(ours)
}

/// How far a stream was read.
pub struct Tail {
    pub stream: Stream,
    pub token: Option<String>,
}

impl Tail {
    /// The next page; empty at the end, or where nothing was written yet.
    async fn more(&mut self, session: &Session) -> Result<Vec<Value>> {
        let Stream { group, stream, .. } = &self.stream;
        let mut input = json!({ "logGroupName": group, "logStreamName": stream, "startFromHead": true });
        if let Some(token) = &self.token {
            input["nextToken"] = token.as_str().into();
        }
        let page = match session.aws.call("logs", "GetLogEvents", &input).await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(Vec::new()),
            page => page?,
        };
        self.token = Some(text(&page["nextForwardToken"])?);
        Ok(items(&page["events"]).to_vec())
    }
}

pub fn message(event: &Value) -> &str {
    event["message"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_waited_for_only_where_it_may_come_after_the_end() {
        fn check(task: &Value, expect: bool) {
            assert_eq!(is_told_late(task), expect, "{task}");
        }
        check(&json!({ "executionStoppedAt": 10.0, "stoppedAt": 10.2 }), false);
        check(&json!({ "executionStoppedAt": 10.0, "stoppedAt": 15.0 }), true);
        check(&json!({ "stoppedAt": 10.2 }), true);
        let node = |name: &str| json!({ "attributes": [{ "name": "ecs.os-type" }, { "name": name }] });
        assert!(is_ours(&node("longshore.version")) && !is_ours(&node("ecs.x")) && !is_ours(&Value::Null));
    }
}
