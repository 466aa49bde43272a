//! The audit trail: append-only records of an account and region.

use crate::limits::TRAIL_BYTES_MAX;
use crate::spaces::Space;
use crate::stage::Stage;
use crate::view::View;
use crate::{TelemetryError, keys};

/// An append whose limits have been checked.
pub(crate) struct Append {
    prefix: Vec<u8>,
    records: Vec<(u64, Vec<u8>)>,
}

impl Append {
    pub(crate) fn new(account: &str, region: &str, records: Vec<(u64, Vec<u8>)>) -> Result<Self, TelemetryError> {
        let append = Self { prefix: keys::trail_of(account, region)?, records };
        let bytes = append.bytes();
        if bytes > TRAIL_BYTES_MAX { Err(TelemetryError::TrailTooLarge(bytes)) } else { Ok(append) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.records.iter().map(|(_, json)| json.len()).sum()
    }

    pub(crate) fn stage(self, stage: &mut Stage) -> Result<(), TelemetryError> {
        let mut fresh = Vec::new();
        for (sequence, json) in self.records {
            let key = keys::trail(&self.prefix, sequence);
            if !stage.has(Space::Trail, &key)? {
                fresh.push((key, json));
            }
        }
        // The last to be put stays, and the first of a sequence is to stay.
        fresh.into_iter().rev().for_each(|(key, json)| stage.put(Space::Trail, key, json));
        Ok(())
    }
}

pub(crate) fn last_sequence(view: &View, prefix: &[u8]) -> Result<Option<u64>, TelemetryError> {
    match view.prefix(&view.spaces.trail, prefix).next_back() {
        Some(row) => sequence(&row.key()?).map(Some),
        None => Ok(None),
    }
}

pub(crate) fn read(view: &View, prefix: &[u8], from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, TelemetryError> {
    let range = keys::trail(prefix, from)..keys::after(&keys::trail(prefix, u64::MAX));
    let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    for row in view.range(&view.spaces.trail, range).take(limit) {
        let (key, json) = row.into_inner()?;
        bytes += json.len();
        if bytes > TRAIL_BYTES_MAX && !records.is_empty() {
            break;
        }
        records.push((sequence(&key)?, json.to_vec()));
    }
    Ok(records)
}

fn sequence(key: &[u8]) -> Result<u64, TelemetryError> {
    keys::trail_sequence(key).ok_or_else(|| TelemetryError::Damaged("an audit record's key".to_owned()))
}
