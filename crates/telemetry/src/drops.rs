//! Deletion and retention: marked at once, carried out in slices by the writer when it has a moment.
//!
//! A drop is a catalog row until its last event is gone, so a crash only
//! makes it start over.

use crate::limits::DROP_ROWS_MAX;
use crate::rows::{DropReason, DropRow, GroupRow, Horizon, StreamRow, decode, stored_event_bytes};
use crate::spaces::Spaces;
use crate::stage::Stage;
use crate::{GroupId, Position, StreamId, TelemetryError, keys};
use fjall::PersistMode;
use serde::de::DeserializeOwned;
use std::ops::Range;

pub(crate) fn delete_stream(stage: &mut Stage, id: &StreamId) -> Result<(), TelemetryError> {
    let (group_key, mut group) = stage.group(&id.group)?;
    let key = keys::stream(group.number, &id.name, id.generation);
    let stream = stage.row(&key)?.unwrap_or_else(|| StreamRow::new(stage.number()));
    if group.deleted || stream.deleted {
        return Ok(());
    }
    group.stored_bytes = group.stored_bytes.saturating_sub(stream.stored_bytes);
    stage.put_row(group_key, &group)?;
    stage.put_row(key.clone(), &StreamRow { deleted: true, ..StreamRow::new(stream.number) })?;
    let to = keys::after(&key);
    stage.put_drop(&DropRow { from: key, to, why: DropReason::StreamDeleted })
}

pub(crate) fn delete_group(stage: &mut Stage, id: &GroupId) -> Result<(), TelemetryError> {
    let (key, group) = stage.group(id)?;
    if group.deleted {
        return Ok(());
    }
    stage.put_row(key, &GroupRow { deleted: true, ..GroupRow::new(group.number) })?;
    let Range { start: from, end: to } = keys::streams_of(group.number);
    stage.put_drop(&DropRow { from, to, why: DropReason::GroupDeleted })
}

pub(crate) fn expire(stage: &mut Stage, id: &GroupId, before_ms: i64) -> Result<(), TelemetryError> {
    let group = keys::group(id);
    let Some(GroupRow { number, deleted: false, .. }) = stage.row(&group)? else {
        return Ok(());
    };
    let Range { start: from, end: to } = keys::streams_of(number);
    let horizon = Horizon { before_ms, before_sequence: stage.next_number() };
    let why = DropReason::Expired { group, horizon };
    stage.put_drop(&DropRow { from, to, why })
}

/// The writer's work on drops.
pub(crate) struct Drops {
    /// Whether there may be any; true at first, for those that a crash left.
    pub(crate) pending: bool,
    place: Option<Place>,
}

/// How far a drop has come. Held in memory only.
struct Place {
    drop: Vec<u8>,
    /// The key of the stream to go on with, or the least key that it may have.
    stream: Vec<u8>,
    event: Position,
    /// The oldest event of the stream so far that stays.
    kept_ms: Option<i64>,
}

impl Place {
    fn start_of_stream(drop: &[u8], stream: Vec<u8>) -> Self {
        Self { drop: drop.to_owned(), stream, event: Position::MIN, kept_ms: None }
    }
}

impl Drops {
    pub(crate) fn new() -> Self {
        Self { pending: true, place: None }
    }

    /// Does one slice of the oldest drop. Not synced: the next append's sync covers it, and what
    /// is lost before is done again.
    pub(crate) fn step(&mut self, spaces: &Spaces, next_number: &mut u64) -> Result<(), TelemetryError> {
        let Some((key, drop)) = first::<DropRow>(spaces, keys::drops())? else {
            self.pending = false;
            return Ok(());
        };
        let resumed = self.place.take().filter(|place| place.drop == key);
        let place = resumed.unwrap_or_else(|| Place::start_of_stream(&key, drop.from.clone()));
        let mut slice = Slice { stage: Stage::new(spaces, next_number), budget: DROP_ROWS_MAX, place };
        let done = slice.run(&drop)?;
        let Slice { mut stage, place, .. } = slice;
        if done {
            stage.remove_row(key);
        } else {
            self.place = Some(place);
        }
        stage.commit(PersistMode::Buffer)
    }
}

/// A bounded part of a drop: one commit.
struct Slice<'a> {
    stage: Stage<'a>,
    /// Rows that may still be looked at.
    budget: usize,
    place: Place,
}

impl Slice<'_> {
    /// True when the drop has no stream left.
    fn run(&mut self, drop: &DropRow) -> Result<bool, TelemetryError> {
        while let Some((key, stream)) = first(self.stage.spaces, self.place.stream.clone()..drop.to.clone())? {
            if key != self.place.stream {
                self.place = Place::start_of_stream(&self.place.drop, key.clone());
            }
            if !self.spend() || !self.run_stream(&drop.why, &key, stream)? {
                return Ok(false);
            }
            self.place = Place::start_of_stream(&self.place.drop, keys::after(&key));
        }
        Ok(true)
    }

    /// True when the stream is done.
    fn run_stream(&mut self, why: &DropReason, key: &[u8], stream: StreamRow) -> Result<bool, TelemetryError> {
        match why {
            DropReason::StreamDeleted => self.remove_stream(stream.number),
            DropReason::GroupDeleted => {
                let done = self.remove_stream(stream.number)?;
                if done {
                    self.stage.remove_row(key.to_owned());
                }
                Ok(done)
            }
            DropReason::Expired { group, horizon } => {
                let old = stream.first_event_ms.is_some_and(|first| first < horizon.before_ms);
                if stream.deleted || !old { Ok(true) } else { self.expire_stream(group, key, stream, horizon) }
            }
        }
    }

    fn remove_stream(&mut self, stream: u64) -> Result<bool, TelemetryError> {
        Ok(self.remove_events(stream, None, &mut 0)? && self.remove_producers(stream)?)
    }

    fn expire_stream(
        &mut self,
        group: &[u8],
        key: &[u8],
        mut stream: StreamRow,
        horizon: &Horizon,
    ) -> Result<bool, TelemetryError> {
        if self.place.event == Position::MIN {
            stream.first_since_drop_ms = None;
        }
        let mut freed = 0;
        let done = self.remove_events(stream.number, Some(horizon), &mut freed)?;
        if done {
            let kept = [self.place.kept_ms, stream.first_since_drop_ms];
            stream.first_event_ms = kept.into_iter().flatten().min();
        }
        stream.stored_bytes = stream.stored_bytes.saturating_sub(freed);
        self.stage.put_row(key.to_owned(), &stream)?;
        if let Some(mut row) = self.stage.row::<GroupRow>(group)?.filter(|row| !row.deleted) {
            row.stored_bytes = row.stored_bytes.saturating_sub(freed);
            self.stage.put_row(group.to_owned(), &row)?;
        }
        Ok(done)
    }

    /// Removes the events of a stream, or those before the horizon, adding their bytes to `freed`.
    /// True when there is none left to remove.
    fn remove_events(
        &mut self,
        stream: u64,
        horizon: Option<&Horizon>,
        freed: &mut u64,
    ) -> Result<bool, TelemetryError> {
        let rest = keys::event(stream, self.place.event)..keys::event(stream, Position::MAX);
        for row in self.stage.spaces.events.range(rest) {
            let (key, value) = row.into_inner()?;
            let event = keys::event_position(&key)
                .ok_or_else(|| TelemetryError::Damaged(format!("an event of stream {stream}")))?;
            if !self.spend() {
                self.place.event = event;
                return Ok(false);
            }
            match horizon.filter(|horizon| !horizon.covers(event)) {
                None => {
                    *freed += stored_event_bytes(&value);
                    self.stage.remove_event(key);
                }
                Some(horizon) => {
                    self.place.kept_ms.get_or_insert(event.timestamp_ms());
                    if event.timestamp_ms() >= horizon.before_ms {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }

    /// True when there is none left.
    fn remove_producers(&mut self, stream: u64) -> Result<bool, TelemetryError> {
        for row in self.stage.spaces.catalog.range(keys::producers_of(stream)) {
            let key = row.key()?;
            if !self.spend() {
                self.place.event = Position::MAX;
                return Ok(false);
            }
            self.stage.remove_row(key.to_vec());
        }
        Ok(true)
    }

    /// Whether one more row may be looked at.
    fn spend(&mut self) -> bool {
        let left = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        left
    }
}

fn first<T: DeserializeOwned>(spaces: &Spaces, range: Range<Vec<u8>>) -> Result<Option<(Vec<u8>, T)>, TelemetryError> {
    let Some(row) = spaces.catalog.range(range).next() else {
        return Ok(None);
    };
    let (key, value) = row.into_inner()?;
    Ok(Some((key.to_vec(), decode(&value)?)))
}
