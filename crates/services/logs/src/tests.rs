//! The service through its own operations, on a memory store and a folder of telemetry.

use crate::put_log_events::Sorted;
use base::{ApiError, MasterKey, Names, OsSecrets, Principal, Timestamp};
use blobs::Blobs;
use request::{Caller, Entry, Installation, Parts, Requests, flow, read, tx};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{MemoryEngine, Store};
use telemetry::Telemetry;
use wire::types::logs::InputLogEvent;

use crate as logs;

static OPERATIONS: &[Entry] = &[
    tx!(logs, create_log_group, "CreateLogGroup"),
    tx!(logs, create_log_stream, "CreateLogStream"),
    flow!(logs, delete_log_group, "DeleteLogGroup"),
    flow!(logs, delete_log_stream, "DeleteLogStream"),
    flow!(logs, describe_log_groups, "DescribeLogGroups"),
    flow!(logs, describe_log_streams, "DescribeLogStreams"),
    flow!(logs, filter_log_events, "FilterLogEvents"),
    flow!(logs, get_log_events, "GetLogEvents"),
    read!(logs, list_tags_for_resource, "ListTagsForResource"),
    flow!(logs, put_log_events, "PutLogEvents"),
];

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const T: i64 = NOW.as_millis();

struct Service {
    requests: Requests,
    _dir: tempfile::TempDir,
}

impl Service {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let installation = Installation {
            endpoint: "http://127.0.0.1:4566".into(),
            hosts: request::Hosts::new("127.0.0.1:4566".parse().expect("an address")),
            master: MasterKey::new(&[1; 32]).expect("a key"),
            open: None,
        };
        let requests = Requests::new(Parts {
            store: Store::open(state::schema(), MemoryEngine::default()).expect("a store"),
            telemetry: Telemetry::open(&dir.path().join("telemetry")).expect("telemetry"),
            blobs: Blobs::open(dir.path().join("blobs")).expect("blobs"),
            installation: Arc::new(installation),
            clock: Arc::new(|| NOW),
            names: Names::new([0; 16]),
            secrets: Arc::new(OsSecrets),
        });
        Self { requests, _dir: dir }
    }

    async fn call_with_batch(&self, operation: &str, input: Value, batch: Option<&str>) -> Result<Value, String> {
        let caller = Caller {
            principal: Principal::Root { account: "000000000000".into() },
            account: "000000000000".into(),
            region: "us-east-1".into(),
            access_key_id: Some("AKIA1".into()),
            request_id: "r".into(),
            source_ip: "127.0.0.1".into(),
            user_agent: "test".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            log_batch: batch.map(str::to_owned),
        };
        let entry = OPERATIONS.iter().find(|entry| entry.operation == operation).expect("an operation");
        self.requests.execute(entry, caller, input).await.map_err(|error: ApiError| error.to_string())
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, String> {
        self.call_with_batch(operation, input, None).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.expect("an answer")
    }

    async fn with_stream() -> Self {
        let service = Self::new();
        service.ok("CreateLogGroup", json!({ "logGroupName": "/web" })).await;
        service.ok("CreateLogStream", json!({ "logGroupName": "/web", "logStreamName": "s" })).await;
        service
    }

    async fn put(&self, events: &[(i64, &str)], batch: Option<&str>) -> Value {
        let events: Vec<Value> =
            events.iter().map(|(at, message)| json!({ "timestamp": at, "message": message })).collect();
        let input = json!({ "logGroupName": "/web", "logStreamName": "s", "logEvents": events });
        self.call_with_batch("PutLogEvents", input, batch).await.expect("stored")
    }

    async fn messages(&self, mut input: Value) -> Vec<String> {
        input["logGroupName"] = "/web".into();
        input["logStreamName"] = "s".into();
        let page = self.ok("GetLogEvents", input).await;
        page["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| event["message"].as_str().expect("text").to_owned())
            .collect()
    }
}

#[tokio::test]
async fn what_was_put_is_read_in_order() {
    let service = Service::with_stream().await;
    service.put(&[(T, "one"), (T + 1, "two")], None).await;
    service.put(&[(T - 5, "zero")], None).await;
    assert_eq!(service.messages(json!({ "startFromHead": true })).await, ["zero", "one", "two"]);
    assert_eq!(service.messages(json!({ "limit": 1 })).await, ["two"]);
    assert_eq!(service.messages(json!({ "startTime": T, "endTime": T + 1 })).await, ["one"]);
}

#[tokio::test]
async fn a_forward_token_goes_on_with_what_comes_later_and_repeats_at_the_end() {
    let service = Service::with_stream().await;
    service.put(&[(T, "one")], None).await;
    let input = |token: &Value| json!({ "logGroupName": "/web", "logStreamName": "s", "startFromHead": true, "nextToken": token });
    let first = service
        .ok("GetLogEvents", json!({ "logGroupName": "/web", "logStreamName": "s", "startFromHead": true }))
        .await;
    let end = service.ok("GetLogEvents", input(&first["nextForwardToken"])).await;
    assert_eq!((&end["events"], &end["nextForwardToken"]), (&json!([]), &first["nextForwardToken"]));
    service.put(&[(T + 10, "two")], None).await;
    let later = service.ok("GetLogEvents", input(&end["nextForwardToken"])).await;
    assert_eq!(later["events"][0]["message"], "two");
}

#[tokio::test]
async fn a_repeated_batch_is_acknowledged_and_not_stored() {
    let service = Service::with_stream().await;
    for _ in 0..3 {
        service.put(&[(T, "once")], Some("shipper:1")).await;
    }
    service.put(&[(T + 1, "next")], Some("shipper:2")).await;
    assert_eq!(service.messages(json!({ "startFromHead": true })).await, ["once", "next"]);
}

#[tokio::test]
async fn streams_are_described_with_their_times() {
    let service = Service::with_stream().await;
    service.put(&[(T - 7, "a"), (T, "b")], None).await;
    insta::assert_json_snapshot!(service.ok("DescribeLogStreams", json!({ "logGroupName": "/web" })).await);
    insta::assert_json_snapshot!(service.ok("DescribeLogGroups", json!({ "logGroupNamePrefix": "/w" })).await);
}

#[tokio::test]
async fn pages_of_groups_and_streams_are_whole() {
    let service = Service::new();
    for name in ["/a", "/b", "/c"] {
        service.ok("CreateLogGroup", json!({ "logGroupName": name })).await;
        service.ok("CreateLogStream", json!({ "logGroupName": "/a", "logStreamName": &name[1..] })).await;
    }
    for (operation, list, name) in
        [("DescribeLogGroups", "logGroups", "logGroupName"), ("DescribeLogStreams", "logStreams", "logStreamName")]
    {
        let (mut seen, mut input) = (Vec::new(), json!({ "limit": 2 }));
        if operation == "DescribeLogStreams" {
            input["logGroupName"] = "/a".into();
        }
        loop {
            let page = service.ok(operation, input.clone()).await;
            seen.extend(
                page[list]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|row| row[name].as_str().expect("a name").trim_start_matches('/').to_owned()),
            );
            match page.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(seen, ["a", "b", "c"], "{operation}");
    }
    let groups = service.ok("DescribeLogGroups", json!({ "limit": 1 })).await;
    for (operation, group) in
        [("DescribeLogStreams", Some("/a")), ("FilterLogEvents", Some("/a")), ("DescribeLogGroups", None)]
    {
        let foreign = json!({ "logGroupName": group, "logGroupNamePrefix": "/", "nextToken": groups["nextToken"] });
        let refusal = service.call(operation, foreign).await.expect_err("refused");
        assert_eq!(refusal, "InvalidParameterException: The specified nextToken is invalid.", "{operation}");
    }
}

#[tokio::test]
async fn a_group_made_anew_shows_nothing_of_the_old_one() {
    let service = Service::with_stream().await;
    service.put(&[(T, "old")], None).await;
    service.ok("DeleteLogGroup", json!({ "logGroupName": "/web" })).await;
    service.ok("CreateLogGroup", json!({ "logGroupName": "/web" })).await;
    service.ok("CreateLogStream", json!({ "logGroupName": "/web", "logStreamName": "s" })).await;
    assert!(service.messages(json!({ "startFromHead": true })).await.is_empty());
}

#[tokio::test]
async fn filter_merges_streams_by_time() {
    let service = Service::with_stream().await;
    service.ok("CreateLogStream", json!({ "logGroupName": "/web", "logStreamName": "t" })).await;
    service.put(&[(T, "1"), (T + 2, "3")], None).await;
    let second =
        json!({ "logGroupName": "/web", "logStreamName": "t", "logEvents": [{ "timestamp": T + 1, "message": "2" }] });
    service.ok("PutLogEvents", second).await;
    let page = service.ok("FilterLogEvents", json!({ "logGroupName": "/web" })).await;
    let messages: Vec<&str> =
        page["events"].as_array().expect("events").iter().filter_map(|event| event["message"].as_str()).collect();
    assert_eq!(messages, ["1", "2", "3"]);
    assert!(page.get("nextToken").is_none());
}

#[tokio::test]
async fn errors_are_the_services_own() {
    let service = Service::with_stream().await;
    let cases = [
        (
            "CreateLogGroup",
            json!({ "logGroupName": "/web" }),
            "ResourceAlreadyExistsException: The specified log group already exists",
        ),
        (
            "CreateLogGroup",
            json!({ "logGroupName": "/k", "kmsKeyId": "k" }),
            "InvalidParameterException: kmsKeyId is not supported by Longshore yet: leave it out",
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "/no", "logStreamName": "s" }),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "/web", "logStreamName": "s" }),
            "ResourceAlreadyExistsException: The specified log stream already exists",
        ),
        (
            "GetLogEvents",
            json!({ "logGroupName": "/web", "logStreamName": "no" }),
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            "GetLogEvents",
            json!({ "logGroupName": "/web", "logStreamName": "s", "nextToken": "x" }),
            "InvalidParameterException: The specified nextToken is invalid.",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/web", "filterPattern": "ERROR" }),
            "InvalidParameterException: filterPattern is not supported by Longshore yet: leave it out",
        ),
        (
            "DeleteLogGroup",
            json!({ "logGroupName": "/no" }),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
    ];
    for (operation, input, expected) in cases {
        assert_eq!(service.call(operation, input.clone()).await.expect_err("refused"), expected, "{operation} {input}");
    }
}

fn events(times: &[i64]) -> Vec<InputLogEvent> {
    times.iter().map(|at| InputLogEvent { timestamp: *at, message: "m".into() }).collect()
}

/// Accepted timestamps, and the indexes too new, too old, expired.
fn sorted(times: &[i64], retention_days: Option<u32>) -> (Vec<i64>, [Option<i32>; 3]) {
    let sorted = Sorted::of(events(times), NOW, retention_days).expect("accepted");
    let rejected = sorted.rejected.unwrap_or_default();
    let indexes = [
        rejected.too_new_log_event_start_index,
        rejected.too_old_log_event_end_index,
        rejected.expired_log_event_end_index,
    ];
    (sorted.accepted.iter().map(|event| event.timestamp_ms).collect(), indexes)
}

#[test]
fn what_is_too_far_from_now_is_left_out_and_said() {
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    assert_eq!(sorted(&[T - HOUR, T], None), (vec![T - HOUR, T], [None; 3]));
    assert_eq!(sorted(&[T, T + 2 * HOUR, T + 2 * HOUR + 1], None), (vec![T, T + 2 * HOUR], [Some(2), None, None]));
    assert_eq!(sorted(&[T - 14 * DAY - 1, T], None), (vec![T], [None, Some(1), None]));
    assert_eq!(sorted(&[T - 15 * DAY, T - 2 * DAY, T], Some(1)), (vec![T], [None, Some(1), Some(2)]));
    assert_eq!(sorted(&[T - 15 * DAY, T + DAY], None), (vec![], [Some(1), Some(1), None]));
}

#[test]
fn batches_out_of_order_or_too_long_are_refused_whole() {
    const DAY: i64 = 24 * 3_600_000;
    let refused = |times: &[i64]| Sorted::of(events(times), NOW, None).expect_err("refused").to_string();
    assert_eq!(refused(&[T, T - 1]), "Log events in a single PutLogEvents request must be in chronological order.");
    assert_eq!(
        refused(&[T - DAY - 1, T]),
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    );
    assert!(Sorted::of(events(&[T - DAY, T]), NOW, None).is_ok());
}
