use super::ship::{Destination, Shipper, Source, Trouble, open_stream};
use crate::drivers::Error;
use crate::drivers::spool::{Record, Stream};
use crate::order::{AwsLogs, Multiline};
use crate::testing::{Answer, Asked, Fake, bytes, document, refusal};
use base::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A spool in memory: each record is one offset long. It ends when `over`.
#[derive(Clone, Default)]
struct Spool {
    records: Arc<Mutex<Vec<Record>>>,
    acknowledged: Arc<Mutex<u64>>,
    /// There may be more: who reads on waits.
    open: Arc<AtomicBool>,
}

struct Cursor {
    spool: Spool,
    offset: u64,
}

impl Spool {
    fn say(&self, lines: std::ops::Range<usize>) {
        let line = |number: usize| Record::Line {
            at: Timestamp::from_millis(number as i64),
            stream: if number.is_multiple_of(3) { Stream::Err } else { Stream::Out },
            bytes: format!("line {number}").into_bytes(),
            partial: false,
        };
        self.records.lock().extend(lines.map(line));
    }

    fn open(&self, offset: u64) -> Result<Cursor, Error> {
        assert!(offset >= *self.acknowledged.lock(), "what was given back is gone");
        Ok(Cursor { spool: self.clone(), offset })
    }
}

impl Source for Cursor {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        let record = self.spool.records.lock().get(self.offset as usize).cloned();
        if record.is_none() && !self.is_over() {
            std::future::pending::<()>().await;
        }
        self.offset += u64::from(record.is_some());
        Ok(record)
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn acknowledge(&self, offset: u64) -> Result<(), Error> {
        *self.spool.acknowledged.lock() = offset;
        Ok(())
    }

    fn is_over(&self) -> bool {
        !self.spool.open.load(Ordering::SeqCst)
    }
}

/// CloudWatch Logs as our control plane does it: streams, and batches stored once.
#[derive(Default)]
struct Logs {
    group: bool,
    stream: bool,
    sequences: BTreeMap<String, u64>,
    messages: Vec<String>,
    /// Answers to be lost: the next batches are stored, and their senders told otherwise.
    broken: u32,
}

impl Logs {
    fn answer(&mut self, asked: &Asked) -> Answer {
        match asked.what.as_str() {
            "CreateLogGroup" => self.group = true,
            "CreateLogStream" if !self.group => return refusal("ResourceNotFoundException"),
            "CreateLogStream" => self.stream = true,
            "PutLogEvents" if !self.stream => return refusal("ResourceNotFoundException"),
            "PutLogEvents" => return self.put(asked),
            other => panic!("{other}"),
        }
        document(&json!({}))
    }

    fn put(&mut self, asked: &Asked) -> Answer {
        let token = asked.headers["x-longshore-batch"].to_str().expect("text");
        let (producer, sequence) = token.rsplit_once(':').expect("producer:sequence");
        let (sequence, seen) =
            (sequence.parse().expect("a number"), self.sequences.entry(producer.to_owned()).or_default());
        if sequence > *seen {
            *seen = sequence;
            let events = asked.input["logEvents"].as_array().expect("events");
            self.messages.extend(events.iter().map(|event| event["message"].as_str().expect("text").to_owned()));
        }
        if self.broken > 0 {
            self.broken -= 1;
            return bytes(500, &[], "");
        }
        document(&json!({}))
    }
}

async fn fake(logs: Logs) -> (Fake, Arc<Mutex<Logs>>) {
    let logs = Arc::new(Mutex::new(logs));
    let state = logs.clone();
    (Fake::start(move |asked| state.lock().answer(asked)).await, logs)
}

fn options(create_group: bool) -> AwsLogs {
    AwsLogs { group: "g".to_owned(), create_group, ..AwsLogs::default() }
}

fn shipper(fake: &Fake, spool: &Spool, note: &Path) -> Shipper<Cursor> {
    shipper_with(fake, spool, note, options(true), |_| {})
}

fn shipper_with(
    fake: &Fake,
    spool: &Spool,
    note: &Path,
    logs: AwsLogs,
    tell: impl Fn(Trouble) + Send + Sync + 'static,
) -> Shipper<Cursor> {
    let (stream, producer, tell) = ("s".to_owned(), "p".to_owned(), Box::new(tell));
    let to = Destination { aws: fake.client(), logs, stream, producer, tell };
    Shipper::open(to, note.to_owned(), |offset| spool.open(offset)).expect("opened")
}

fn multiline(pattern: &str) -> AwsLogs {
    let multiline = Some(Multiline { pattern: pattern.to_owned(), flush_interval_s: 5 });
    AwsLogs { multiline, ..options(true) }
}

fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[tokio::test]
async fn output_is_shipped_in_order_and_its_room_given_back() {
    let (fake, logs) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    spool.say(0..25_000);
    shipper(&fake, &spool, &dir.path().join("note")).run().await.expect("shipped");
    assert_eq!(logs.lock().messages, lines(0..25_000));
    assert_eq!(*spool.acknowledged.lock(), 25_000);
    let batches = fake.asked();
    assert_eq!(batches.len(), 3);
    assert_eq!(batches[0].headers["x-longshore-batch"], "p:1");
    let signed = batches[0].headers["authorization"].to_str().expect("text").contains("x-longshore-batch");
    assert!(signed, "the batch's number is signed");
}

#[tokio::test]
async fn a_stream_that_is_gone_is_made_again() {
    let (fake, logs) = fake(Logs::default()).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    spool.say(0..2);
    shipper(&fake, &spool, &dir.path().join("note")).run().await.expect("shipped");
    assert_eq!(logs.lock().messages, lines(0..2));
    let words = ["PutLogEvents", "CreateLogStream", "CreateLogGroup", "CreateLogStream", "PutLogEvents"];
    assert_eq!(fake.words(), words);
}

#[tokio::test]
async fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    let fake = Fake::start(|_| refusal("InvalidParameterException")).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    spool.say(0..2);
    shipper(&fake, &spool, &dir.path().join("note")).run().await.expect("done");
    assert_eq!((fake.words(), *spool.acknowledged.lock()), (vec!["PutLogEvents".to_owned()], 2));
}

/// The shipper is dropped at every point at which it waits for an answer, as by kill -9, and another takes over.
#[tokio::test]
async fn nothing_is_lost_or_doubled_over_kills() {
    let (fake, logs) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    let note = dir.path().join("note");
    for life in 0..20 {
        spool.say(life * 10..life * 10 + 10);
        // The answer is lost, so that the shipper waits to send again: there it is killed.
        logs.lock().broken = 1;
        let sent = logs.lock().messages.len();
        let shipping = shipper(&fake, &spool, &note).run();
        tokio::select! {
            done = shipping => done.expect("shipped"),
            () = crate::testing::until("a batch was sent", || logs.lock().broken == 0) => {}
        }
        assert!(logs.lock().messages.len() >= sent);
    }
    shipper(&fake, &spool, &note).run().await.expect("shipped");
    assert_eq!(logs.lock().messages, lines(0..200));
}

#[tokio::test]
async fn a_stream_is_opened_where_the_options_allow() {
    async fn check(group: bool, create_group: bool, expect: Result<&[&str], &str>) {
        let (fake, _) = fake(Logs { group, ..Logs::default() }).await;
        match (open_stream(&fake.client(), &options(create_group), "s").await, expect) {
            (Ok(()), Ok(words)) => assert_eq!(fake.words(), words),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text) && !error.is_transient(), "{error}"),
            (found, expect) => panic!("{found:?} is not {expect:?}"),
        }
    }
    check(true, false, Ok(&["CreateLogStream"])).await;
    check(false, true, Ok(&["CreateLogStream", "CreateLogGroup", "CreateLogStream"])).await;
    check(false, false, Err("failed to create Cloudwatch log stream: ResourceNotFoundException")).await;
}

#[tokio::test]
async fn an_event_has_time_and_message() {
    let (fake, _) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    spool.say(7..8);
    shipper(&fake, &spool, &dir.path().join("note")).run().await.expect("shipped");
    let asked: Vec<Value> = fake.asked().into_iter().map(|asked| asked.input).collect();
    let event = json!({ "timestamp": 7, "message": "line 7" });
    assert_eq!(asked, [json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": [event] })]);
}

#[tokio::test]
async fn lines_up_to_a_match_are_one_event_also_over_kills() {
    let (fake, logs) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    let note = dir.path().join("note");
    spool.open.store(true, Ordering::SeqCst);
    let mut said = 0;
    // In each life four lines come, and the process is killed while the last one's event is begun.
    for life in 0..8 {
        let now = client::now();
        let lines = (said..said + 4).map(|number| Record::Line {
            at: now,
            stream: Stream::Out,
            bytes: format!("line {number}").into_bytes(),
            partial: false,
        });
        spool.records.lock().extend(lines);
        said += 4;
        let shipping = shipper_with(&fake, &spool, &note, multiline("[05]$"), |_| {}).run();
        tokio::select! {
            done = shipping => panic!("the output is not over: {done:?}"),
            () = crate::testing::until("its room is given back", || *spool.acknowledged.lock() == said) => {}
        }
        if life % 3 == 1 {
            logs.lock().broken = 1;
        }
    }
    spool.open.store(false, Ordering::SeqCst);
    shipper_with(&fake, &spool, &note, multiline("[05]$"), |_| {}).run().await.expect("shipped");
    let expect: Vec<String> = lines(0..said as usize)
        .chunk_by(|_, line| !line.ends_with(['0', '5']))
        .map(|event| event.iter().map(|line| format!("{line}\n")).collect())
        .collect();
    assert_eq!(logs.lock().messages, expect);
}

#[tokio::test]
async fn an_event_that_nothing_ends_is_shipped_when_it_is_old() {
    let (fake, logs) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    spool.open.store(true, Ordering::SeqCst);
    // Its time is long ago.
    spool.say(0..2);
    let shipping = shipper_with(&fake, &spool, &dir.path().join("note"), multiline("^never"), |_| {}).run();
    tokio::select! {
        done = shipping => panic!("the output is not over: {done:?}"),
        () = crate::testing::until("it is shipped", || !logs.lock().messages.is_empty()) => {}
    }
    assert_eq!(logs.lock().messages, ["line 0\nline 1\n"]);
}

#[tokio::test]
async fn what_was_dropped_is_told_once_in_sum() {
    let (fake, _) = fake(Logs { group: true, stream: true, ..Logs::default() }).await;
    let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
    let dropped = || Record::Dropped { at: Timestamp::from_millis(0), records: 3, bytes: 40 };
    spool.say(0..1);
    spool.records.lock().extend([dropped(), dropped()]);
    let told: Arc<Mutex<Vec<Trouble>>> = Arc::default();
    let hears = told.clone();
    let tell = move |trouble| hears.lock().push(trouble);
    shipper_with(&fake, &spool, &dir.path().join("note"), options(true), tell).run().await.expect("shipped");
    assert_eq!(*told.lock(), [Trouble::Dropped { lines: 6, bytes: 80 }]);
}

#[tokio::test]
async fn output_waits_for_a_stream_while_its_container_runs() {
    for (blocking, over, expect) in [(false, false, "waits"), (false, true, "lost"), (true, false, "lost")] {
        let (fake, logs) = fake(Logs::default()).await;
        let (dir, spool) = (tempfile::tempdir().expect("temp dir"), Spool::default());
        spool.say(0..1);
        spool.open.store(!over, Ordering::SeqCst);
        let told: Arc<Mutex<Vec<Trouble>>> = Arc::default();
        let (hears, note) = (told.clone(), dir.path().join("note"));
        let to = AwsLogs { blocking, ..options(false) };
        let shipping = shipper_with(&fake, &spool, &note, to, move |trouble| hears.lock().push(trouble)).run();
        let shipping = tokio::spawn(shipping);
        crate::testing::until("it is told", || !told.lock().is_empty()).await;
        logs.lock().group = true;
        match expect {
            "waits" => crate::testing::until("it is shipped", || logs.lock().messages == lines(0..1)).await,
            _ => assert!(logs.lock().messages.is_empty()),
        }
        let words = told.lock().iter().map(|trouble| format!("{trouble:?}")).collect::<String>();
        assert!(words.starts_with(if expect == "waits" { "Waiting" } else { "Refused { events: 1" }), "{words}");
        shipping.abort();
    }
}
