use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::drivers::Overflow;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn line(ms: i64, stream: Stream, text: &str, partial: bool) -> Record {
    Record::Line { at: at(ms), stream, bytes: text.as_bytes().to_vec(), partial }
}

fn read_all(reader: &mut Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next_record().expect("read")).collect()
}

#[test]
fn records_come_back_in_order_and_from_a_kept_offset() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("spool");
    let mut writer = Writer::open(&path, 1 << 20, Overflow::Block).expect("create");
    writer.push(at(1), Stream::Out, b"one", false).expect("push");
    writer.push(at(2), Stream::Err, b"two", true).expect("push");
    let mut reader = Reader::open(&path, 0).expect("open");
    assert_eq!(reader.next_record().expect("read"), None, "nothing is seen before a flush");
    writer.flush();
    assert_eq!(reader.next_record().expect("read"), Some(line(1, Stream::Out, "one", false)));
    let kept = reader.offset();
    assert_eq!(read_all(&mut reader), [line(2, Stream::Err, "two", true)]);
    assert_eq!(read_all(&mut Reader::open(&path, kept).expect("open")), [line(2, Stream::Err, "two", true)]);
}

#[test]
fn a_full_spool_drops_counts_and_says_so() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("spool");
    let mut writer = Writer::open(&path, 1, Overflow::Drop).expect("create");
    let long = vec![b'x'; LINE_BYTES_MAX];
    let pushed = 100;
    for ms in 0..pushed {
        writer.push(at(ms), Stream::Out, &long, false).expect("push");
    }
    writer.flush();
    let mut reader = Reader::open(&path, 0).expect("open");
    let missing = pushed as u64 - read_all(&mut reader).len() as u64;
    assert!((1..pushed as u64).contains(&missing), "{missing}");
    reader.acknowledge(reader.offset()).expect("acknowledge");
    writer.push(at(9), Stream::Out, b"after", false).expect("push");
    writer.flush();
    let dropped = Record::Dropped { at: at(9), records: missing, bytes: missing * LINE_BYTES_MAX as u64 };
    assert_eq!(read_all(&mut reader), [dropped, line(9, Stream::Out, "after", false)]);
}

#[test]
fn a_blocking_spool_waits_for_its_reader_and_keeps_room_for_last_words() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("spool");
    let mut writer = Writer::open(&path, 1, Overflow::Block).expect("create");
    let mut pushed = 0;
    while writer.accepts_more().expect("room") {
        for _ in 0..READ_BYTES_MAX {
            writer.push(at(0), Stream::Out, b"", false).expect("push");
            pushed += 1;
        }
        writer.flush();
    }
    writer.last_words();
    for _ in 0..2 * PIPE_BYTES {
        writer.push(at(5), Stream::Err, b"", false).expect("push");
        pushed += 1;
    }
    writer.finish(at(6)).expect("finish");
    let mut reader = Reader::open(&path, 0).expect("open");
    let read = read_all(&mut reader);
    assert!(read.iter().all(|record| matches!(record, Record::Line { .. })), "nothing was dropped");
    assert_eq!(read.len(), pushed);
    reader.acknowledge(reader.offset()).expect("acknowledge");
    assert!(writer.accepts_more().expect("room"));
}

#[test]
fn damage_is_told_and_can_be_passed_over() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("spool");
    let mut writer = Writer::open(&path, 1 << 20, Overflow::Block).expect("create");
    writer.push(at(1), Stream::Out, b"spoiled", false).expect("push");
    writer.flush();
    let file = std::fs::File::options().write(true).open(&path).expect("open");
    file.write_all_at(b"X", HEADER_BYTES + RECORD_HEAD_BYTES as u64).expect("damage");
    let mut reader = Reader::open(&path, 0).expect("open");
    assert_eq!(reader.next_record().expect_err("damaged").kind(), ErrorKind::InvalidData);
    reader.skip_to_head().expect("skip");
    writer.push(at(2), Stream::Out, b"sound", false).expect("push");
    writer.flush();
    assert_eq!(read_all(&mut reader), [line(2, Stream::Out, "sound", false)]);
}

proptest! {
    /// However lines, flushes, reads and acknowledgements interleave, and however often the ring wraps,
    /// what is read is what was written, in order, and what is missing was counted.
    #[test]
    fn nothing_is_lost_unsaid(
        steps in prop::collection::vec((0usize..LINE_BYTES_MAX, 0u8..4), 1..100),
    ) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("spool");
        let mut writer = Writer::open(&path, 40_000, Overflow::Drop).expect("create");
        let mut reader = Reader::open(&path, 0).expect("open");
        let mut seen: Vec<i64> = Vec::new();
        let mut dropped = 0;
        let mut read = |reader: &mut Reader| for record in read_all(reader) {
            match record {
                Record::Line { at, bytes, .. } => {
                    assert!(bytes.iter().all(|b| i64::from(*b) == at.as_millis() % 251));
                    seen.push(at.as_millis());
                }
                Record::Dropped { records, .. } => dropped += records,
            }
        };
        for (index, (length, action)) in steps.iter().enumerate() {
            writer.push(at(index as i64), Stream::Out, &vec![(index % 251) as u8; *length], false).expect("push");
            if *action > 0 {
                writer.flush();
            }
            if *action > 1 {
                read(&mut reader);
            }
            if *action > 2 {
                reader.acknowledge(reader.offset()).expect("acknowledge");
            }
        }
        writer.last_words();
        writer.finish(at(0)).expect("finish");
        read(&mut reader);
        prop_assert!(seen.is_sorted());
        prop_assert_eq!(seen.len() as u64 + dropped, steps.len() as u64);
    }
}
