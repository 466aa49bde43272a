//! A container's output as a stream that outlives agents.

use std::io::ErrorKind;
use std::path::PathBuf;

use tokio::sync::watch;

use super::Status;
use crate::drivers::spool::{Reader, Record};
use crate::drivers::{Error, now};

/// Reads a container's output, from an offset on, as it comes.
pub struct Output {
    path: PathBuf,
    offset: u64,
    /// None until there is a spool.
    reader: Option<Reader>,
    status: watch::Receiver<Status>,
    stirred: watch::Receiver<u64>,
}

impl Output {
    pub(super) fn new(
        path: PathBuf,
        offset: u64,
        status: watch::Receiver<Status>,
        stirred: watch::Receiver<u64>,
    ) -> Self {
        Self { path, offset, reader: None, status, stirred }
    }

    /// The next record; none when the container has ended and all it said was read. What a power failure spoiled
    /// comes as [`Record::Dropped`] of no records and that many bytes. May be dropped and called again.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            // Asked before reading: what was written before the end is then surely seen.
            let ended = matches!(*self.status.borrow_and_update(), Status::Exited(_));
            self.stirred.mark_unchanged();
            if let Some(record) = self.read_next().map_err(Error::io("read the container's output"))? {
                return Ok(Some(record));
            }
            if ended {
                return Ok(None);
            }
            tokio::select! {
                changed = self.stirred.changed() => if changed.is_err() { return Ok(None) },
                changed = self.status.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }

    /// Where the next record begins: what to keep, so as to go on there after a restart.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Makes room: all before `offset` was shipped for good.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn acknowledge(&self, offset: u64) -> Result<(), Error> {
        let done = self.reader.as_ref().map_or(Ok(()), |reader| reader.acknowledge(offset));
        done.map_err(Error::io("acknowledge the container's output"))
    }

    /// True when the container has ended, and writes no more.
    pub fn is_over(&self) -> bool {
        matches!(*self.status.borrow(), Status::Exited(_))
    }

    fn read_next(&mut self) -> std::io::Result<Option<Record>> {
        if self.reader.is_none() {
            self.reader = match Reader::open(&self.path, self.offset) {
                Ok(reader) => Some(reader),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                // The shim has made the file and not yet its header.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let record = match reader.next_record() {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let from = reader.offset();
                reader.skip_to_head()?;
                Some(Record::Dropped { at: now(), records: 0, bytes: reader.offset() - from })
            }
            other => other?,
        };
        self.offset = reader.offset();
        Ok(record)
    }
}
