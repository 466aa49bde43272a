//! `longshore logs`: what a task's containers wrote.

use crate::say;
use crate::session::{Session, items, text};
use crate::table::Output;
use crate::task::{self, Stream};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// How often a task that runs is asked for more.
const POLL: Duration = Duration::from_millis(250);
/// How long after its task's end a stream may still get events.
const AFTER_END: Duration = Duration::from_secs(2);

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
    let mut ended_for = Duration::ZERO;
    loop {
        let mut came = false;
        for tail in &mut *tails {
            for event in tail.more(session).await? {
                came = true;
                show(&tail.stream, &event)?;
            }
        }
        if came {
            continue;
        }
        if !wanted.follow || ended_for >= AFTER_END {
            return Ok(());
        }
        let state = task::describe(session, wanted.cluster, wanted.task).await?;
        if state["lastStatus"] == "STOPPED" {
            ended_for += POLL;
        }
        tokio::time::sleep(POLL).await;
    }
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
