//! What callers pass and get.

use crate::limits::{EVENT_OVERHEAD_BYTES, NAME_BYTES_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use crate::{Position, TelemetryError};

/// A log group of one account and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId {
    pub account: String,
    pub region: String,
    pub name: String,
    /// Tells this group from a deleted one of the same name; the caller never uses one twice.
    pub generation: u64,
}

/// A log stream of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    pub group: GroupId,
    pub name: String,
    /// Tells this stream from a deleted one of the same name; the caller never uses one twice.
    pub generation: u64,
}

impl GroupId {
    pub(crate) fn check(&self) -> Result<(), TelemetryError> {
        [&self.account, &self.region, &self.name].into_iter().try_for_each(|name| check_name(name))
    }
}

impl StreamId {
    pub(crate) fn check(&self) -> Result<(), TelemetryError> {
        self.group.check()?;
        check_name(&self.name)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), TelemetryError> {
    if name.len() > NAME_BYTES_MAX { Err(TelemetryError::NameTooLong(name.len())) } else { Ok(()) }
}

/// An event as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Epoch milliseconds, the sender's clock.
    pub timestamp_ms: i64,
    pub message: String,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Epoch milliseconds, the sender's clock.
    pub timestamp_ms: i64,
    /// Epoch milliseconds, the receiver's clock.
    pub ingestion_ms: i64,
    pub message: String,
    /// Grows with arrival over all streams of an installation; has gaps.
    pub sequence: u64,
}

impl StoredEvent {
    /// The event's place, which is also its id.
    pub fn position(&self) -> Position {
        Position::at(self.timestamp_ms, self.sequence)
    }
}

/// What a message counts as an event, in bytes.
pub(crate) fn event_bytes(message: &str) -> usize {
    message.len() + EVENT_OVERHEAD_BYTES
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    Stored,
    /// The batch token had been seen: nothing was stored, and nothing needs to be sent again.
    Repeat,
}

/// The timestamps that a page may have, epoch milliseconds; `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Inclusive.
    pub start_ms: Option<i64>,
    /// Exclusive.
    pub end_ms: Option<i64>,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// The oldest events of the range.
    Head,
    /// The newest events of the range.
    Tail,
    /// The oldest events from a position on: a page's `forward`.
    Forward(Position),
    /// The newest events before a position: a page's `backward`.
    Backward(Position),
}

/// The most that a page may hold. Larger values mean [`PAGE_EVENTS_MAX`] and [`PAGE_BYTES_MAX`],
/// zero means one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub events: usize,
    /// [`EVENT_OVERHEAD_BYTES`] counted for each event.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: PAGE_EVENTS_MAX, bytes: PAGE_BYTES_MAX }
    }
}

/// What a page holds so far.
pub(crate) struct Room {
    limits: Limits,
    events: usize,
    bytes: usize,
}

impl Room {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { events: limits.events.min(PAGE_EVENTS_MAX), bytes: limits.bytes.min(PAGE_BYTES_MAX) };
        Self { limits, events: 0, bytes: 0 }
    }

    /// Whether one more event fits, which is then counted. The first always does.
    pub(crate) fn take(&mut self, message: &str) -> bool {
        let bytes = self.bytes + event_bytes(message);
        let fits = self.events == 0 || (self.events < self.limits.events && bytes <= self.limits.bytes);
        if fits {
            (self.events, self.bytes) = (self.events + 1, bytes);
        }
        fits
    }
}

/// A page of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// By timestamp, then arrival, whichever way the page was read.
    pub events: Vec<StoredEvent>,
    /// Pass as [`Cursor::Backward`] for the page before.
    pub backward: Position,
    /// Pass as [`Cursor::Forward`] for the page after, also for what arrives later.
    pub forward: Position,
}

/// What a stream holds. Timestamps are epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStats {
    /// The oldest event's timestamp; `None` when none is left. During a retention drop it may be
    /// older.
    pub first_event_ms: Option<i64>,
    /// The newest timestamp that was ever appended.
    pub last_event_ms: Option<i64>,
    pub last_ingestion_ms: Option<i64>,
    /// Messages, with [`EVENT_OVERHEAD_BYTES`] for each.
    pub stored_bytes: u64,
}

/// What a group holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStats {
    /// The sum of its streams'.
    pub stored_bytes: u64,
}
