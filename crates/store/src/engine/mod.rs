//! What keeps rows when the process is gone.

mod etcd;
mod fjall;
mod memory;

use std::sync::Arc;
use std::time::Duration;

pub use etcd::{EtcdEngine, EtcdPlace};
pub use fjall::FjallEngine;
pub use memory::MemoryEngine;

use crate::EngineError;

/// The kind under which engines keep their own marks; no table may have it.
pub const OWN_KIND: u16 = 0;

/// A place for rows. Values are opaque to it. All calls come from one thread at a time.
///
/// An engine that several servers share lets one of them lead: it alone commits. The others follow.
pub trait Engine: Send + 'static {
    /// Whether another server may lead while this one does not: then what this one shows may be old.
    fn is_shared(&self) -> bool;

    /// What one batch may hold; at least what one transaction may.
    fn limits(&self) -> Limits;

    /// Takes the lead if it is vacant or already ours, hands every row to `row`, in any order, and
    /// begins a new epoch. Whatever it hands over must be durable by the time that it returns.
    /// Called at the start, after an error, and when [`Engine::follow`] asks for it.
    ///
    /// # Errors
    /// When the rows cannot be read; the engine can be asked again.
    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError>;

    /// Keeps all of the batch or nothing; durable when it returns.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] when the batch is of another epoch than the last load's, or somebody
    /// else leads. After any error it is unknown whether the batch was kept, and the next call is
    /// [`Engine::load`].
    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError>;

    /// Waits up to `wait` for what another server did since the last load or follow. To whoever
    /// leads, nothing happens but the loss of the lead.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] when the lead was lost; others when it cannot be known what happened.
    /// The next call is [`Engine::load`].
    fn follow(&mut self, wait: Duration) -> Result<Followed, EngineError>;
}

/// A row as engines keep it.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    pub kind: u16,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// What a load found beside the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub standing: Standing,
    /// Of the last batch that was kept; 0 when there was none.
    pub version: u64,
}

/// Who may commit, as a load found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Leads {
        /// Another one after each time that somebody else may have led.
        term: u64,
        /// To be stated by every commit until the next load.
        epoch: u64,
    },
    /// Somebody else, at this address if it is known.
    Follows { leader: Option<String> },
}

/// What another server did.
#[derive(Debug)]
pub enum Followed {
    Nothing,
    /// It committed this; the epoch is its own.
    Batch(Batch),
    /// The lead is vacant, or what happened is no longer known batch by batch: load.
    Load,
}

/// What an engine takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub writes: usize,
    /// Of keys and values, as [`Write`] counts them.
    pub bytes: usize,
}

impl Limits {
    /// Of engines that have none of their own. Ours: a large sync stays well under a second on a
    /// disk of 100 MB/s.
    pub const LOCAL: Self = Self { writes: 65_536, bytes: 8 * 1_024 * 1_024 };
}

/// One or more transactions, kept together.
#[derive(Clone, Debug)]
pub struct Batch {
    pub epoch: u64,
    /// Of the last transaction in it.
    pub version: u64,
    /// In order: a later write of a key replaces an earlier one.
    pub writes: Vec<Write>,
}

/// One row to put, or with no value to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub kind: u16,
    pub key: Arc<[u8]>,
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// What it counts of a batch's and a transaction's bytes.
    pub fn bytes(&self) -> usize {
        size_of::<u16>() + self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Refuses a batch of another epoch.
pub(crate) fn check_epoch(batch: &Batch, current: u64) -> Result<(), EngineError> {
    if batch.epoch == current {
        return Ok(());
    }
    Err(EngineError::Fenced { epoch: batch.epoch, why: format!("the engine is in epoch {current}") })
}
