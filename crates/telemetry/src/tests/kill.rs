//! A process that is killed while it appends: what was acknowledged is there, exactly once.

use super::{INGESTED, block_on, event, everything, group, stream};
use crate::{LogEvent, Telemetry};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const WRITERS: u64 = 4;
const ROUNDS: usize = 6;
/// A round ends after at most so many acknowledgements.
const ROUND_MAX: u64 = 200;
const DIR: &str = "TELEMETRY_KILL_DIR";

fn name(writer: u64) -> String {
    format!("writer-{writer}")
}

/// One to three events; every fourth append is large, so that tables are written too.
fn batch(append: u64) -> Vec<LogEvent> {
    let filling = if append.is_multiple_of(4) { "x".repeat(100_000) } else { String::new() };
    (0..=append % 3).map(|i| event(append as i64, format!("{append}.{i} {filling}"))).collect()
}

/// How many appends are there in full. Panics on a gap, a double or a part of one.
fn stored(telemetry: &Telemetry, writer: u64) -> u64 {
    let got = block_on(everything(telemetry, &stream(group(1), &name(writer))));
    let mut rest = got.as_slice();
    let mut appends = 0;
    while !rest.is_empty() {
        let expect: Vec<_> = batch(appends).into_iter().map(|event| (event.timestamp_ms, event.message)).collect();
        assert!(rest.starts_with(&expect), "writer {writer}, append {appends}");
        (rest, appends) = (&rest[expect.len()..], appends + 1);
    }
    appends
}

#[test]
fn every_acknowledged_event_survives_a_kill_exactly_once() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let mut acknowledged: BTreeMap<u64, u64> = (0..WRITERS).map(|writer| (writer, 0)).collect();
    for round in 0..ROUNDS {
        let kill_after = 1 + RandomState::new().hash_one(round) % ROUND_MAX;
        write_and_kill(dir.path(), kill_after, &mut acknowledged);
        let telemetry = Telemetry::open(dir.path()).expect("reopens after a kill");
        for (writer, acknowledged) in &mut acknowledged {
            let stored = stored(&telemetry, *writer);
            let context = format!("writer {writer}, killed after {kill_after} in round {round}");
            // The one that was under way may have become durable without an answer.
            assert!((*acknowledged..=*acknowledged + 1).contains(&stored), "{context}: {stored} of {acknowledged}");
            *acknowledged = stored;
        }
    }
}

/// Notes how many appends each writer has had acknowledged, in all rounds so far.
fn write_and_kill(dir: &Path, kill_after: u64, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = start(dir);
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut acks = lines.filter_map(|line| ack(&line));
    for _ in 0..kill_after {
        let (writer, append) = acks.next().expect("the child writes until it is killed");
        acknowledged.insert(writer, append + 1);
    }
    child.kill().expect("killed");
    // What it said before it died counts too.
    acks.for_each(|(writer, append)| _ = acknowledged.insert(writer, append + 1));
    child.wait().expect("ended");
}

/// The writer and the append of a whole line.
fn ack(line: &str) -> Option<(u64, u64)> {
    let (writer, append) = line.strip_prefix("ack ")?.strip_suffix(" .")?.split_once(' ')?;
    Some((writer.parse().ok()?, append.parse().ok()?))
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "tests::kill::appends_until_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts")
}

#[test]
#[ignore = "the child of every_acknowledged_event_survives_a_kill_exactly_once"]
fn appends_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let telemetry = Telemetry::open(Path::new(&dir)).expect("opens");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let writers = (0..WRITERS).map(|writer| {
        let (telemetry, first) = (telemetry.clone(), stored(&telemetry, writer));
        runtime.spawn(async move {
            for append in first..first + ROUND_MAX {
                let (stream, token) = (stream(group(1), &name(writer)), format!("{writer}:{append}"));
                telemetry.append(&stream, batch(append), INGESTED, Some(&token)).await.expect("stored");
                // One write, so that lines do not mix; the test's name stands before the first.
                std::io::stdout().write_all(format!("\nack {writer} {append} .\n").as_bytes()).expect("a pipe");
            }
        })
    });
    writers.collect::<Vec<_>>().into_iter().for_each(|writer| runtime.block_on(writer).expect("wrote"));
}
