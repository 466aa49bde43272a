//! The keyspaces and how they are laid out on the disk.

use crate::limits::{
    CACHE_BYTES, EVENTS_BLOCK_BYTES, EVENTS_MEMTABLE_BYTES, FJALL_THREADS, JOURNAL_BYTES_MAX, ROWS_MEMTABLE_BYTES,
};
use crate::{TelemetryError, keys, rows};
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rustix::fs::{Advice, fadvise};
use std::fs::{self, DirBuilder, File};
use std::io;
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
        let io = |error| TelemetryError::Folder { dir: dir.to_owned(), source: Arc::new(error) };
        if is_absent(dir).map_err(io)? {
            create(dir)?;
        }
        distrust_cache(dir).map_err(io)?;
        let spaces = Self::at(dir)?;
        match spaces.format()? {
            Some(FORMAT) => Ok(spaces),
            found => Err(TelemetryError::Format { dir: dir.to_owned(), found, known: FORMAT }),
        }
    }

    fn at(dir: &Path) -> Result<Self, TelemetryError> {
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(FJALL_THREADS)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => TelemetryError::Locked(dir.to_owned()),
                error => error.into(),
            })?;
        Ok(Self {
            events: database.keyspace("events", event_options)?,
            catalog: database.keyspace("catalog", row_options)?,
            trail: database.keyspace("trail", row_options)?,
            database,
        })
    }

    pub(crate) fn of(&self, space: Space) -> &Keyspace {
        match space {
            Space::Catalog => &self.catalog,
            Space::Trail => &self.trail,
        }
    }

    fn format(&self) -> Result<Option<u64>, TelemetryError> {
        self.catalog.get(keys::format())?.map(|row| rows::decode(&row)).transpose()
    }

    fn mark_format(&self) -> Result<(), TelemetryError> {
        self.catalog.insert(keys::format(), rows::encode(&FORMAT)?)?;
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

/// True where there is no folder yet, or an empty one.
fn is_absent(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes the store beside `dir` and moves it there whole: fjall does not open a folder that a
/// killed process left half made.
fn create(dir: &Path) -> Result<(), TelemetryError> {
    let io = |error| TelemetryError::Folder { dir: dir.to_owned(), source: Arc::new(error) };
    let unfinished = dir.with_added_extension("new");
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&unfinished).map_err(io)?;
    Spaces::at(&unfinished)?.mark_format()?;
    fs::rename(&unfinished, dir).map_err(io)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)
}

/// Brings what a killed process wrote to the disk, or to light that it never got there: a batch
/// that is found in the page cache alone must not be acknowledged as a repeat. Once a sync has
/// failed, Linux takes the lost pages for clean, so they are dropped and read again.
fn distrust_cache(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let journal = File::open(&path)?;
            journal.sync_all()?;
            fadvise(&journal, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
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
