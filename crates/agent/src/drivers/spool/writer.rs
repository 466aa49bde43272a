//! The shim's end of a spool.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use base::Timestamp;

use super::{
    AT_CAPACITY, AT_HEAD, AT_TAIL, FLAG_PARTIAL, HEADER_BYTES, LAST_WORDS_BYTES, MAGIC, READ_BYTES_MAX,
    RECORD_HEAD_BYTES, STREAM_NOTICE, Stream, worst_bytes,
};
use crate::drivers::Overflow;

/// Bytes of records that are kept in memory while a full disk does not take them: what Docker's drivers keep of a
/// container whose output is not waited for (Docker Engine documentation, "max-buffer-size").
const BEHIND_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Writer {
    file: File,
    capacity: u64,
    head: u64,
    tail: u64,
    overflow: Overflow,
    /// Kept free until [`Writer::last_words`].
    reserve: u64,
    dropped: Tally,
    /// Records from `head` on that are not in the file yet.
    batch: Vec<u8>,
    /// The lines among them, and what their notices tell of.
    batched: Tally,
    /// Why the file did not take them.
    behind: Option<io::Error>,
}

#[derive(Default)]
struct Tally {
    records: u64,
    bytes: u64,
}

impl Tally {
    fn count(&mut self, bytes: usize) {
        self.add(&Self { records: 1, bytes: bytes as u64 });
    }

    fn add(&mut self, more: &Self) {
        self.records += more.records;
        self.bytes += more.bytes;
    }
}

impl Writer {
    /// The spool at `path`, a fresh one unless there is one of the container's last run. It has room for `bytes_max`
    /// bytes of records (raised to what one read of a pipe may need) and for a container's last words.
    pub(crate) fn open(path: &Path, bytes_max: u64, overflow: Overflow) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let capacity = bytes_max.max(worst_bytes(READ_BYTES_MAX)) + LAST_WORDS_BYTES;
        let mut magic = [0; 8];
        let (head, tail) = match file.read_exact_at(&mut magic, 0) {
            Ok(()) if &magic == MAGIC => (number(&file, AT_HEAD)?, number(&file, AT_TAIL)?),
            _ => {
                file.write_all_at(&capacity.to_le_bytes(), AT_CAPACITY)?;
                file.write_all_at(&[0; 16], AT_HEAD)?;
                file.write_all_at(MAGIC, 0)?;
                (0, 0)
            }
        };
        Ok(Self {
            file,
            capacity,
            head,
            tail: tail.min(head),
            overflow,
            reserve: LAST_WORDS_BYTES,
            dropped: Tally::default(),
            batch: Vec::new(),
            batched: Tally::default(),
            behind: None,
        })
    }

    /// False when the container must wait: [`READ_BYTES_MAX`] more of output might not fit.
    pub(crate) fn accepts_more(&mut self) -> io::Result<bool> {
        if self.overflow == Overflow::Drop {
            return Ok(true);
        }
        let need = worst_bytes(READ_BYTES_MAX);
        if self.room() < need {
            self.refresh_tail()?;
        }
        Ok(self.room() >= need && self.fits_memory(need))
    }

    /// Why records wait in memory; none when all are in the file.
    pub(crate) fn behind(&self) -> Option<&io::Error> {
        self.behind.as_ref()
    }

    /// Whether so many bytes more may wait for a disk that takes none.
    fn fits_memory(&self, need: u64) -> bool {
        self.behind.is_none() || self.batch.len() as u64 + need <= BEHIND_BYTES_MAX as u64
    }

    /// From here on the room kept for a container's end may be used, and nothing waits any more.
    pub(crate) fn last_words(&mut self) {
        self.reserve = 0;
        self.overflow = Overflow::Drop;
    }

    /// Adds a line of at most [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX) bytes, or counts it as dropped.
    pub(crate) fn push(&mut self, at: Timestamp, stream: Stream, line: &[u8], partial: bool) -> io::Result<()> {
        let need = (RECORD_HEAD_BYTES + line.len()) as u64;
        let notice = if self.dropped.records > 0 { (RECORD_HEAD_BYTES + 16) as u64 } else { 0 };
        if self.room() < need + notice {
            self.refresh_tail()?;
        }
        if self.room() < need + notice || !self.fits_memory(need + notice) {
            self.dropped.count(line.len());
            return Ok(());
        }
        self.push_notice(at);
        self.batched.count(line.len());
        let number = match stream {
            Stream::Out => 1,
            Stream::Err => 2,
        };
        self.append(at, number, if partial { FLAG_PARTIAL } else { 0 }, line);
        Ok(())
    }

    /// Says what was dropped since the last time, when there is room to say it.
    pub(crate) fn finish(&mut self, at: Timestamp) -> io::Result<()> {
        self.refresh_tail()?;
        if self.room() >= (RECORD_HEAD_BYTES + 16) as u64 {
            self.push_notice(at);
        }
        self.flush();
        Ok(())
    }

    /// Puts the pushed records into the file, and only then moves the head over them. What a full disk does
    /// not take waits for the next flush: a container should not end for its output's sake.
    pub(crate) fn flush(&mut self) {
        self.behind = self.write_batch().err();
        if self.behind.is_none() {
            self.head += self.batch.len() as u64;
            self.batch.clear();
            self.batched = Tally::default();
        }
    }

    /// Counts what waits as dropped, and says that much: it fits where all did not, as a rule.
    pub(crate) fn give_up(&mut self, at: Timestamp) {
        if self.behind.is_some() {
            self.batch.clear();
            self.dropped.add(&std::mem::take(&mut self.batched));
            self.push_notice(at);
            self.flush();
        }
    }

    fn write_batch(&self) -> io::Result<()> {
        let at = self.head % self.capacity;
        let first = self.batch.len().min((self.capacity - at) as usize);
        self.file.write_all_at(&self.batch[..first], HEADER_BYTES + at)?;
        self.file.write_all_at(&self.batch[first..], HEADER_BYTES)?;
        let head = self.head + self.batch.len() as u64;
        self.file.write_all_at(&head.to_le_bytes(), AT_HEAD)
    }

    fn push_notice(&mut self, at: Timestamp) {
        if self.dropped.records == 0 {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped);
        self.batched.add(&dropped);
        let mut body = [0; 16];
        body[..8].copy_from_slice(&dropped.records.to_le_bytes());
        body[8..].copy_from_slice(&dropped.bytes.to_le_bytes());
        self.append(at, STREAM_NOTICE, 0, &body);
    }

    fn append(&mut self, at: Timestamp, stream: u8, flags: u8, bytes: &[u8]) {
        let start = self.batch.len();
        self.batch.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.batch.extend_from_slice(&[0; 4]);
        self.batch.extend_from_slice(&at.as_millis().to_le_bytes());
        self.batch.extend_from_slice(&[stream, flags]);
        self.batch.extend_from_slice(bytes);
        let checksum = crc32fast::hash(&self.batch[start + 8..]);
        self.batch[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    fn room(&self) -> u64 {
        let used = self.head + self.batch.len() as u64 - self.tail;
        (self.capacity - self.reserve).saturating_sub(used)
    }

    /// A tail that cannot be is not believed: the reader is another process.
    fn refresh_tail(&mut self) -> io::Result<()> {
        let tail = number(&self.file, AT_TAIL)?;
        if (self.tail..=self.head).contains(&tail) {
            self.tail = tail;
        }
        Ok(())
    }
}

fn number(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::spool::{Reader, Record};
    use std::path::PathBuf;

    /// A spool whose disk is full until it is given its file back.
    struct Full {
        writer: Writer,
        file: File,
        path: PathBuf,
        _dir: tempfile::TempDir,
    }

    impl Full {
        fn new(overflow: Overflow) -> Self {
            let dir = tempfile::tempdir().expect("temp dir");
            let path = dir.path().join("spool");
            let mut writer = Writer::open(&path, 8 << 20, overflow).expect("open");
            let full = File::options().read(true).write(true).open("/dev/full").expect("/dev/full");
            let file = std::mem::replace(&mut writer.file, full);
            Self { writer, file, path, _dir: dir }
        }

        fn push(&mut self, line: &[u8]) {
            self.writer.push(Timestamp::from_millis(1), Stream::Out, line, false).expect("pushed");
            self.writer.flush();
        }

        /// Lines that are there once there is room, and what is said to be dropped.
        fn with_room(mut self) -> (usize, u64, u64) {
            self.writer.file = self.file;
            self.writer.finish(Timestamp::from_millis(2)).expect("finished");
            assert!(self.writer.behind().is_none());
            told(&self.path)
        }
    }

    fn told(path: &Path) -> (usize, u64, u64) {
        let (mut reader, mut told) = (Reader::open(path, 0).expect("reader"), (0, 0, 0));
        while let Some(record) = reader.next_record().expect("sound") {
            match record {
                Record::Line { .. } => told.0 += 1,
                Record::Dropped { records, bytes, .. } => (told.1, told.2) = (told.1 + records, told.2 + bytes),
            }
        }
        told
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_there_when_it_has_room() {
        let mut full = Full::new(Overflow::Drop);
        (0..500).for_each(|_| full.push(b"tick"));
        assert_eq!(full.writer.behind().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        assert_eq!(full.with_room(), (500, 0, 0));
    }

    #[test]
    fn what_memory_has_no_room_for_is_counted_to_the_last_line() {
        let mut full = Full::new(Overflow::Drop);
        let line = [b'x'; 1 << 10];
        let pushed = 2 * BEHIND_BYTES_MAX / line.len();
        (0..pushed).for_each(|_| full.push(&line));
        assert!(full.writer.batch.len() <= BEHIND_BYTES_MAX);
        let (lines, dropped, bytes) = full.with_room();
        assert!(lines > pushed / 3, "{lines}");
        assert_eq!((lines + dropped as usize, bytes), (pushed, dropped * line.len() as u64));
    }

    #[test]
    fn a_container_whose_output_is_waited_for_waits_for_the_disk() {
        let mut full = Full::new(Overflow::Block);
        while full.writer.accepts_more().expect("readable") {
            full.push(&[b'x'; READ_BYTES_MAX]);
        }
        assert!(full.writer.batch.len() <= BEHIND_BYTES_MAX);
        let pushed = full.writer.batched.records as usize;
        assert_eq!(full.with_room(), (pushed, 0, 0));
    }

    #[test]
    fn what_is_given_up_is_counted() {
        let mut full = Full::new(Overflow::Drop);
        (0..3).for_each(|_| full.push(b"lost"));
        full.writer.file = full.file.try_clone().expect("cloned");
        full.writer.give_up(Timestamp::from_millis(3));
        assert_eq!(told(&full.path), (0, 3, 12));
    }
}
