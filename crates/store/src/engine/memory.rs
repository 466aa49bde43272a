use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Batch, Engine, Followed, Limits, Loaded, Standing, StoredRow, check_epoch};
use crate::EngineError;

/// Batches that are kept for followers; one that fell further behind loads again. Ours.
const HISTORY_MAX: usize = 64;

/// Keeps rows as long as the process lives. Clones share them: a load by a clone takes the lead
/// from the others, as the restart of a server does; one by a [`MemoryEngine::standby`] does not.
#[derive(Default)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
    stands_by: bool,
    /// Of the last load that led.
    epoch: Option<u64>,
    /// Batches ever kept that are in the rows of the last load, or were followed since.
    seen: u64,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Default)]
struct Kept {
    rows: BTreeMap<(u16, Arc<[u8]>), Vec<u8>>,
    epoch: u64,
    version: u64,
    /// Whether a handle leads: that of `epoch`.
    is_led: bool,
    /// The newest batches, and how many there ever were.
    history: VecDeque<Batch>,
    batches: u64,
}

impl Clone for MemoryEngine {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), stands_by: self.stands_by, epoch: None, seen: 0 }
    }
}

impl MemoryEngine {
    /// A handle to the same rows that follows while another leads.
    pub fn standby(&self) -> Self {
        let mut standby = self.clone();
        standby.stands_by = true;
        standby
    }

    /// Ends the lead of whoever leads, unasked: as a lease that ran out.
    pub fn depose(&self) {
        self.shared.kept.lock().vacate();
        self.shared.changed.notify_all();
    }
}

/// The lead does not outlive its handle.
impl Drop for MemoryEngine {
    fn drop(&mut self) {
        let mut kept = self.shared.kept.lock();
        if self.epoch == Some(kept.epoch) && kept.is_led {
            kept.vacate();
            self.shared.changed.notify_all();
        }
    }
}

impl Engine for MemoryEngine {
    fn is_shared(&self) -> bool {
        self.stands_by
    }

    fn limits(&self) -> Limits {
        Limits::LOCAL
    }

    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError> {
        let mut kept = self.shared.kept.lock();
        let is_ours = self.epoch == Some(kept.epoch);
        for ((kind, key), value) in &kept.rows {
            row(StoredRow { kind: *kind, key, value });
        }
        self.seen = kept.batches;
        let version = kept.version;
        if self.stands_by && kept.is_led && !is_ours {
            self.epoch = None;
            return Ok(Loaded { standing: Standing::Follows { leader: None }, version });
        }
        kept.epoch += 1;
        kept.is_led = true;
        self.epoch = Some(kept.epoch);
        self.shared.changed.notify_all();
        Ok(Loaded { standing: Standing::Leads { term: kept.epoch, epoch: kept.epoch }, version })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let mut kept = self.shared.kept.lock();
        check_epoch(batch, kept.epoch)?;
        if self.epoch != Some(kept.epoch) || !kept.is_led {
            return Err(fenced(batch.epoch));
        }
        kept.keep(batch);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn follow(&mut self, wait: Duration) -> Result<Followed, EngineError> {
        let mut kept = self.shared.kept.lock();
        if let Some(epoch) = self.epoch {
            let leads = epoch == kept.epoch && kept.is_led;
            return if leads { Ok(Followed::Nothing) } else { Err(fenced(epoch)) };
        }
        if kept.batches == self.seen && kept.is_led {
            self.shared.changed.wait_for(&mut kept, wait);
        }
        let behind = kept.batches - self.seen;
        if behind == 0 {
            return Ok(if kept.is_led { Followed::Nothing } else { Followed::Load });
        }
        let place = usize::try_from(behind).ok().and_then(|behind| kept.history.len().checked_sub(behind));
        let batch = place.and_then(|place| kept.history.get(place)).cloned();
        self.seen += 1;
        Ok(batch.map_or(Followed::Load, Followed::Batch))
    }
}

impl Kept {
    /// A new epoch without a leader, so that nothing of the old one is kept.
    fn vacate(&mut self) {
        self.epoch += 1;
        self.is_led = false;
    }

    fn keep(&mut self, batch: &Batch) {
        for write in &batch.writes {
            let key = (write.kind, write.key.clone());
            match &write.value {
                Some(value) => self.rows.insert(key, value.clone()),
                None => self.rows.remove(&key),
            };
        }
        self.version = batch.version;
        self.batches += 1;
        self.history.push_back(batch.clone());
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }
}

fn fenced(epoch: u64) -> EngineError {
    EngineError::Fenced { epoch, why: "another handle leads, or nobody".to_owned() }
}
