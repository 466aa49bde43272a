//! A transaction: a private copy of the head and the list of what became different.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::engine::Write;
use crate::row::{AnyRow, typed};
use crate::{Key, StoreError, Table, View};

/// Rows that one transaction may change: etcd's default `--max-txn-ops`, 128, less the one that
/// writes the version.
pub const CHANGED_ROWS_MAX: usize = 127;

/// Bytes of keys and encoded rows that one transaction may write: etcd's default
/// `--max-request-bytes`, 1.5 MiB, less 64 KiB for what an engine adds to each row.
pub const CHANGED_BYTES_MAX: usize = 1_572_864 - 65_536;

/// Bytes of an encoded key. Ours: four times the longest ARN that AWS allows, under fjall's 65,535.
pub const KEY_BYTES_MAX: usize = 8_192;

/// Reads as a [`View`] that shows its own changes.
pub struct Tx {
    view: View,
    changes: Vec<Change>,
    /// Where in `changes` a key stands.
    places: BTreeMap<(u16, Arc<[u8]>), usize>,
    /// The limits do not bind it.
    is_unlimited: bool,
}

/// What a transaction did to one row, from before its first to after its last touch.
#[derive(Clone)]
pub struct Change {
    kind: u16,
    key: Arc<[u8]>,
    before: Option<AnyRow>,
    after: Option<AnyRow>,
}

/// The row before and the row after; `None` where there was or is none.
pub type BeforeAfter<'a, R> = (Option<&'a R>, Option<&'a R>);

impl Change {
    /// The change, when it is one of a row of `table`.
    pub fn of<T: Table>(&self, _table: T) -> Option<BeforeAfter<'_, T::Row>> {
        let row = |row| Option::and_then(row, typed::<T>);
        (self.kind == T::KIND).then(|| (row(self.before.as_ref()), row(self.after.as_ref())))
    }

    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Does to `view` what another server wrote.
    pub(crate) fn apply(view: &mut View, write: &Write) -> Result<Self, StoreError> {
        let Write { kind, key, value } = write;
        let info = view.info(*kind).ok_or(StoreError::UnknownKind { kind: *kind })?;
        let row = value.as_ref().map(|value| (info.decode)(key, value));
        let after = row.transpose().map_err(|error| info.error(key, error))?;
        let before = view.set(*kind, key, after.clone());
        Ok(Self { kind: *kind, key: key.clone(), before, after })
    }

    pub fn key(&self) -> Key {
        Key::from_bytes(&self.key)
    }
}

/// A transaction that ended well: the next head, and what is to be written.
pub(crate) struct Sealed {
    pub view: View,
    pub changes: Vec<Change>,
    pub writes: Vec<Write>,
}

impl Sealed {
    /// A transaction that kept nothing.
    pub fn nothing(head: &View) -> Self {
        Self { view: head.clone(), changes: Vec::new(), writes: Vec::new() }
    }
}

impl Deref for Tx {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Tx {
    pub(crate) fn begin(head: &View) -> Self {
        Self { view: head.clone(), changes: Vec::new(), places: BTreeMap::new(), is_unlimited: false }
    }

    /// Writes the row under its own key, in place of the one there.
    pub fn put<T: Table>(&mut self, _table: T, row: T::Row) {
        let key = T::key(&row);
        self.set::<T>(&key, Some(Arc::new(row)));
    }

    /// Answers the row that was there.
    pub fn delete<T: Table>(&mut self, table: T, key: &Key) -> Option<Arc<T::Row>> {
        self.get(table, key)?;
        self.set::<T>(key, None)?.downcast().ok()
    }

    /// Changes the row at `key`, if there is one; a row whose key fields change moves there.
    pub fn update<T: Table>(&mut self, table: T, key: &Key, change: impl FnOnce(&mut T::Row)) -> bool {
        let Some(mut row) = self.get(table, key).cloned() else { return false };
        change(&mut row);
        if T::key(&row) != *key {
            self.delete(table, key);
        }
        self.put(table, row);
        true
    }

    /// Deletes every row there is. Such a transaction has no limits, so it is for an engine of this process alone:
    /// [`MemoryEngine`](crate::MemoryEngine).
    pub fn clear(&mut self) {
        self.is_unlimited = true;
        for (kind, key) in self.view.keys() {
            let before = self.view.set(kind, &key, None);
            self.record(kind, key, before, None);
        }
    }

    /// What differs from the head so far, in the order of the first touch, one entry a row.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The version that this transaction makes if it changes anything: unique and rising over the
    /// life of the data, so rows that have no name of their own can be keyed by it.
    pub fn next_version(&self) -> u64 {
        self.view.version() + 1
    }

    fn set<T: Table>(&mut self, key: &Key, row: Option<AnyRow>) -> Option<AnyRow> {
        self.view.expect_table::<T>();
        let key: Arc<[u8]> = Arc::from(key.as_bytes());
        let before = self.view.set(T::KIND, &key, row.clone());
        self.record(T::KIND, key, before.clone(), row);
        before
    }

    fn record(&mut self, kind: u16, key: Arc<[u8]>, before: Option<AnyRow>, after: Option<AnyRow>) {
        let Some(&place) = self.places.get(&(kind, key.clone())) else {
            self.places.insert((kind, key.clone()), self.changes.len());
            return self.changes.push(Change { kind, key, before, after });
        };
        self.changes[place].after = after;
        if self.changes[place].before.is_none() && self.changes[place].after.is_none() {
            self.forget(place);
        }
    }

    /// Drops the entry of a row that came and went.
    fn forget(&mut self, place: usize) {
        let change = self.changes.remove(place);
        self.places.remove(&(change.kind, change.key));
        for later in self.places.values_mut().filter(|later| **later > place) {
            *later -= 1;
        }
    }

    /// Checks the limits and encodes.
    pub(crate) fn seal(self) -> Result<Sealed, StoreError> {
        let Self { mut view, changes, is_unlimited, .. } = self;
        let writes = changes.iter().map(|change| write_of(&view, change)).collect::<Result<Vec<_>, _>>()?;
        let (rows, bytes) = (writes.len(), writes.iter().map(Write::bytes).sum());
        if !is_unlimited && (rows > CHANGED_ROWS_MAX || bytes > CHANGED_BYTES_MAX) {
            return Err(StoreError::TooLarge { rows, bytes });
        }
        if rows > 0 {
            view.set_version(view.version() + 1);
        }
        Ok(Sealed { view, changes, writes })
    }
}

fn write_of(view: &View, change: &Change) -> Result<Write, StoreError> {
    let Change { kind, key, after, .. } = change;
    let info = view.info(*kind).ok_or(StoreError::UnknownKind { kind: *kind })?;
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::KeyTooLong { table: info.name, bytes: key.len() });
    }
    let value = after.as_ref().map(info.encode).transpose().map_err(|error| info.error(key, error))?;
    Ok(Write { kind: *kind, key: key.clone(), value })
}
