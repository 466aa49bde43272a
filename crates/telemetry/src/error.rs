//! What can go wrong, and what to do then.

use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, NAME_BYTES_MAX, PRODUCER_BYTES_MAX, TRAIL_BYTES_MAX};
use crate::reopen::ROOM_BYTES;
use std::path::PathBuf;
use std::sync::Arc;

/// An error of telemetry. Clones, because a failed commit answers all appends in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(
        "logs and audit records cannot be written ({0}): check the health of the data folder's disk, then restart \
         Longshore"
    )]
    Storage(Arc<fjall::Error>),
    /// Once there is room, the next write goes on.
    #[error(
        "the disk has no room for logs and audit records: give it {} MiB, and they are written again by themselves",
        ROOM_BYTES >> 20
    )]
    Full,
    #[error("cannot make or read the telemetry folder {dir} ({source}): check its owner and the disk's space")]
    Folder { dir: PathBuf, source: Arc<std::io::Error> },
    #[error("the telemetry folder {0} is in use by another process: end it, or choose another data folder")]
    Locked(PathBuf),
    #[error(
        "the telemetry folder {dir} has format {found:?}, this version knows {known}: start the version that wrote \
         it, or choose another data folder"
    )]
    Format { dir: PathBuf, found: Option<u64>, known: u64 },
    #[error("a telemetry row is damaged ({0}): restore the telemetry folder from a backup, or move it away")]
    Damaged(String),
    #[error("the telemetry store is closing: send it again once Longshore has restarted")]
    Stopped,
    #[error("the log group or stream has been deleted: create it again, then send it to the new one")]
    Deleted,
    #[error(
        "{events} events of {bytes} bytes are more than the {APPEND_EVENTS_MAX} events or {APPEND_BYTES_MAX} bytes \
         of one append: send them in several"
    )]
    TooLarge { events: usize, bytes: usize },
    #[error("{0} bytes of audit records are more than the {TRAIL_BYTES_MAX} of one append: send them in several")]
    TrailTooLarge(usize),
    #[error("a name of {0} bytes is longer than {NAME_BYTES_MAX}: shorten it")]
    NameTooLong(usize),
    #[error(
        "'{0}' is not a batch token: expected producer:sequence, the producer 1 to {PRODUCER_BYTES_MAX} bytes, \
         the sequence a whole number"
    )]
    BatchToken(String),
    #[error("'{0}' is not a position: pass 56 digits as an earlier page gave them")]
    Position(String),
}

impl From<fjall::Error> for TelemetryError {
    fn from(error: fjall::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}
