//! One commit in the making: what several appends want to change, seen by each of them.

use crate::rows::{DropRow, GroupRow, decode, encode, encode_event};
use crate::spaces::{Space, Spaces};
use crate::{GroupId, LogEvent, Position, TelemetryError, keys};
use fjall::{OwnedWriteBatch, PersistMode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The writer's view of the store with the changes staged so far. Work that fails must not have
/// staged anything: read first, then change.
pub(crate) struct Stage<'a> {
    pub(crate) spaces: &'a Spaces,
    /// The next number to give out; kept by the writer from one commit to the next.
    next_number: &'a mut u64,
    /// The last change of each row, so that a commit writes a stream's statistics once.
    changed: BTreeMap<(Space, Vec<u8>), Option<Vec<u8>>>,
    batch: OwnedWriteBatch,
    first_number: u64,
    /// Whether a drop has been staged.
    pub(crate) drops: bool,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(spaces: &'a Spaces, next_number: &'a mut u64) -> Self {
        let first_number = *next_number;
        let batch = spaces.database.batch();
        Self { spaces, next_number, changed: BTreeMap::new(), batch, first_number, drops: false }
    }

    /// A number that no group, stream, event or drop had before.
    pub(crate) fn number(&mut self) -> u64 {
        let number = *self.next_number;
        *self.next_number += 1;
        number
    }

    /// What the next [`Stage::number`] will be.
    pub(crate) fn next_number(&self) -> u64 {
        *self.next_number
    }

    pub(crate) fn has(&self, space: Space, key: &[u8]) -> Result<bool, TelemetryError> {
        Ok(self.bytes(space, key)?.is_some())
    }

    pub(crate) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, TelemetryError> {
        self.bytes(Space::Catalog, key)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// The group's row, or a new one that is not staged yet.
    pub(crate) fn group(&mut self, id: &GroupId) -> Result<(Vec<u8>, GroupRow), TelemetryError> {
        let key = keys::group(id);
        let row = self.row(&key)?.unwrap_or_else(|| GroupRow::new(self.number()));
        Ok((key, row))
    }

    pub(crate) fn put_row<T: Serialize>(&mut self, key: Vec<u8>, row: &T) -> Result<(), TelemetryError> {
        self.put(Space::Catalog, key, encode(row)?);
        Ok(())
    }

    pub(crate) fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.changed.insert((space, key), Some(value));
    }

    pub(crate) fn put_drop(&mut self, drop: &DropRow) -> Result<(), TelemetryError> {
        let key = keys::drop_row(self.number());
        self.put_row(key, drop)?;
        self.drops = true;
        Ok(())
    }

    pub(crate) fn remove_row(&mut self, key: Vec<u8>) {
        self.changed.insert((Space::Catalog, key), None);
    }

    pub(crate) fn put_event(&mut self, stream: u64, event: &LogEvent, ingestion_ms: i64) {
        let position = Position::at(event.timestamp_ms, self.number());
        let value = encode_event(ingestion_ms, &event.message);
        self.batch.insert(&self.spaces.events, keys::event(stream, position), value);
    }

    pub(crate) fn remove_event(&mut self, key: fjall::UserKey) {
        self.batch.remove(&self.spaces.events, key);
    }

    /// Makes everything visible at once; with [`PersistMode::SyncData`], only after it is on the disk.
    pub(crate) fn commit(mut self, mode: PersistMode) -> Result<(), TelemetryError> {
        if *self.next_number != self.first_number {
            let next = encode(&*self.next_number)?;
            self.put(Space::Catalog, keys::counter(), next);
        }
        for ((space, key), value) in self.changed {
            let keyspace = self.spaces.of(space);
            match value {
                Some(value) => self.batch.insert(keyspace, key, value),
                None => self.batch.remove(keyspace, key),
            }
        }
        Ok(self.batch.durability(Some(mode)).commit()?)
    }

    fn bytes(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, TelemetryError> {
        // A tuple of borrowed parts cannot look up a tuple of owned ones; keys are short.
        match self.changed.get(&(space, key.to_vec())) {
            Some(staged) => Ok(staged.clone()),
            None => Ok(self.spaces.of(space).get(key)?.map(|bytes| bytes.to_vec())),
        }
    }
}
