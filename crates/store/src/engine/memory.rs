use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Engine, Loaded, StoredRow, check_epoch};
use crate::EngineError;

/// Keeps rows as long as the process lives. Clones share them, so a test can open them again.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    rows: BTreeMap<(u16, Arc<[u8]>), Vec<u8>>,
    epoch: u64,
    version: u64,
}

impl Engine for MemoryEngine {
    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError> {
        let mut kept = self.kept.lock();
        kept.epoch += 1;
        for ((kind, key), value) in &kept.rows {
            row(StoredRow { kind: *kind, key, value });
        }
        Ok(Loaded { epoch: kept.epoch, version: kept.version })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let mut kept = self.kept.lock();
        check_epoch(batch, kept.epoch)?;
        for write in &batch.writes {
            let key = (write.kind, write.key.clone());
            match &write.value {
                Some(value) => kept.rows.insert(key, value.clone()),
                None => kept.rows.remove(&key),
            };
        }
        kept.version = batch.version;
        Ok(())
    }
}
