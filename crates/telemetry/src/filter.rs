//! Pages over the streams of a group, merged.

use crate::limits::FILTER_SCAN_BYTES_MAX;
use crate::model::{Room, event_bytes};
use crate::rows::{StreamRow, decode};
use crate::view::View;
use crate::{GroupId, Limits, Position, StoredEvent, TelemetryError, keys};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

/// Whether a message is wanted.
pub type Predicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The streams of a group to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamSelection {
    All,
    /// Every stream whose name begins so.
    Prefix(String),
    /// These names and generations; absent ones have no events.
    Named(Vec<(String, u64)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterQuery {
    pub group: GroupId,
    pub streams: StreamSelection,
    /// Epoch milliseconds, inclusive; `None` is open.
    pub start_ms: Option<i64>,
    /// Epoch milliseconds, inclusive (unlike [`TimeRange`](crate::TimeRange)); `None` is open.
    pub end_ms: Option<i64>,
    /// The `next` of the page before.
    pub from: Option<Position>,
    pub limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredEvent {
    /// The stream's name.
    pub stream: String,
    pub event: StoredEvent,
}

impl FilteredEvent {
    /// The event's id, the same in every answer.
    pub fn event_id(&self) -> Position {
        self.event.position()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPage {
    /// By timestamp, then arrival.
    pub events: Vec<FilteredEvent>,
    /// Where to go on; `None` when everything in range has been looked at.
    pub next: Option<Position>,
}

/// A stream in the merge: no event of it that is still to come lies before `at`.
struct Source {
    name: String,
    number: u64,
    at: Position,
}

/// Merges the streams by always reading on in the one that is furthest behind, up to where the
/// next one stands. Only one stream is open at a time, so memory does not grow with their number
/// by more than a position and a name each.
pub(crate) fn page(
    view: &View,
    query: &FilterQuery,
    matches: &dyn Fn(&str) -> bool,
) -> Result<FilterPage, TelemetryError> {
    let start = query.start_ms.map_or(Position::MIN, Position::start_of);
    let end = query.end_ms.map_or(Position::MAX, Position::end_of);
    let span = query.from.map_or(start, |from| from.max(start))..end;
    let sources = sources(view, query, &span)?;
    let mut heads: BinaryHeap<_> = sources.iter().enumerate().map(|(i, source)| Reverse((source.at, i))).collect();
    let mut filling = Filling { room: Room::new(query.limits), scanned_bytes: 0, events: Vec::new() };
    while let Some(Reverse((at, i))) = heads.pop() {
        let until = heads.peek().map(|Reverse((until, _))| *until);
        for event in view.events(sources[i].number, at..span.end) {
            let event = event?;
            let here = event.position();
            if until.is_some_and(|until| here > until) {
                heads.push(Reverse((here, i)));
                break;
            }
            if !filling.look_at(&sources[i].name, event, matches) {
                return Ok(FilterPage { events: filling.events, next: Some(here) });
            }
        }
    }
    Ok(FilterPage { events: filling.events, next: None })
}

struct Filling {
    room: Room,
    scanned_bytes: usize,
    events: Vec<FilteredEvent>,
}

impl Filling {
    /// False when the page is full, and the event is the first of the next one.
    fn look_at(&mut self, stream: &str, event: StoredEvent, matches: &dyn Fn(&str) -> bool) -> bool {
        if self.scanned_bytes >= FILTER_SCAN_BYTES_MAX {
            return false;
        }
        let (wanted, bytes) = (matches(&event.message), event_bytes(&event.message));
        if wanted && !self.room.take(&event.message) {
            return false;
        }
        if wanted {
            self.events.push(FilteredEvent { stream: stream.to_owned(), event });
        }
        self.scanned_bytes += bytes;
        true
    }
}

fn sources(view: &View, query: &FilterQuery, span: &Range<Position>) -> Result<Vec<Source>, TelemetryError> {
    let Some(group) = view.group(&query.group)? else {
        return Ok(Vec::new());
    };
    match &query.streams {
        StreamSelection::All => listed(view, group.number, "", span),
        StreamSelection::Prefix(prefix) => listed(view, group.number, prefix, span),
        StreamSelection::Named(names) => {
            let mut sources = Vec::new();
            for (name, generation) in names {
                let row: Option<StreamRow> = view.row(&keys::stream(group.number, name, *generation))?;
                sources.extend(row.and_then(|row| source(name, &row, span)));
            }
            // A stream that is named twice is read once.
            sources.sort_by_key(|source| source.number);
            sources.dedup_by_key(|source| source.number);
            Ok(sources)
        }
    }
}

fn listed(view: &View, group: u64, prefix: &str, span: &Range<Position>) -> Result<Vec<Source>, TelemetryError> {
    let mut sources = Vec::new();
    for row in view.prefix(&view.spaces.catalog, &keys::streams_named(group, prefix)) {
        let (key, value) = row.into_inner()?;
        let name = keys::stream_name(&key).ok_or_else(|| TelemetryError::Damaged("a stream's name".to_owned()))?;
        if name.starts_with(prefix) {
            sources.extend(source(name, &decode(&value)?, span));
        }
    }
    Ok(sources)
}

/// The stream, if it may have events in the span.
fn source(name: &str, row: &StreamRow, span: &Range<Position>) -> Option<Source> {
    let at = Position::start_of(row.first_event_ms?).max(span.start);
    let end = Position::end_of(row.last_event_ms?).min(span.end);
    (!row.deleted && at < end).then(|| Source { name: name.to_owned(), number: row.number, at })
}
