//! From records of a spool to batches of events. Pure.
//!
//! Limits are PutLogEvents's:
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>.

use super::LogEvent;
use crate::drivers::spool::{Record, Stream};
use serde::{Deserialize, Serialize};

/// What CloudWatch Logs counts for an event beside its message.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// Bytes of one event's message: Docker's awslogs driver splits longer lines.
pub const MESSAGE_BYTES_MAX: usize = 262_144 - EVENT_OVERHEAD_BYTES;
/// Bytes of a batch, with each event's overhead.
const BATCH_BYTES_MAX: usize = 1_048_576;
/// Events of a batch.
const BATCH_EVENTS_MAX: usize = 10_000;
/// Milliseconds that a batch may span.
const BATCH_SPAN_MS_MAX: i64 = 24 * 3600 * 1000;

/// A place in a spool, with the lines that are begun there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub offset: u64,
    /// Of standard output and standard error.
    begun: [Begun; 2],
}

/// The beginning of a line that goes on in a later record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    at_ms: i64,
    #[serde(with = "hex")]
    bytes: Vec<u8>,
}

/// The batch that is being filled from a cursor on.
#[derive(Debug)]
pub struct Batch {
    /// Where the spool has been read to.
    cursor: Cursor,
    events: Vec<LogEvent>,
    bytes: usize,
    first_ms: i64,
    last_ms: i64,
}

impl Batch {
    pub fn from(cursor: Cursor) -> Self {
        Self { cursor, events: Vec::new(), bytes: 0, first_ms: i64::MAX, last_ms: i64::MIN }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// True when another record could break a limit.
    pub fn is_full(&self) -> bool {
        let begun: usize = self.cursor.begun.iter().map(|begun| begun.bytes.len()).sum();
        let next = begun + crate::drivers::spool::LINE_BYTES_MAX;
        // A character that is not UTF-8 becomes one of three bytes, and a line may become several events.
        let next = next * 3 + (next / MESSAGE_BYTES_MAX + 2) * EVENT_OVERHEAD_BYTES;
        self.bytes + next > BATCH_BYTES_MAX || self.events.len() + 8 > BATCH_EVENTS_MAX
    }

    /// True when a record of that time would make the batch span too much.
    pub fn is_far_from(&self, record: &Record) -> bool {
        let (Record::Line { at, .. } | Record::Dropped { at, .. }) = record;
        let at = at.as_millis();
        !self.is_empty() && (self.last_ms.max(at) - self.first_ms.min(at)) >= BATCH_SPAN_MS_MAX
    }

    /// Adds the record before `end`.
    pub fn push(&mut self, record: Record, end: u64) {
        self.cursor.offset = end;
        let Record::Line { at, stream, bytes, partial } = record else { return };
        let begun = &mut self.cursor.begun[match stream {
            Stream::Out => 0,
            Stream::Err => 1,
        }];
        if begun.bytes.is_empty() {
            begun.at_ms = at.as_millis();
        }
        begun.bytes.extend_from_slice(&bytes);
        if !partial || begun.bytes.len() >= MESSAGE_BYTES_MAX {
            let whole = std::mem::take(begun);
            self.line(whole);
        }
    }

    /// The container is over: what was begun is all there will be.
    pub fn finish(&mut self) {
        for whole in std::mem::take(&mut self.cursor.begun) {
            self.line(whole);
        }
    }

    /// Cut where a message may not be longer; an empty line is no event, as CloudWatch Logs has none.
    fn line(&mut self, line: Begun) {
        let text = String::from_utf8_lossy(&line.bytes);
        let mut rest = &*text;
        while !rest.is_empty() {
            let (message, after) = rest.split_at(rest.floor_char_boundary(MESSAGE_BYTES_MAX));
            self.bytes += message.len() + EVENT_OVERHEAD_BYTES;
            self.first_ms = self.first_ms.min(line.at_ms);
            self.last_ms = self.last_ms.max(line.at_ms);
            self.events.push(LogEvent { timestamp_ms: line.at_ms, message: message.to_owned() });
            rest = after;
        }
    }

    /// The events in the order of their time, and where the next batch begins.
    pub fn close(mut self) -> (Vec<LogEvent>, Cursor) {
        self.events.sort_by_key(|event| event.timestamp_ms);
        (self.events, self.cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Timestamp;
    use proptest::prelude::*;

    fn line(ms: i64, stream: Stream, text: &[u8], partial: bool) -> Record {
        Record::Line { at: Timestamp::from_millis(ms), stream, bytes: text.to_vec(), partial }
    }

    fn events(records: Vec<Record>) -> Vec<(i64, String)> {
        let mut batch = Batch::from(Cursor::default());
        for (end, record) in records.into_iter().enumerate() {
            batch.push(record, end as u64 + 1);
        }
        batch.finish();
        batch.close().0.into_iter().map(|event| (event.timestamp_ms, event.message)).collect()
    }

    #[test]
    fn lines_are_joined_split_ordered_and_never_empty() {
        fn check(records: Vec<Record>, expect: &[(i64, &str)]) {
            let found = events(records);
            let found: Vec<_> = found.iter().map(|(ms, text)| (*ms, text.as_str())).collect();
            assert_eq!(found, expect);
        }
        use Stream::{Err, Out};
        check(vec![line(1, Out, b"one", false), line(2, Err, b"two", false)], &[(1, "one"), (2, "two")]);
        check(vec![line(2, Out, b"late", false), line(1, Err, b"early", false)], &[(1, "early"), (2, "late")]);
        check(
            vec![line(1, Out, b"o", true), line(2, Err, b"e", false), line(3, Out, b"ut", false)],
            &[(1, "out"), (2, "e")],
        );
        check(vec![line(1, Out, b"", false), line(2, Out, b"x", true)], &[(2, "x")]);
        check(vec![line(1, Out, b"\xff", false)], &[(1, "\u{fffd}")]);
        check(vec![Record::Dropped { at: Timestamp::from_millis(1), records: 1, bytes: 2 }], &[]);
        let long = vec![line(1, Out, &vec![b'x'; MESSAGE_BYTES_MAX], true), line(2, Out, b"y", false)];
        let found = events(long);
        assert_eq!(found.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), [MESSAGE_BYTES_MAX, 1]);
    }

    #[test]
    fn a_batch_is_full_before_it_breaks_a_limit() {
        let mut batch = Batch::from(Cursor::default());
        let mut end = 0;
        while !batch.is_full() {
            end += 1;
            batch.push(line(1, Stream::Out, &[0xff; crate::drivers::spool::LINE_BYTES_MAX], false), end);
        }
        let (events, _) = batch.close();
        let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
        assert!(bytes <= BATCH_BYTES_MAX && bytes > BATCH_BYTES_MAX / 2, "{bytes}");
        let mut batch = Batch::from(Cursor::default());
        while !batch.is_full() {
            batch.push(line(1, Stream::Out, b"x", false), 1);
        }
        assert!(batch.close().0.len() <= BATCH_EVENTS_MAX);
    }

    #[test]
    fn a_batch_spans_less_than_a_day() {
        let mut batch = Batch::from(Cursor::default());
        let day = BATCH_SPAN_MS_MAX;
        assert!(!batch.is_far_from(&line(day, Stream::Out, b"x", false)));
        batch.push(line(0, Stream::Out, b"x", false), 1);
        assert!(!batch.is_far_from(&line(day - 1, Stream::Out, b"x", false)));
        assert!(batch.is_far_from(&line(day, Stream::Out, b"x", false)));
        assert!(batch.is_far_from(&line(-day, Stream::Out, b"x", false)));
    }

    proptest! {
        /// However a run of records is cut into batches, with a cursor saved between them, the events are the same.
        #[test]
        fn cuts_lose_and_double_nothing(
            records in proptest::collection::vec((any::<bool>(), "[a-z]{0,4}", any::<bool>()), 0..30),
            cuts in proptest::collection::vec(any::<bool>(), 30),
        ) {
            let records: Vec<Record> = records
                .into_iter()
                .map(|(out, text, partial)| {
                    line(1, if out { Stream::Out } else { Stream::Err }, text.as_bytes(), partial)
                })
                .collect();
            let mut found = Vec::new();
            let mut batch = Batch::from(Cursor::default());
            for (at, record) in records.iter().enumerate() {
                batch.push(record.clone(), at as u64 + 1);
                if cuts[at] {
                    let (events, cursor) = batch.close();
                    found.extend(events);
                    let saved = serde_json::to_string(&cursor).expect("json");
                    batch = Batch::from(serde_json::from_str(&saved).expect("back"));
                }
            }
            batch.finish();
            found.extend(batch.close().0);
            let found: Vec<_> = found.into_iter().map(|event| (event.timestamp_ms, event.message)).collect();
            prop_assert_eq!(found, events(records));
        }
    }
}
