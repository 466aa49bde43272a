//! Pages of one stream.

use crate::model::Room;
use crate::view::View;
use crate::{Cursor, Limits, Page, Position, StoredEvent, StreamId, TelemetryError, TimeRange};

pub(crate) fn page(
    view: &View,
    stream: &StreamId,
    range: TimeRange,
    from: Cursor,
    limits: Limits,
) -> Result<Page, TelemetryError> {
    let start = range.start_ms.map_or(Position::MIN, Position::start_of);
    let end = range.end_ms.map_or(Position::MAX, Position::start_of);
    let Some(row) = view.stream(stream)? else {
        return Ok(finish(Vec::new(), from, start));
    };
    let events = match from {
        Cursor::Head => take(view.events(row.number, start..end), limits)?,
        Cursor::Forward(position) => take(view.events(row.number, start.max(position)..end), limits)?,
        Cursor::Tail => reversed(take(view.events(row.number, start..end).rev(), limits)?),
        Cursor::Backward(position) => reversed(take(view.events(row.number, start..end.min(position)).rev(), limits)?),
    };
    Ok(finish(events, from, start))
}

fn take(
    events: impl Iterator<Item = Result<StoredEvent, TelemetryError>>,
    limits: Limits,
) -> Result<Vec<StoredEvent>, TelemetryError> {
    let mut room = Room::new(limits);
    let mut taken = Vec::new();
    for event in events {
        let event = event?;
        if !room.take(&event.message) {
            break;
        }
        taken.push(event);
    }
    Ok(taken)
}

fn reversed(mut events: Vec<StoredEvent>) -> Vec<StoredEvent> {
    events.reverse();
    events
}

/// The positions around a page. An empty one stays where it was asked from; without such a
/// place, at the start of the range, so that paging forward sees whatever arrives.
fn finish(events: Vec<StoredEvent>, from: Cursor, start: Position) -> Page {
    let here = match from {
        Cursor::Head | Cursor::Tail => start,
        Cursor::Forward(position) | Cursor::Backward(position) => position,
    };
    let backward = events.first().map_or(here, StoredEvent::position);
    let forward = events.last().map_or(here, |event| event.position().next());
    Page { events, backward, forward }
}
