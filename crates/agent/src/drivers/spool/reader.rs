//! The agent's end of a spool.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use base::Timestamp;

use super::{
    AT_CAPACITY, AT_HEAD, AT_TAIL, FLAG_PARTIAL, HEADER_BYTES, LINE_BYTES_MAX, MAGIC, RECORD_HEAD_BYTES, Record,
    STREAM_NOTICE, Stream,
};

/// Reads a spool's records in order. Several may read one spool; one of them should acknowledge.
pub struct Reader {
    file: File,
    capacity: u64,
    /// Of the next record.
    offset: u64,
    /// As last seen in the file.
    head: u64,
}

impl Reader {
    /// Opens the spool to go on at `offset`: 0 for the beginning, or what [`Reader::offset`] once said.
    /// What was acknowledged meanwhile is gone, and reading begins after it.
    pub fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, 0)?;
        if &magic != MAGIC {
            return Err(corrupt("it does not begin as a spool does"));
        }
        let capacity = number(&file, AT_CAPACITY)?;
        let (tail, head) = (number(&file, AT_TAIL)?, number(&file, AT_HEAD)?);
        if capacity == 0 || tail > head || head - tail > capacity {
            return Err(corrupt("its header contradicts itself"));
        }
        Ok(Self { file, capacity, offset: offset.clamp(tail, head), head })
    }

    /// Where the next record begins: what to keep, so as to go on there after a restart.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, or none when all that is written has been read.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        if self.offset == self.head {
            self.head = number(&self.file, AT_HEAD)?;
        }
        if self.offset == self.head {
            return Ok(None);
        }
        let mut head = [0; RECORD_HEAD_BYTES];
        self.read_ring(self.offset, &mut head)?;
        let length = u32_at(&head, 0) as usize;
        let total = (RECORD_HEAD_BYTES + length) as u64;
        if length > LINE_BYTES_MAX || self.offset + total > self.head {
            return Err(corrupt("a record is longer than what was written"));
        }
        let mut bytes = vec![0; length];
        self.read_ring(self.offset + RECORD_HEAD_BYTES as u64, &mut bytes)?;
        let record = decode(&head, bytes)?;
        self.offset += total;
        Ok(Some(record))
    }

    /// Gives all before `offset` back to the writer; a call with an earlier one changes nothing.
    pub fn acknowledge(&self, offset: u64) -> io::Result<()> {
        let offset = offset.min(self.offset);
        if offset <= number(&self.file, AT_TAIL)? {
            return Ok(());
        }
        self.file.write_all_at(&offset.to_le_bytes(), AT_TAIL)
    }

    /// Passes over everything written so far: what to do with a spool that a power failure spoiled.
    pub fn skip_to_head(&mut self) -> io::Result<()> {
        self.head = number(&self.file, AT_HEAD)?;
        self.offset = self.head;
        Ok(())
    }

    fn read_ring(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let at = offset % self.capacity;
        let first = into.len().min((self.capacity - at) as usize);
        let (before, after) = into.split_at_mut(first);
        self.file.read_exact_at(before, HEADER_BYTES + at)?;
        self.file.read_exact_at(after, HEADER_BYTES)
    }
}

fn decode(head: &[u8; RECORD_HEAD_BYTES], bytes: Vec<u8>) -> io::Result<Record> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&head[8..]);
    checksum.update(&bytes);
    if checksum.finalize() != u32_at(head, 4) {
        return Err(corrupt("a record's checksum does not fit it"));
    }
    let at = Timestamp::from_millis(u64_at(head, 8).cast_signed());
    let line = |stream| Record::Line { at, stream, bytes: bytes.clone(), partial: head[17] & FLAG_PARTIAL != 0 };
    match head[16] {
        1 => Ok(line(Stream::Out)),
        2 => Ok(line(Stream::Err)),
        STREAM_NOTICE if bytes.len() == 16 => {
            Ok(Record::Dropped { at, records: u64_at(&bytes, 0), bytes: u64_at(&bytes, 8) })
        }
        _ => Err(corrupt("a record is of no known kind")),
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the spool is damaged: {what}; skip to its head"))
}

fn number(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_le_bytes(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |sum, b| sum << 8 | u32::from(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b))
}
