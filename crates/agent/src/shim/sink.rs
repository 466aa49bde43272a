//! Where a pump puts what a container says.

use std::io;
use std::path::Path;

use base::Timestamp;

use super::json_file::JsonFile;
use crate::drivers::OutputSpec;
use crate::drivers::records::{ContainerRecord, SPOOL};
use crate::drivers::spool::{Stream, Writer};

pub(super) enum Sink {
    /// For the agent, which ships it.
    Spool(Writer),
    File(JsonFile),
    Nowhere,
}

impl Sink {
    /// The sink of the container whose directory is `dir`; what there is of its last run is gone on with.
    pub fn open(dir: &Path, record: &ContainerRecord) -> io::Result<Self> {
        match &record.output {
            OutputSpec::Spool { overflow, bytes_max } => {
                Writer::open(&dir.join(SPOOL), *bytes_max, *overflow).map(Self::Spool)
            }
            OutputSpec::File(spec) => Ok(Self::File(JsonFile::new(dir, &record.id, spec.clone())?)),
            OutputSpec::Nowhere => Ok(Self::Nowhere),
        }
    }

    /// False when the container must wait.
    pub fn accepts_more(&mut self) -> io::Result<bool> {
        match self {
            Self::Spool(spool) => spool.accepts_more(),
            Self::File(_) | Self::Nowhere => Ok(true),
        }
    }

    /// From here on nothing waits.
    pub fn last_words(&mut self) {
        if let Self::Spool(spool) = self {
            spool.last_words();
        }
    }

    pub fn push(&mut self, at: Timestamp, stream: Stream, line: &[u8], partial: bool) -> io::Result<()> {
        match self {
            Self::Spool(spool) => spool.push(at, stream, line, partial),
            Self::File(file) => {
                file.push(at, stream, line, partial);
                Ok(())
            }
            Self::Nowhere => Ok(()),
        }
    }

    /// What a stream's end left without a newline.
    pub fn push_rest(&mut self, at: Timestamp, stream: Stream, rest: &[u8]) -> io::Result<()> {
        let is_file = matches!(self, Self::File(_));
        self.push(at, stream, rest, is_file)
    }

    /// What was pushed is where a reader finds it; true when it is for the agent.
    pub fn flush(&mut self) -> bool {
        match self {
            Self::Spool(spool) => spool.flush(),
            Self::File(file) => file.flush(),
            Self::Nowhere => {}
        }
        matches!(self, Self::Spool(_))
    }

    /// Why what was pushed waits for another flush; none where nothing does.
    pub fn behind(&self) -> Option<&io::Error> {
        match self {
            Self::Spool(spool) => spool.behind(),
            Self::File(_) | Self::Nowhere => None,
        }
    }

    /// What waits is counted as dropped.
    pub fn give_up(&mut self, at: Timestamp) {
        if let Self::Spool(spool) = self {
            spool.give_up(at);
        }
    }

    pub fn finish(&mut self, at: Timestamp) -> io::Result<()> {
        match self {
            Self::Spool(spool) => spool.finish(at),
            Self::File(file) => {
                file.finish();
                Ok(())
            }
            Self::Nowhere => Ok(()),
        }
    }
}
