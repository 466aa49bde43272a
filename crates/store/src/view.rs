//! Snapshots: persistent ordered maps of rows, and of index entries to rows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::key::range_of;
use crate::row::{AnyRow, TableInfo, typed};
use crate::{Index, Key, Sign, StoreError, Sum, SumOf, Sums, Table};

/// Encoded key to row. Keys are shared because the maps copy them along changed paths.
type Rows = OrdMap<Arc<[u8]>, AnyRow>;

/// Every row at one version: immutable, shared, cheap to clone.
#[derive(Clone)]
pub struct View {
    tables: Arc<BTreeMap<u16, Arc<TableRows>>>,
    version: u64,
}

/// The rows of one table. A map of `indexes` has the index key followed by the primary key as its
/// key, so that rows that share an index key stay apart, in the order of their keys.
#[derive(Clone)]
struct TableRows {
    info: TableInfo,
    rows: Rows,
    indexes: Vec<Rows>,
    sums: Sums,
}

impl View {
    pub(crate) fn empty(tables: &BTreeMap<u16, TableInfo>) -> Self {
        let table =
            |info: &TableInfo| TableRows { info: *info, rows: Rows::new(), indexes: Vec::new(), sums: Sums::default() };
        let tables = tables.iter().map(|(kind, info)| (*kind, Arc::new(table(info)))).collect();
        Self { tables: Arc::new(tables), version: 0 }
    }

    /// Counts the transactions that changed rows, from the first one on this data.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    pub fn get<T: Table>(&self, _table: T, key: &Key) -> Option<&T::Row> {
        typed::<T>(self.table::<T>().rows.get(key.as_bytes())?)
    }

    /// The rows whose keys begin with `prefix`, in the order of their keys.
    pub fn scan<T: Table>(&self, _table: T, prefix: &Key) -> impl DoubleEndedIterator<Item = &T::Row> + use<'_, T> {
        scan::<T>(&self.table::<T>().rows, prefix)
    }

    /// As [`View::scan`], without the rows up to and with the key `after`: the next page.
    pub fn scan_after<T: Table>(
        &self,
        _table: T,
        prefix: &Key,
        after: &Key,
    ) -> impl DoubleEndedIterator<Item = &T::Row> + use<'_, T> {
        let (_, end) = range_of(prefix.as_bytes());
        // A key before the prefix skips nothing; one behind it leaves nothing.
        let start = match after < prefix {
            true => Bound::Included(prefix.as_bytes()),
            false => Bound::Excluded(after.as_bytes()),
        };
        let inside = after < prefix || after.as_bytes().starts_with(prefix.as_bytes());
        let rows = inside.then(|| self.table::<T>().rows.range::<_, [u8]>((start, as_slice(&end))));
        rows.into_iter().flatten().filter_map(|(_, row)| typed::<T>(row))
    }

    /// The rows that `index` finds under `key`, or under keys that begin with it, in order.
    pub fn by<T: Table>(&self, index: Index<T>, key: &Key) -> impl DoubleEndedIterator<Item = &T::Row> + use<'_, T> {
        let rows = self.table::<T>().indexes.get(usize::from(index.number));
        let rows = rows.map(|rows| scan::<T>(rows, key));
        rows.into_iter().flatten()
    }

    /// What the rows under `key`, the whole of it, add up to; `None` without rows.
    pub fn sum<T: Table, S: Sum<T::Row>>(&self, sum: SumOf<T, S>, key: &Key) -> Option<&S> {
        self.table::<T>().sums.get(sum.number, key)
    }

    /// How many rows have keys that begin with `prefix`; walks them unless the prefix is empty.
    pub fn count<T: Table>(&self, table: T, prefix: &Key) -> usize {
        match prefix.as_bytes().is_empty() {
            true => self.table::<T>().rows.len(),
            false => self.scan(table, prefix).count(),
        }
    }

    fn table<T: Table>(&self) -> &TableRows {
        match self.tables.get(&T::KIND) {
            Some(table) if table.info.name == T::NAME => table,
            _ => panic!("table {} is not in the schema: add it where the store is opened", T::NAME),
        }
    }

    /// Panics unless the table is in the schema: a mistake in the program that no input can cause.
    pub(crate) fn expect_table<T: Table>(&self) {
        self.table::<T>();
    }

    /// Puts or, with `None`, deletes the row at `key`, and its index entries. Answers the row before.
    pub(crate) fn set(&mut self, kind: u16, key: &Arc<[u8]>, row: Option<AnyRow>) -> Option<AnyRow> {
        let table = Arc::make_mut(&mut self.tables).get_mut(&kind)?;
        Arc::make_mut(table).set(key, row)
    }

    /// Table and key of every row.
    pub(crate) fn keys(&self) -> Vec<(u16, Arc<[u8]>)> {
        let tables = self.tables.iter();
        tables.flat_map(|(kind, table)| table.rows.keys().map(|key| (*kind, key.clone()))).collect()
    }

    pub(crate) fn info(&self, kind: u16) -> Option<&TableInfo> {
        self.tables.get(&kind).map(|table| &table.info)
    }

    /// Adds a row that an engine loaded.
    pub(crate) fn load(&mut self, kind: u16, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let info = self.info(kind).ok_or(StoreError::UnknownKind { kind })?;
        let row = (info.decode)(key, value).map_err(|error| info.error(key, error))?;
        self.set(kind, &Arc::from(key), Some(row));
        Ok(())
    }
}

impl TableRows {
    fn set(&mut self, key: &Arc<[u8]>, row: Option<AnyRow>) -> Option<AnyRow> {
        let before = match &row {
            Some(row) => self.rows.insert(key.clone(), row.clone()),
            None => self.rows.remove(&**key),
        };
        for (number, index_key) in before.iter().flat_map(self.info.indexes) {
            self.index(number).remove(&*entry(&index_key, key));
        }
        if let Some(before) = &before {
            (self.info.sums)(before, Sign::Minus, &mut self.sums);
        }
        if let Some(row) = row {
            (self.info.sums)(&row, Sign::Plus, &mut self.sums);
            for (number, index_key) in (self.info.indexes)(&row) {
                self.index(number).insert(entry(&index_key, key), row.clone());
            }
        }
        before
    }

    fn index(&mut self, number: u8) -> &mut Rows {
        let at = usize::from(number);
        if self.indexes.len() <= at {
            self.indexes.resize_with(at + 1, Rows::new);
        }
        &mut self.indexes[at]
    }
}

fn entry(index_key: &Key, key: &[u8]) -> Arc<[u8]> {
    [index_key.as_bytes(), key].concat().into()
}

fn scan<'a, T: Table>(rows: &'a Rows, prefix: &Key) -> impl DoubleEndedIterator<Item = &'a T::Row> + use<'a, T> {
    let (start, end) = range_of(prefix.as_bytes());
    rows.range::<_, [u8]>((start, as_slice(&end))).filter_map(|(_, row)| typed::<T>(row))
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
