//! What the room promises, against plain vectors.

mod appends;
mod drops;
mod filter;
mod full;
mod kill;
mod measure;
mod pages;
mod trail;

use crate::{GroupId, Limits, LogEvent, StreamId, Telemetry, TimeRange};
use std::future::Future;
use tempfile::TempDir;

const ALL: TimeRange = TimeRange { start_ms: None, end_ms: None };
const INGESTED: i64 = 1_700_000_000_000;

fn store() -> (TempDir, Telemetry) {
    let dir = TempDir::new().expect("a folder");
    let telemetry = Telemetry::open(dir.path()).expect("an empty store opens");
    (dir, telemetry)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

fn group(generation: u64) -> GroupId {
    GroupId { account: "000000000000".to_owned(), region: "eu-1".to_owned(), name: "/app".to_owned(), generation }
}

fn stream(group: GroupId, name: &str) -> StreamId {
    StreamId { group, name: name.to_owned(), generation: 1 }
}

fn event(timestamp_ms: i64, message: impl Into<String>) -> LogEvent {
    LogEvent { timestamp_ms, message: message.into() }
}

fn events(sent: &[(i64, String)]) -> Vec<LogEvent> {
    sent.iter().map(|(at, message)| event(*at, message.clone())).collect()
}

fn at_most(events: usize) -> Limits {
    Limits { events, ..Limits::default() }
}

/// Every event of a stream, oldest first.
async fn everything(telemetry: &Telemetry, stream: &StreamId) -> Vec<(i64, String)> {
    let mut seen = Vec::new();
    let mut from = crate::Cursor::Head;
    loop {
        let page = telemetry.get(stream, ALL, from, Limits::default()).await.expect("a page");
        if page.events.is_empty() {
            return seen;
        }
        seen.extend(page.events.into_iter().map(|event| (event.timestamp_ms, event.message)));
        from = crate::Cursor::Forward(page.forward);
    }
}

/// By timestamp, and by arrival where timestamps are equal.
fn in_order(sent: impl IntoIterator<Item = (i64, String)>) -> Vec<(i64, String)> {
    let mut sorted: Vec<_> = sent.into_iter().collect();
    sorted.sort_by_key(|(at, _)| *at);
    sorted
}
