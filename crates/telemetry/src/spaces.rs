//! The keyspaces and how they are laid out on the disk.

use crate::limits::{
    CACHE_BYTES, EVENTS_BLOCK_BYTES, EVENTS_MEMTABLE_BYTES, FJALL_THREADS, JOURNAL_BYTES_MAX, ROWS_MEMTABLE_BYTES,
};
use crate::{TelemetryError, keys, rows};
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// The layout of keys and rows that this version reads and writes.
const FORMAT: u64 = 1;

/// Messages may hold secrets: only the owner reads them.
const FOLDER_MODE: u32 = 0o700;

/// Which keyspace a staged row is in. Events are not staged: none is ever changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    Catalog,
    Trail,
}

#[derive(Clone)]
pub(crate) struct Spaces {
    pub database: Database,
    pub events: Keyspace,
    pub catalog: Keyspace,
    pub trail: Keyspace,
}

impl Spaces {
    pub(crate) fn open(dir: &Path) -> Result<Self, TelemetryError> {
        make_folder(dir)?;
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(FJALL_THREADS)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => TelemetryError::Locked(dir.to_owned()),
                error => error.into(),
            })?;
        let spaces = Self {
            events: database.keyspace("events", event_options)?,
            catalog: database.keyspace("catalog", row_options)?,
            trail: database.keyspace("trail", row_options)?,
            database,
        };
        spaces.check_format()?;
        Ok(spaces)
    }

    pub(crate) fn of(&self, space: Space) -> &Keyspace {
        match space {
            Space::Catalog => &self.catalog,
            Space::Trail => &self.trail,
        }
    }

    /// The first open writes the format; it becomes durable with the first commit.
    fn check_format(&self) -> Result<(), TelemetryError> {
        let Some(row) = self.catalog.get(keys::format())? else {
            return Ok(self.catalog.insert(keys::format(), rows::encode(&FORMAT)?)?);
        };
        match rows::decode(&row)? {
            FORMAT => Ok(()),
            found => Err(TelemetryError::Format { found, known: FORMAT }),
        }
    }
}

fn make_folder(dir: &Path) -> Result<(), TelemetryError> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(dir)
        .map_err(|source| TelemetryError::Folder { dir: dir.to_owned(), source: Arc::new(source) })
}

fn event_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(EVENTS_MEMTABLE_BYTES)
        .data_block_size_policy(BlockSizePolicy::all(EVENTS_BLOCK_BYTES))
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}

fn row_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(ROWS_MEMTABLE_BYTES)
        .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
}
