//! A process that is killed, or loses its disk, while it appends: what was acknowledged is there,
//! exactly once.

use super::{INGESTED, block_on, event, everything, group, stream};
use crate::{LogEvent, Telemetry, TelemetryError};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const WRITERS: u64 = 4;
const ROUNDS: usize = 6;
/// A round ends after at most so many acknowledgements.
const ROUND_MAX: u64 = 200;

/// What the child is told: its folder, its writers, and how many appends each makes.
const DIR: &str = "TELEMETRY_CHILD_DIR";
const CHILD_WRITERS: &str = "TELEMETRY_CHILD_WRITERS";
const CHILD_APPENDS: &str = "TELEMETRY_CHILD_APPENDS";

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
    let dir = TempDir::new().expect("a folder");
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

#[test]
fn a_sync_precedes_every_acknowledgement() {
    let dir = TempDir::new().expect("a folder");
    let trace = dir.path().join("trace");
    let options = ["-f", "-y", "-e", "trace=write,fdatasync", "-e", "signal=none", "-o"];
    let strace = [&["strace"], &options[..], &[trace.to_str().expect("UTF-8")]].concat();
    let output = child(&strace, &dir.path().join("store"), 1, 40).output().expect("strace runs: ./test installs it");
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(trace).expect("strace wrote it");
    assert_eq!(judge(&trace), [true; 40]);
}

#[test]
fn a_failed_sync_refuses_its_append_and_all_after_it() {
    let dir = TempDir::new().expect("a folder");
    let store = dir.path().join("store");
    let strace =
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=10"];
    let output = child(&strace, &store, 1, 12).output().expect("strace runs: ./test installs it");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().filter_map(ack).collect::<Vec<_>>(), (0..9).map(|i| (0, i)).collect::<Vec<_>>(), "{text}");
    assert_eq!(text.matches("refused: logs and audit records cannot be written").count(), 3, "{text}");
    let reopened = Telemetry::open(&store).expect("reopens");
    assert!((9..=10).contains(&stored(&reopened, 0)));
}

#[test]
fn a_store_that_a_kill_left_half_made_is_made_again() {
    let dir = TempDir::new().expect("a folder");
    let (store, unfinished) = (dir.path().join("store"), dir.path().join("store.new"));
    std::fs::create_dir(&unfinished).expect("a folder");
    std::fs::write(unfinished.join("0.jnl"), "half").expect("a file");
    drop(Telemetry::open(&store).expect("opens"));
    assert!(!unfinished.exists());
    std::fs::write(dir.path().join("a file"), "").expect("a file");
    assert!(matches!(Telemetry::open(&dir.path().join("a file")), Err(TelemetryError::Folder { .. })));
}

/// For each acknowledgement in a trace of system calls: whether the journal was written and then
/// synced since the one before.
fn judge(trace: &str) -> Vec<bool> {
    let (mut written, mut synced, mut judged) = (false, false, Vec::new());
    for line in trace.lines() {
        let sync = line.contains("fdatasync(") && line.contains(".jnl>") || line.contains("<... fdatasync resumed>");
        if line.contains(" write(") && line.contains(".jnl>") {
            (written, synced) = (true, false);
        } else if sync && line.ends_with("= 0") {
            synced = written;
        } else if line.contains(" write(1<") && line.contains("ack ") {
            judged.push(synced);
            (written, synced) = (false, false);
        }
    }
    judged
}

#[test]
fn a_trace_without_its_sync_is_told_from_a_good_one() {
    let (write, ack) = ("write(9</d/0.jnl>, \"..\", 2) = 2", "write(1<pipe:[1]>, \"\\nack 0 1 .\\n\", 11) = 11");
    let sync = "fdatasync(9</d/0.jnl>) = 0";
    let begun = "fdatasync(9</d/0.jnl> <unfinished ...>";
    for (calls, expect) in [
        (vec![write, sync, ack], vec![true]),
        (vec![write, begun, "<... fdatasync resumed>) = 0", ack], vec![true]),
        (vec![write, ack], vec![false]),
        (vec![sync, write, ack], vec![false]),
        (vec![write, begun, ack], vec![false]),
        (vec![write, "fdatasync(9</d/0.jnl>) = -1 EIO (Input/output error)", ack], vec![false]),
        (vec![write, sync, ack, write, ack], vec![true, false]),
    ] {
        let trace: String = calls.iter().map(|call| format!("7 {call}\n")).collect();
        assert_eq!(judge(&trace), expect, "{trace}");
    }
}

/// Notes how many appends each writer has had acknowledged, in all rounds so far.
fn write_and_kill(dir: &Path, kill_after: u64, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = child(&[], dir, WRITERS, ROUND_MAX).spawn().expect("the child starts");
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

/// This binary again, running [`appends`], under another program if there is one.
fn child(under: &[&str], dir: &Path, writers: u64, appends: u64) -> Command {
    let this = std::env::current_exe().expect("this binary");
    let mut command = match under {
        [] => Command::new(this),
        [program, options @ ..] => {
            let mut command = Command::new(program);
            command.args(options).arg(this);
            command
        }
    };
    command
        .args(["--exact", "tests::kill::appends", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(CHILD_WRITERS, writers.to_string())
        .env(CHILD_APPENDS, appends.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

#[test]
#[ignore = "the child of the other tests here"]
fn appends() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let number = |name| std::env::var(name).expect("told").parse::<u64>().expect("a number");
    let telemetry = Telemetry::open(Path::new(&dir)).expect("opens");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let writers = (0..number(CHILD_WRITERS)).map(|writer| {
        let first = stored(&telemetry, writer);
        runtime.spawn(write(telemetry.clone(), writer, first, first + number(CHILD_APPENDS)))
    });
    writers.collect::<Vec<_>>().into_iter().for_each(|writer| runtime.block_on(writer).expect("wrote"));
}

async fn write(telemetry: Telemetry, writer: u64, first: u64, end: u64) {
    for append in first..end {
        let (stream, token) = (stream(group(1), &name(writer)), format!("{writer}:{append}"));
        // One write a line, so that lines do not mix; the test's name stands before the first.
        let said = match telemetry.append(&stream, batch(append), INGESTED, Some(&token)).await {
            Ok(_) => format!("\nack {writer} {append} .\n"),
            Err(error) => format!("\nrefused: {error}\n"),
        };
        std::io::stdout().write_all(said.as_bytes()).expect("a pipe");
    }
}
