//! A container's output between its shim, which writes, and the agent, which ships it: a file that
//! holds at most its capacity, outlives both, and is read from any byte offset that a reader kept.
//!
//! ```text
//! header, 4096 bytes, numbers little-endian
//!    0  magic "LSSPOOL1"
//!    8  u64 capacity   bytes of the ring that follows the header
//!   16  u64 head       offset after the last record; the shim alone writes it
//!   24  u64 tail       offset before which all was read; the reader alone writes it
//! ring, `capacity` bytes: offset N lies at 4096 + N mod capacity
//! record
//!    0  u32 length     of the bytes after the fixed part
//!    4  u32 checksum   CRC-32 of all that follows, to the record's end
//!    8  u64 time       milliseconds since 1970
//!   16  u8  stream     1 standard output, 2 standard error, 3 a notice of dropped records
//!   17  u8  flags      1: the line goes on in this stream's next record
//!   18  the bytes of one line without its newline, or of a notice two u64: records, bytes dropped
//! ```
//!
//! Offsets count all bytes ever written, so they never repeat. The shim keeps `head - tail` under the
//! capacity; what does not fit waits in the container's pipe or is dropped and counted, as the
//! container's [`Overflow`](super::Overflow) says. The checksum is for what a power failure leaves.

mod reader;
mod writer;

pub use reader::Reader;
pub(crate) use writer::Writer;

use base::Timestamp;

const MAGIC: &[u8; 8] = b"LSSPOOL1";
const HEADER_BYTES: u64 = 4096;
const AT_CAPACITY: u64 = 8;
const AT_HEAD: u64 = 16;
const AT_TAIL: u64 = 24;
const RECORD_HEAD_BYTES: usize = 18;
const FLAG_PARTIAL: u8 = 1;
const STREAM_NOTICE: u8 = 3;

/// The longest line in one record, as in Docker's log drivers: 16 KiB. A longer line is cut into partial ones.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// What the shim reads from a pipe at once.
pub(crate) const READ_BYTES_MAX: usize = 8 << 10;
/// What a pipe holds until a program changes it (pipe(7)).
const PIPE_BYTES: usize = 64 << 10;
/// Room kept for what is still in the two pipes when a container ends.
const LAST_WORDS_BYTES: u64 = 2 * worst_bytes(PIPE_BYTES);

/// The room that `bytes` of output take at most: all newlines, so a record each, after a line begun before.
const fn worst_bytes(bytes: usize) -> u64 {
    (bytes * (RECORD_HEAD_BYTES + 1) + RECORD_HEAD_BYTES + LINE_BYTES_MAX) as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// One thing that a container's output holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Line {
        at: Timestamp,
        stream: Stream,
        /// Without the newline; any bytes, not always UTF-8.
        bytes: Vec<u8>,
        /// The line goes on in this stream's next record.
        partial: bool,
    },
    /// There was no room for this much.
    Dropped { at: Timestamp, records: u64, bytes: u64 },
}

#[cfg(test)]
mod tests;
