//! What keeps rows when the process is gone.

mod fjall;
mod memory;

use std::sync::Arc;

pub use fjall::FjallEngine;
pub use memory::MemoryEngine;

use crate::EngineError;

/// The kind under which engines keep their own marks; no table may have it.
pub const OWN_KIND: u16 = 0;

/// A place for rows. Values are opaque to it. All calls come from one thread.
pub trait Engine: Send + 'static {
    /// Hands every row to `row`, in any order, and begins a new epoch. Whatever it hands over must
    /// be durable by the time that it returns. Called at the start and after a failed commit.
    ///
    /// # Errors
    /// When the rows cannot be read; the engine can be asked again.
    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError>;

    /// Keeps all of the batch or nothing; durable when it returns.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] when the batch is of another epoch than the last load's. After any
    /// error it is unknown whether the batch was kept, and the next call is [`Engine::load`].
    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError>;
}

/// A row as engines keep it.
#[derive(Clone, Copy, Debug)]
pub struct StoredRow<'a> {
    pub kind: u16,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// What a load found beside the rows.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// To be stated by every commit until the next load.
    pub epoch: u64,
    /// Of the last batch that was kept; 0 when there was none.
    pub version: u64,
}

/// One or more transactions, kept together.
#[derive(Debug)]
pub struct Batch {
    pub epoch: u64,
    /// Of the last transaction in it.
    pub version: u64,
    /// In order: a later write of a key replaces an earlier one.
    pub writes: Vec<Write>,
}

/// One row to put, or with no value to delete.
#[derive(Clone, Debug)]
pub struct Write {
    pub kind: u16,
    pub key: Arc<[u8]>,
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// What it counts of a transaction's bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<u16>() + self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Refuses a batch of another epoch.
pub(crate) fn check_epoch(batch: &Batch, current: u64) -> Result<(), EngineError> {
    if batch.epoch == current {
        return Ok(());
    }
    Err(EngineError::Fenced { batch: batch.epoch, current })
}
