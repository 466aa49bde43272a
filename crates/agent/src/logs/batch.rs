//! From records of a spool to batches of events. Pure.
//!
//! Limits are PutLogEvents's:
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>.

use super::LogEvent;
use super::lines::Begun;
use super::multiline::{Joined, Joining};
use crate::drivers::spool::{LINE_BYTES_MAX, Record, Stream};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
/// Events that one record, or the end, can make of what is begun.
const PUSHED_EVENTS_MAX: usize = 8;
/// Bytes of a line that is not UTF-8 become characters of three.
const DECODED_BYTES_MAX: usize = 3 * LINE_BYTES_MAX;

/// A place in a spool, with what is begun there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub offset: u64,
    /// Lines of standard output and standard error.
    begun: [Begun; 2],
    /// An event of several lines.
    joined: Joined,
    /// What the spool had no room for, since the container's start.
    pub dropped: Dropped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub lines: u64,
    pub bytes: u64,
}

/// The batch that is being filled from a cursor on.
#[derive(Debug)]
pub struct Batch {
    /// Where the spool has been read to.
    cursor: Cursor,
    /// None: each line is an event.
    joining: Option<Arc<Joining>>,
    events: Vec<LogEvent>,
    bytes: usize,
    first_ms: i64,
    last_ms: i64,
}

impl Batch {
    pub fn from(cursor: Cursor, joining: Option<Arc<Joining>>) -> Self {
        Self { cursor, joining, events: Vec::new(), bytes: 0, first_ms: i64::MAX, last_ms: i64::MIN }
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// True when another record, or the end, could break a limit.
    pub fn is_full(&self) -> bool {
        let begun = self.cursor.begun.iter().map(Begun::len).sum::<usize>() + self.cursor.joined.len();
        let next = begun + DECODED_BYTES_MAX + PUSHED_EVENTS_MAX * (EVENT_OVERHEAD_BYTES + 1);
        self.bytes + next > BATCH_BYTES_MAX || self.events.len() + PUSHED_EVENTS_MAX > BATCH_EVENTS_MAX
    }

    /// True when a record of that time would make the batch span too much.
    pub fn is_far_from(&self, record: &Record) -> bool {
        let (Record::Line { at, .. } | Record::Dropped { at, .. }) = record;
        let begun = self.cursor.begun.iter().filter_map(Begun::since_ms).chain(self.cursor.joined.since_ms());
        let (at, earliest) = (at.as_millis(), begun.fold(self.first_ms, i64::min));
        !self.is_empty() && (self.last_ms.max(at) - earliest.min(at)) >= BATCH_SPAN_MS_MAX
    }

    /// When the event of several lines that is begun is over although the next has not begun: milliseconds since
    /// 1970.
    pub fn joined_until_ms(&self) -> Option<i64> {
        Some(self.cursor.joined.since_ms()? + self.joining.as_ref()?.age_ms())
    }

    /// Adds the record before `end`.
    pub fn push(&mut self, record: Record, end: u64) {
        self.cursor.offset = end;
        match record {
            Record::Line { at, stream, bytes, partial } => {
                let begun = &mut self.cursor.begun[match stream {
                    Stream::Out => 0,
                    Stream::Err => 1,
                }];
                begun.add(at.as_millis(), &bytes, partial).into_iter().for_each(|line| self.line(line));
            }
            Record::Dropped { records, bytes, .. } => {
                self.cursor.dropped.lines += records;
                self.cursor.dropped.bytes += bytes;
            }
        }
    }

    /// The event of several lines that is begun goes on no more.
    pub fn finish_joined(&mut self) {
        let joined = self.cursor.joined.finish();
        joined.into_iter().for_each(|event| self.add(event));
    }

    /// The container is over: what was begun is all there will be.
    pub fn finish(&mut self) {
        for mut begun in std::mem::take(&mut self.cursor.begun) {
            if let Some(since_ms) = begun.since_ms() {
                begun.add(since_ms, &[], false).into_iter().for_each(|line| self.line(line));
            }
        }
        self.finish_joined();
    }

    fn line(&mut self, line: LogEvent) {
        match &self.joining {
            None => self.add(line),
            Some(how) => {
                let before = self.cursor.joined.add(line, how);
                before.into_iter().for_each(|event| self.add(event));
            }
        }
    }

    /// An empty line is no event, as CloudWatch Logs has none.
    fn add(&mut self, event: LogEvent) {
        if event.message.is_empty() {
            return;
        }
        self.bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
        self.first_ms = self.first_ms.min(event.timestamp_ms);
        self.last_ms = self.last_ms.max(event.timestamp_ms);
        self.events.push(event);
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
    use crate::order::Multiline;
    use base::Timestamp;
    use proptest::prelude::*;

    fn line(ms: i64, stream: Stream, text: &[u8], partial: bool) -> Record {
        Record::Line { at: Timestamp::from_millis(ms), stream, bytes: text.to_vec(), partial }
    }

    fn joining(pattern: &str) -> Option<Arc<Joining>> {
        let asked = Multiline { pattern: pattern.to_owned(), flush_interval_s: 5 };
        Some(Arc::new(Joining::new(&asked).expect("a pattern")))
    }

    fn events(records: Vec<Record>) -> Vec<(i64, String)> {
        joined(records, None)
    }

    fn joined(records: Vec<Record>, joining: Option<Arc<Joining>>) -> Vec<(i64, String)> {
        let mut batch = Batch::from(Cursor::default(), joining);
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
        check(vec![line(1, Out, b"\xe2\x82", true), line(2, Out, b"\xac\xe2", true)], &[(1, "\u{20ac}\u{fffd}")]);
    }

    /// A line as the shim cuts it.
    fn long(text: &[u8]) -> Vec<Record> {
        let mut pieces: Vec<Record> =
            text.chunks(LINE_BYTES_MAX).map(|piece| line(1, Stream::Out, piece, true)).collect();
        if let Some(Record::Line { partial, .. }) = pieces.last_mut() {
            *partial = false;
        }
        pieces
    }

    #[test]
    fn a_line_is_cut_where_docker_cuts_it() {
        fn check(text: &[u8], expect: &[usize]) {
            let found = events(long(text));
            let lengths: Vec<usize> = found.iter().map(|(_, text)| text.len()).collect();
            assert_eq!(lengths, expect);
            let whole: String = found.into_iter().map(|(_, text)| text).collect();
            assert!(whole == String::from_utf8_lossy(text));
        }
        const MAX: usize = MESSAGE_BYTES_MAX;
        check(&vec![b'x'; MAX], &[MAX]);
        check(&vec![b'x'; MAX + 1], &[MAX, 1]);
        check(&vec![b'x'; 300_000], &[MAX, 300_000 - MAX]);
        check(&vec![b'x'; 2 * MAX], &[MAX, MAX]);
        check(&vec![b'x'; 2 * MAX + 1], &[MAX, MAX, 1]);
        let euros = "\u{20ac}".repeat(MAX / 3 + 2);
        check(euros.as_bytes(), &[MAX / 3 * 3, 6]);
        check(&vec![0xff; MAX / 3 + 2], &[MAX / 3 * 3, 6]);
    }

    #[test]
    fn lines_from_a_match_to_the_next_are_one_event() {
        fn check(records: Vec<Record>, expect: &[(i64, &str)]) {
            let found = joined(records, joining("^[A-Z]"));
            let found: Vec<_> = found.iter().map(|(ms, text)| (*ms, text.as_str())).collect();
            assert_eq!(found, expect);
        }
        use Stream::{Err, Out};
        check(vec![line(1, Out, b"A", false), line(2, Out, b" a", false)], &[(1, "A\n a\n")]);
        check(
            vec![line(1, Out, b"a", false), line(2, Out, b"B", false), line(3, Err, b"b", false)],
            &[(1, "a\n"), (2, "B\nb\n")],
        );
        check(vec![line(1, Out, b"A", false), line(2, Out, b"", false)], &[(1, "A\n\n")]);
        check(
            vec![line(1, Out, b"A ", true), line(2, Err, b"B", false), line(3, Out, b"C", false)],
            &[(1, "A C\n"), (2, "B\n")],
        );
        let late = 1 + 5_000;
        check(
            vec![line(1, Out, b"A", false), line(late - 1, Out, b"b", false), line(late, Out, b"c", false)],
            &[(1, "A\nb\n"), (late, "c\n")],
        );
    }

    #[test]
    fn an_event_of_several_lines_is_no_longer_than_one_may_be() {
        let line = |length: usize| line(1, Stream::Out, &vec![b'x'; length], false);
        let few = 17;
        let records = (0..few).map(|_| line(LINE_BYTES_MAX)).chain(long(&vec![b'y'; MESSAGE_BYTES_MAX + 1]));
        let found = joined(records.collect(), joining("^A"));
        let lengths: Vec<usize> = found.iter().map(|(_, text)| text.len()).collect();
        let piece = LINE_BYTES_MAX + 1;
        assert_eq!(lengths, [15 * piece, 2 * piece, MESSAGE_BYTES_MAX, 2]);
    }

    #[test]
    fn what_was_dropped_is_counted() {
        let mut batch = Batch::from(Cursor::default(), None);
        for end in 1..3 {
            batch.push(Record::Dropped { at: Timestamp::from_millis(1), records: 2, bytes: 30 }, end);
        }
        assert_eq!(batch.close().1.dropped, Dropped { lines: 4, bytes: 60 });
    }

    #[test]
    fn the_worst_of_both_streams_and_of_an_event_fits_a_batch() {
        for joining in [None, joining("^A")] {
            let (mut batch, mut end) = (Batch::from(Cursor::default(), joining), 0);
            let partial = |stream| line(1, stream, &[0xff; LINE_BYTES_MAX], true);
            batch.push(line(1, Stream::Out, &[b'x'; LINE_BYTES_MAX], false), 0);
            for _ in 0..5 {
                batch.push(line(1, Stream::Out, &[0xff; LINE_BYTES_MAX], false), 0);
            }
            while !batch.is_full() {
                end += 1;
                batch.push(partial(if end % 2 == 0 { Stream::Out } else { Stream::Err }), end);
            }
            batch.finish();
            let bytes: usize = batch.close().0.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
            assert!(bytes <= BATCH_BYTES_MAX, "{bytes}");
        }
    }

    #[test]
    fn a_batch_is_full_before_it_breaks_a_limit() {
        let mut batch = Batch::from(Cursor::default(), None);
        let mut end = 0;
        while !batch.is_full() {
            end += 1;
            batch.push(line(1, Stream::Out, &[0xff; crate::drivers::spool::LINE_BYTES_MAX], false), end);
        }
        let (events, _) = batch.close();
        let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
        assert!(bytes <= BATCH_BYTES_MAX && bytes > BATCH_BYTES_MAX / 2, "{bytes}");
        let mut batch = Batch::from(Cursor::default(), None);
        while !batch.is_full() {
            batch.push(line(1, Stream::Out, b"x", false), 1);
        }
        assert!(batch.close().0.len() <= BATCH_EVENTS_MAX);
    }

    #[test]
    fn a_batch_spans_less_than_a_day() {
        let mut batch = Batch::from(Cursor::default(), None);
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
            several in any::<bool>(),
        ) {
            let joining = if several { joining("^[a-m]") } else { None };
            let records: Vec<Record> = records
                .into_iter()
                .map(|(out, text, partial)| {
                    line(1, if out { Stream::Out } else { Stream::Err }, text.as_bytes(), partial)
                })
                .collect();
            let mut found = Vec::new();
            let mut batch = Batch::from(Cursor::default(), joining.clone());
            for (at, record) in records.iter().enumerate() {
                batch.push(record.clone(), at as u64 + 1);
                if cuts[at] {
                    let (events, cursor) = batch.close();
                    found.extend(events);
                    let saved = serde_json::to_string(&cursor).expect("json");
                    batch = Batch::from(serde_json::from_str(&saved).expect("back"), joining.clone());
                }
            }
            batch.finish();
            found.extend(batch.close().0);
            let found: Vec<_> = found.into_iter().map(|event| (event.timestamp_ms, event.message)).collect();
            prop_assert_eq!(found, joined(records, joining));
        }
    }
}
