//! Acknowledged means durable: this test binary runs itself as a child that writes to a folder,
//! and is killed, or watched by strace.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use super::{FAVOURITES, PETS, Pet, pet, run, schema};
use crate::{Committed, FjallEngine, Key, Store, TransactError, Tx, key};

/// Set for the child: its folder.
const FOLDER: &str = "STORE_TEST_FOLDER";
/// Set for the child: how many clients write at once, and how many rows each.
const CLIENTS: &str = "STORE_TEST_CLIENTS";
const ROWS: &str = "STORE_TEST_ROWS";

/// Rows that a client keeps; it deletes the one before them.
const KEPT: u64 = 20;

const KILLS: u32 = 12;
/// Acknowledgements after which a child is killed, at the most.
const ACKS_MAX: u64 = 200;

fn open(folder: &Path) -> Store {
    Store::open(schema(), FjallEngine::open(folder).expect("the folder opens")).expect("the rows load")
}

fn setting(name: &str) -> u64 {
    std::env::var(name).expect("the parent sets it").parse().expect("a number")
}

#[test]
#[ignore = "the child of the tests below"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = open(Path::new(&folder));
    say("ready");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let clients: Vec<_> =
            (0..setting(CLIENTS)).map(|client| tokio::spawn(client_writes(store.clone(), client))).collect();
        for client in clients {
            client.await.expect("no panic");
        }
    });
}

/// Writes one row after the other, continuing where an earlier child was killed or a batch failed.
async fn client_writes(store: Store, client: u64) {
    let owner = format!("client {client}");
    let last = || store.view().get(FAVOURITES, &key![owner]).map_or(0, |favourite| favourite.number);
    let end = last() + setting(ROWS);
    while last() < end {
        let number = last() + 1;
        match write_row(&store, owner.clone(), number).await {
            Ok(_) => say(&format!("ack {client} {number}")),
            Err(_) => {
                say(&format!("stopped: {}", store.failed().expect("a batch failed")));
                store.reload().await.expect("it loads");
            }
        }
    }
}

async fn write_row(
    store: &Store,
    owner: String,
    number: u64,
) -> Result<Committed<Option<Arc<Pet>>>, TransactError<Infallible>> {
    let write = move |tx: &mut Tx| {
        tx.put(PETS, pet(&owner, number));
        tx.put(FAVOURITES, pet(&owner, number));
        tx.delete(PETS, &key![owner, number.saturating_sub(KEPT)])
    };
    run(store, write).await
}

/// One line, in one system call, past the test runner's capture.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).expect("the parent reads");
    std::io::stdout().flush().expect("the parent reads");
}

/// The command line of a child.
fn child_command(program: &str, before: &[&str], folder: &Path, clients: u64, rows: u64) -> Command {
    let mut command = Command::new(program);
    let this = std::env::current_exe().expect("the test binary");
    command.args(before);
    if program == "strace" {
        command.arg(&this);
    }
    command.args(["--exact", "tests::crash::child", "--ignored", "--nocapture"]);
    command.env(FOLDER, folder).env(CLIENTS, clients.to_string()).env(ROWS, rows.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The last number that each client had acknowledged.
type Acks = BTreeMap<u64, u64>;

fn read_ack(acks: &mut Acks, line: &str) -> bool {
    let Some(ack) = line.strip_prefix("ack ") else { return false };
    let (client, number) = ack.split_once(' ').expect("two numbers");
    acks.insert(client.parse().expect("a client"), number.parse().expect("a row"));
    true
}

/// Kills the child after so many acknowledgements, and reads those that it still wrote.
fn kill_after(count: u64, mut child: Child, acks: &mut Acks) {
    let output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut seen = 0;
    for line in output.lines() {
        seen += u64::from(read_ack(acks, &line.expect("whole lines")));
        if seen == count {
            child.kill().expect("it runs");
        }
    }
    child.wait().expect("it ended");
    assert!(seen >= count, "the child ended by itself after {seen} of {count}");
}

/// Every acknowledged row is there, and at most the one after it, which was under way.
fn check_rows(store: &Store, acks: &mut Acks) {
    let view = store.view();
    for (&client, acked) in acks {
        let owner = format!("client {client}");
        let last = view.get(FAVOURITES, &key![owner]).expect("it was acknowledged").number;
        assert!(last == *acked || last == *acked + 1, "client {client}: {acked} acknowledged, {last} found");
        let numbers: Vec<_> = view.scan(PETS, &key![owner]).map(|pet| pet.number).collect();
        let kept: Vec<_> = (last.saturating_sub(KEPT - 1).max(1)..=last).collect();
        assert_eq!(numbers, kept, "transactions are kept whole");
        *acked = last;
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("state");
    let this = std::env::current_exe().expect("the test binary");
    let mut acks = Acks::new();
    for round in 1..=KILLS {
        let count = 1 + RandomState::new().hash_one(round) % ACKS_MAX;
        let mut command = child_command(this.to_str().expect("UTF-8"), &[], &folder, 4, 100_000);
        kill_after(count, command.spawn().expect("it starts"), &mut acks);
        check_rows(&open(&folder), &mut acks);
    }
    assert_eq!(open(&folder).view().count(FAVOURITES, &Key::new()), 4);
}

/// Where a transaction stands in the trace of system calls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Idle,
    Written,
    Synced,
}

/// Walks the trace: acknowledgements, and whether each came after its own write to the journal and
/// a completed sync of that.
fn unsynced_acks(trace: &str) -> (usize, Vec<String>) {
    let (mut step, mut acks, mut unsynced) = (Step::Idle, 0, Vec::new());
    let mut syncing = BTreeMap::new();
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').expect("strace -f begins lines with the thread");
        let call = call.trim_start();
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        let resumed = call.starts_with("<... fdatasync resumed>") || call.starts_with("<... fsync resumed>");
        if call.starts_with("write(") && call.contains(".jnl>") {
            step = Step::Written;
        } else if is_sync && call.ends_with("<unfinished ...>") {
            syncing.insert(thread, call.contains(".jnl>"));
        } else if (is_sync && call.contains(".jnl>") || resumed && syncing.remove(thread) == Some(true))
            && call.ends_with("= 0")
            && step == Step::Written
        {
            step = Step::Synced;
        } else if call.starts_with("write(1<") && call.contains("ack ") {
            acks += 1;
            if step != Step::Synced {
                unsynced.push(format!("{step:?} before {call}"));
            }
            step = Step::Idle;
        }
    }
    (acks, unsynced)
}

#[test]
fn a_sync_precedes_every_acknowledgement() {
    let place = tempfile::tempdir().expect("a folder");
    let trace = place.path().join("trace");
    let watch = ["-f", "-y", "-e", "trace=write,fdatasync,fsync", "-e", "signal=none", "-o"];
    let watch = [&watch[..], &[trace.to_str().expect("UTF-8")]].concat();
    let mut command = child_command("strace", &watch, &place.path().join("state"), 1, 50);
    let output = command.output().expect("strace starts: ./test installs it");
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(trace).expect("strace wrote it");
    let (acks, unsynced) = unsynced_acks(&trace);
    assert_eq!((acks, unsynced), (50, vec![]));
}

#[test]
fn a_failed_sync_stops_the_store_until_it_reloads() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("state");
    let fault = ["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=10"];
    let output = child_command("strace", &fault, &folder, 1, 30).output().expect("strace starts: ./test installs it");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut acks = Acks::new();
    let acked = text.lines().filter(|line| read_ack(&mut acks, line)).count();
    assert_eq!(text.matches("stopped: ").count(), 1, "{text}");
    assert!(text.contains("Input/output error") && (29..=30).contains(&acked), "{text}");
    check_rows(&open(&folder), &mut acks);
}

#[test]
fn the_walk_through_a_trace_tells_good_from_bad() {
    let check = |calls: &[&str], unsynced: usize| {
        let trace: String = calls.iter().map(|call| format!("7 {call}\n")).collect();
        assert_eq!(unsynced_acks(&trace).1.len(), unsynced, "{trace}");
    };
    let (write, ack) = ("write(9</d/0.jnl>, \"..\", 2) = 2", "write(1<pipe:[1]>, \"\\nack 0 1\\n\", 9) = 9");
    let sync = "fdatasync(9</d/0.jnl>) = 0";
    check(&[write, sync, ack], 0);
    check(&[write, "fdatasync(9</d/0.jnl> <unfinished ...>", "<... fdatasync resumed>) = 0", ack], 0);
    check(&[write, ack], 1);
    check(&[sync, write, ack], 1);
    check(&[write, sync, ack, write, ack], 1);
    check(&[write, "fdatasync(9</d/0.jnl> <unfinished ...>", ack], 1);
    check(&[write, "fdatasync(9</d/0.jnl>) = -1 EIO (Input/output error)", ack], 1);
    check(&[write, "fdatasync(9</d/tables/1>) = 0", ack], 1);
}
