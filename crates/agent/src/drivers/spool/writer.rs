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
    /// The lines among them.
    batched: Tally,
}

#[derive(Default)]
struct Tally {
    records: u64,
    bytes: u64,
}

impl Tally {
    fn count(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
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
        Ok(self.room() >= need)
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
        if self.room() < need + notice {
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
    /// not take counts as dropped: a container should not end for its output's sake.
    pub(crate) fn flush(&mut self) {
        let lines = std::mem::take(&mut self.batched);
        if self.write_batch().is_ok() {
            self.head += self.batch.len() as u64;
        } else {
            self.dropped.records += lines.records;
            self.dropped.bytes += lines.bytes;
        }
        self.batch.clear();
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
