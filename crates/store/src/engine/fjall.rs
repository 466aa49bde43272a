//! The embedded default: one fjall keyspace in a folder of its own.
//!
//! A stored key is the kind, two big-endian bytes, and then the row's key. Under kind 0 stand the
//! marks: `format`, and `version` of the last batch, written with it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rustix::fs::{Advice, fadvise};

use super::{Batch, Engine, Followed, Limits, Loaded, OWN_KIND, Standing, StoredRow, check_epoch};
use crate::EngineError;

/// Of keys and values as this file describes them.
const FORMAT: u32 = 1;
const FORMAT_MARK: &[u8] = b"format";
const VERSION_MARK: &[u8] = b"version";
const ROWS: &str = "rows";

/// Rows are read once, into memory, so caching blocks and memtables buys little. Ours, in bytes.
const CACHE_BYTES: u64 = 1024 * 1024;
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// The journal is replayed at start; fjall takes no less. Bytes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// One thread flushes while another compacts.
const WORKERS: usize = 2;

/// Nobody else leads while the folder is open.
const TERM: u64 = 1;

/// Keeps rows in a folder that one process at a time may open.
pub struct FjallEngine {
    folder: PathBuf,
    /// Closed by a failed commit, because fjall then accepts no further one; a load opens it.
    open: Option<Open>,
    epoch: u64,
}

struct Open {
    rows: Keyspace,
    database: Database,
}

impl FjallEngine {
    /// Opens the folder, or makes it, readable by its owner only.
    ///
    /// # Errors
    /// When another process has it open, it holds something else, or was written in another format.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let folder = folder.into();
        if is_absent(&folder).map_err(|error| storage(&folder, &error))? {
            create(&folder)?;
        }
        let open = Some(Open::existing(&folder)?);
        Ok(Self { folder, open, epoch: 0 })
    }

    fn opened(&mut self) -> Result<&Open, EngineError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::existing(&self.folder)?,
        };
        Ok(self.open.insert(open))
    }
}

/// The folder is one process's alone, so whoever has it open leads, and nobody follows.
impl Engine for FjallEngine {
    fn is_shared(&self) -> bool {
        false
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError> {
        self.epoch += 1;
        let (epoch, folder) = (self.epoch, self.folder.clone());
        let version = self.opened()?.load(row).map_err(|error| failed(&folder, &error))?;
        Ok(Loaded { standing: Standing::Leads { term: TERM, epoch }, version })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        check_epoch(batch, self.epoch)?;
        let result = self.opened()?.commit(batch);
        result.map_err(|error| {
            self.open = None;
            self.epoch += 1;
            failed(&self.folder, &error)
        })
    }

    fn follow(&mut self, _wait: Duration) -> Result<Followed, EngineError> {
        Ok(Followed::Nothing)
    }
}

impl Open {
    fn existing(folder: &Path) -> Result<Self, EngineError> {
        distrust_cache(folder).map_err(|error| storage(folder, &error))?;
        let open = Self::at(folder).map_err(|error| failed(folder, &error))?;
        match open.rows.get(stored_key(OWN_KIND, FORMAT_MARK)).map_err(|error| failed(folder, &error))? {
            Some(mark) if *mark == FORMAT.to_be_bytes() => Ok(open),
            Some(mark) => {
                Err(format(folder, &format!("its format is {mark:?}, not {FORMAT}: use the version that wrote it")))
            }
            None => Err(format(folder, "it is another program's: choose another folder")),
        }
    }

    fn at(folder: &Path) -> fjall::Result<Self> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let rows = database.keyspace(ROWS, options)?;
        Ok(Self { rows, database })
    }

    /// Answers the version mark.
    fn load(&self, row: &mut dyn FnMut(StoredRow<'_>)) -> fjall::Result<u64> {
        let mut version = 0;
        for entry in self.rows.iter() {
            let (stored, value) = entry.into_inner()?;
            let Some((kind, key)) = stored.split_first_chunk() else { continue };
            match u16::from_be_bytes(*kind) {
                OWN_KIND if key == VERSION_MARK => version = number(&value),
                OWN_KIND => {}
                kind => row(StoredRow { kind, key, value: &value }),
            }
        }
        Ok(version)
    }

    fn commit(&self, batch: &Batch) -> fjall::Result<()> {
        let mut kept = self.database.batch().durability(Some(PersistMode::SyncData));
        for write in &batch.writes {
            let key = stored_key(write.kind, &write.key);
            match &write.value {
                Some(value) => kept.insert(&self.rows, key, value.as_slice()),
                None => kept.remove(&self.rows, key),
            }
        }
        kept.insert(&self.rows, stored_key(OWN_KIND, VERSION_MARK), batch.version.to_be_bytes());
        kept.commit()
    }
}

/// Makes the folder under another name first: a process killed half-way leaves nothing that looks
/// like data.
fn create(folder: &Path) -> Result<(), EngineError> {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = folder.with_file_name(name);
    let io = |error: std::io::Error| storage(folder, &error);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&unfinished).map_err(io)?;
    mark_format(&unfinished).map_err(|error| failed(&unfinished, &error))?;
    fs::rename(&unfinished, folder).map_err(io)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)
}

fn mark_format(folder: &Path) -> fjall::Result<()> {
    let open = Open::at(folder)?;
    open.rows.insert(stored_key(OWN_KIND, FORMAT_MARK), FORMAT.to_be_bytes())?;
    open.database.persist(PersistMode::SyncAll)
}

/// True where there is no folder yet, or an empty one.
fn is_absent(folder: &Path) -> std::io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Syncs the journals and drops them from the page cache. After a failed sync, Linux serves from
/// the cache what never reached the disk; what is loaded must be what a power cut would leave.
fn distrust_cache(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let journal = File::open(&path)?;
            journal.sync_all()?;
            fadvise(&journal, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn stored_key(kind: u16, key: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), key].concat()
}

/// Of big-endian bytes.
fn number(value: &[u8]) -> u64 {
    value.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn failed(folder: &Path, error: &fjall::Error) -> EngineError {
    match error {
        fjall::Error::Locked => {
            storage(folder, &"another process has it open: stop that one, or choose another folder")
        }
        fjall::Error::Io(error) => storage(folder, error),
        error => storage(folder, error),
    }
}

fn storage(folder: &Path, error: &dyn std::fmt::Display) -> EngineError {
    EngineError::Storage(format!("{}: {error}", folder.display()))
}

fn format(folder: &Path, why: &str) -> EngineError {
    EngineError::Format { path: folder.display().to_string(), why: why.to_owned() }
}
