//! Rows and the bytes that engines keep of them: one byte of row version, then CBOR.

use std::any::Any;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Key, RowError, Sign, StoreError, Sums, Table};

/// What a table can hold.
pub trait Row: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Row for R {}

/// A row whose type only its table knows.
pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// A table without its type: what the store does with rows that it knows by kind alone.
#[derive(Clone, Copy)]
pub(crate) struct TableInfo {
    pub kind: u16,
    pub name: &'static str,
    pub decode: fn(key: &[u8], value: &[u8]) -> Result<AnyRow, RowError>,
    pub encode: fn(&AnyRow) -> Result<Vec<u8>, RowError>,
    pub indexes: fn(&AnyRow) -> Vec<(u8, Key)>,
    pub sums: fn(&AnyRow, Sign, &mut Sums),
}

impl TableInfo {
    pub fn of<T: Table>() -> Self {
        Self {
            kind: T::KIND,
            name: T::NAME,
            decode: decode::<T>,
            encode: encode::<T>,
            indexes: indexes::<T>,
            sums: sums::<T>,
        }
    }

    pub fn error(&self, key: &[u8], error: RowError) -> StoreError {
        StoreError::Row { table: self.name, key: key.escape_ascii().to_string(), source: Arc::new(error) }
    }
}

/// The row behind `row`, when it is one of `T`.
pub(crate) fn typed<T: Table>(row: &AnyRow) -> Option<&T::Row> {
    row.downcast_ref()
}

fn decode<T: Table>(key: &[u8], value: &[u8]) -> Result<AnyRow, RowError> {
    let (&version, bytes) = value.split_first().ok_or(RowError::Empty)?;
    let row = if version == T::VERSION { from_cbor(bytes)? } else { T::migrate(version, bytes)? };
    if T::key(&row).as_bytes() != key {
        return Err(RowError::Misplaced);
    }
    Ok(Arc::new(row))
}

fn encode<T: Table>(row: &AnyRow) -> Result<Vec<u8>, RowError> {
    let row = typed::<T>(row).ok_or(RowError::Misplaced)?;
    let mut value = vec![T::VERSION];
    row.serialize(&mut minicbor_serde::Serializer::new(&mut value))
        .map_err(|error| RowError::Encode(error.to_string()))?;
    Ok(value)
}

fn indexes<T: Table>(row: &AnyRow) -> Vec<(u8, Key)> {
    let mut entries = Vec::new();
    if let Some(row) = typed::<T>(row) {
        T::indexes(row, &mut entries);
    }
    entries
}

fn sums<T: Table>(row: &AnyRow, sign: Sign, sums: &mut Sums) {
    if let Some(row) = typed::<T>(row) {
        T::sums(row, sign, sums);
    }
}

/// Reads a row, or the row of an older version in a [`Table::migrate`], from its CBOR.
pub fn from_cbor<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, RowError> {
    minicbor_serde::from_slice(bytes).map_err(|error| RowError::Decode(error.to_string()))
}
