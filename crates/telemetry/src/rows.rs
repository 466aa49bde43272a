//! The catalog's rows and an event's value.

use crate::model::event_bytes;
use crate::{LogEvent, Position, StoredEvent, StreamStats, TelemetryError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes before the message in an event's value: its ingestion time.
const INGESTION: usize = 8;

/// A log group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    pub number: u64,
    pub stored_bytes: u64,
    /// Kept for good, so that an append that lost a race with the deletion is refused.
    pub deleted: bool,
}

impl GroupRow {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, stored_bytes: 0, deleted: false }
    }
}

/// A log stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StreamRow {
    pub number: u64,
    pub first_event_ms: Option<i64>,
    pub last_event_ms: Option<i64>,
    pub last_ingestion_ms: Option<i64>,
    pub stored_bytes: u64,
    /// The oldest timestamp appended since a retention drop began on this stream: the drop, which
    /// goes on between appends, would miss it.
    pub first_since_drop_ms: Option<i64>,
    /// Kept until the group is deleted, for the same reason as a group's.
    pub deleted: bool,
}

impl StreamRow {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            first_event_ms: None,
            last_event_ms: None,
            last_ingestion_ms: None,
            stored_bytes: 0,
            first_since_drop_ms: None,
            deleted: false,
        }
    }

    pub(crate) fn count(&mut self, event: &LogEvent, ingestion_ms: i64) {
        let at = event.timestamp_ms;
        for first in [&mut self.first_event_ms, &mut self.first_since_drop_ms] {
            *first = Some(first.map_or(at, |first| first.min(at)));
        }
        self.last_event_ms = self.last_event_ms.max(Some(at));
        self.last_ingestion_ms = Some(ingestion_ms);
        self.stored_bytes += event_bytes(&event.message) as u64;
    }

    pub(crate) fn stats(&self) -> StreamStats {
        StreamStats {
            first_event_ms: self.first_event_ms,
            last_event_ms: self.last_event_ms,
            last_ingestion_ms: self.last_ingestion_ms,
            stored_bytes: self.stored_bytes,
        }
    }
}

/// A drop under way: rows of streams whose events go, until none is left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DropRow {
    /// Stream keys, from inclusive to exclusive.
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub why: DropReason,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum DropReason {
    StreamDeleted,
    GroupDeleted,
    Expired {
        /// The group's key.
        group: Vec<u8>,
        horizon: Horizon,
    },
}

/// Which events retention drops: the old ones among those that were there when it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Horizon {
    pub before_ms: i64,
    pub before_sequence: u64,
}

impl Horizon {
    pub(crate) fn covers(&self, event: Position) -> bool {
        event.timestamp_ms() < self.before_ms && event.sequence() < self.before_sequence
    }
}

pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, TelemetryError> {
    minicbor_serde::to_vec(row).map_err(|error| TelemetryError::Damaged(error.to_string()))
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TelemetryError> {
    minicbor_serde::from_slice(bytes).map_err(|error| TelemetryError::Damaged(error.to_string()))
}

pub(crate) fn encode_event(ingestion_ms: i64, message: &str) -> Vec<u8> {
    [ingestion_ms.to_be_bytes().as_slice(), message.as_bytes()].concat()
}

pub(crate) fn decode_event(position: Position, value: &[u8]) -> Option<StoredEvent> {
    let (ingestion, message) = value.split_first_chunk::<INGESTION>()?;
    Some(StoredEvent {
        timestamp_ms: position.timestamp_ms(),
        ingestion_ms: i64::from_be_bytes(*ingestion),
        message: std::str::from_utf8(message).ok()?.to_owned(),
        sequence: position.sequence(),
    })
}

/// What the event with this value counts, in bytes.
pub(crate) fn stored_event_bytes(value: &[u8]) -> u64 {
    (value.len().saturating_sub(INGESTION) + crate::EVENT_OVERHEAD_BYTES) as u64
}
