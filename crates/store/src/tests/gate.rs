//! An engine whose commits wait for the test, and end as the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::schema;
use crate::{Batch, Engine, EngineError, Followed, Limits, Loaded, MemoryEngine, Store, StoredRow};

/// What becomes of a batch.
pub enum Fate {
    Kept,
    Lost,
    /// Kept, but the engine does not know.
    KeptUnknown,
}

struct GateEngine {
    memory: MemoryEngine,
    arrivals: UnboundedSender<u64>,
    fates: mpsc::Receiver<Fate>,
    broken: Arc<AtomicBool>,
}

/// The test's end of it.
pub struct Gate {
    arrivals: UnboundedReceiver<u64>,
    fates: mpsc::Sender<Fate>,
    /// While true, loads fail.
    pub broken: Arc<AtomicBool>,
}

pub fn gated() -> (Store, Gate) {
    let (arrived, arrivals) = unbounded_channel();
    let (decide, fates) = mpsc::channel();
    let broken = Arc::new(AtomicBool::new(false));
    let engine = GateEngine { memory: MemoryEngine::default(), arrivals: arrived, fates, broken: broken.clone() };
    let store = Store::open(schema(), engine).expect("the schema is sound");
    (store, Gate { arrivals, fates: decide, broken })
}

impl Gate {
    /// Waits for the next batch and answers its version.
    pub async fn arrival(&mut self) -> u64 {
        self.arrivals.recv().await.expect("the engine lives")
    }

    pub fn decide(&self, fate: Fate) {
        self.fates.send(fate).expect("the engine lives");
    }
}

impl Engine for GateEngine {
    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(EngineError::Storage("no disk".into()));
        }
        self.memory.load(row)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        // A test that ended neither looks nor decides.
        let _ = self.arrivals.send(batch.version);
        match self.fates.recv().unwrap_or(Fate::Kept) {
            Fate::Kept => return self.memory.commit(batch),
            Fate::Lost => {}
            Fate::KeptUnknown => self.memory.commit(batch)?,
        }
        Err(EngineError::Storage("the disk went away".into()))
    }

    fn follow(&mut self, wait: Duration) -> Result<Followed, EngineError> {
        self.memory.follow(wait)
    }
}
