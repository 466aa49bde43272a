//! CloudWatch Logs by hand, and `logs tail` of Debian's AWS CLI.

use super::{Stage, text};
use crate::{Client, Longshore};
use anyhow::Result;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn groups_streams_and_events_by_hand() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    client.aws(&["logs", "create-log-group", "--log-group-name", "/hand"])?;
    client.aws(&["logs", "create-log-stream", "--log-group-name", "/hand", "--log-stream-name", "s"])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let events = json!([{ "timestamp": now - 1, "message": "first" }, { "timestamp": now, "message": "second: ü" }]);
    client.aws(&[
        "logs",
        "put-log-events",
        "--log-group-name",
        "/hand",
        "--log-stream-name",
        "s",
        "--log-events",
        &events.to_string(),
    ])?;
    let page = client.aws(&[
        "logs",
        "get-log-events",
        "--log-group-name",
        "/hand",
        "--log-stream-name",
        "s",
        "--start-from-head",
    ])?;
    let messages: Vec<&str> =
        page["events"].as_array().into_iter().flatten().map(|event| text(&event["message"])).collect();
    assert_eq!(messages, ["first", "second: ü"]);
    let streams = client.aws(&["logs", "describe-log-streams", "--log-group-name", "/hand"])?;
    assert_eq!(u128::from(streams["logStreams"][0]["lastEventTimestamp"].as_u64().unwrap_or_default()), now);
    let error = client.aws_error(&["logs", "get-log-events", "--log-group-name", "/none", "--log-stream-name", "s"])?;
    assert!(
        error.contains("ResourceNotFoundException") && error.contains("The specified log group does not exist."),
        "{error}"
    );
    Ok(())
}

#[test]
fn debians_cli_tails_what_a_task_wrote() -> Result<()> {
    let stage = Stage::new()?;
    stage.run_to_end("none", json!({ "command": ["sh", "-c", "for i in 1 2 3; do echo line $i; done"] }))?;
    let answer = stage.client().debian_aws(&["logs", "tail", "/test", "--format", "short"])?;
    assert!(answer.ok, "{}", answer.stderr);
    let lines: Vec<&str> =
        answer.stdout.lines().filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest.trim()).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
    Ok(())
}
