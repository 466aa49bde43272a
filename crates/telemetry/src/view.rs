//! What a read sees: the store at one moment.

use crate::rows::{GroupRow, StreamRow, decode, decode_event};
use crate::spaces::Spaces;
use crate::{GroupId, Position, StoredEvent, StreamId, TelemetryError, keys};
use fjall::{Keyspace, Readable, Snapshot};
use serde::de::DeserializeOwned;
use std::ops::Range;

pub(crate) struct View<'a> {
    pub(crate) spaces: &'a Spaces,
    snapshot: Snapshot,
}

impl<'a> View<'a> {
    pub(crate) fn new(spaces: &'a Spaces) -> Self {
        Self { spaces, snapshot: spaces.database.snapshot() }
    }

    /// A group, unless nothing was ever appended to it or it has been deleted.
    pub(crate) fn group(&self, id: &GroupId) -> Result<Option<GroupRow>, TelemetryError> {
        let row: Option<GroupRow> = self.row(&keys::group(id))?;
        Ok(row.filter(|row| !row.deleted))
    }

    /// A stream, unless nothing was ever appended to it or it or its group has been deleted.
    pub(crate) fn stream(&self, id: &StreamId) -> Result<Option<StreamRow>, TelemetryError> {
        let Some(group) = self.group(&id.group)? else {
            return Ok(None);
        };
        let row: Option<StreamRow> = self.row(&keys::stream(group.number, &id.name, id.generation))?;
        Ok(row.filter(|row| !row.deleted))
    }

    pub(crate) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, TelemetryError> {
        self.snapshot.get(&self.spaces.catalog, key)?.map(|bytes| decode(&bytes)).transpose()
    }

    pub(crate) fn range(&self, keyspace: &Keyspace, range: Range<Vec<u8>>) -> fjall::Iter {
        self.snapshot.range(keyspace, range)
    }

    pub(crate) fn prefix(&self, keyspace: &Keyspace, prefix: &[u8]) -> fjall::Iter {
        self.snapshot.prefix(keyspace, prefix)
    }

    /// The events of a stream between two positions, in order, read as the iterator moves.
    pub(crate) fn events(
        &self,
        stream: u64,
        span: Range<Position>,
    ) -> impl DoubleEndedIterator<Item = Result<StoredEvent, TelemetryError>> + use<> {
        let keys = keys::event(stream, span.start)..keys::event(stream, span.end);
        // fjall does not define a range that ends before it starts.
        let rows = (span.start < span.end).then(|| self.range(&self.spaces.events, keys));
        rows.into_iter().flatten().map(move |row| {
            let (key, value) = row.into_inner()?;
            keys::event_position(&key)
                .and_then(|position| decode_event(position, &value))
                .ok_or_else(|| TelemetryError::Damaged(format!("an event of stream {stream}")))
        })
    }
}
