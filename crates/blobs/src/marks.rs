//! What is known of blobs beside their files: who is about to need one, and which is about to go.
//!
//! - A pin: content is in place, the row that names it not yet. Held by who commits that row.
//! - A promise: a client was told that a blob is here and may count on it until then.
//! - A condemnation: a collector is about to take away the last row that names it.
//!
//! All are of this process. After a restart there is no push under way whose client was answered, so
//! pins need not outlive it; promises are made up for by the collector's grace period.

use base::Timestamp;
use oci::Digest;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<BTreeMap<Digest, Mark>>);

#[derive(Debug, Default)]
struct Mark {
    pins: usize,
    promised_until: Option<Timestamp>,
    condemned: bool,
}

impl Mark {
    fn holds(&self, now: Timestamp) -> bool {
        self.pins > 0 || self.promised_until.is_some_and(|until| now < until)
    }
}

impl Marks {
    pub fn pin(self: &Arc<Self>, digest: &Digest) -> Pin {
        self.0.lock().entry(digest.clone()).or_default().pins += 1;
        Pin { marks: self.clone(), digest: digest.clone() }
    }

    /// Writes the promise down; false where the blob is about to go, so that it must not be made.
    pub fn promise(&self, digest: &Digest, until: Timestamp) -> bool {
        let mut marks = self.0.lock();
        let mark = marks.entry(digest.clone()).or_default();
        mark.promised_until = mark.promised_until.max(Some(until));
        !mark.condemned
    }

    pub fn holds(&self, digest: &Digest, now: Timestamp) -> bool {
        self.0.lock().get(digest).is_some_and(|mark| mark.holds(now))
    }

    pub fn condemn(self: &Arc<Self>, digest: &Digest, now: Timestamp) -> Option<Condemned> {
        let mut marks = self.0.lock();
        let mark = marks.entry(digest.clone()).or_default();
        if mark.condemned || mark.holds(now) {
            return None;
        }
        mark.condemned = true;
        Some(Condemned { marks: self.clone(), digest: digest.clone() })
    }

    /// Drops what no longer says anything.
    pub fn forget_past(&self, now: Timestamp) {
        self.0.lock().retain(|_, mark| mark.condemned || mark.holds(now));
    }
}

/// Keeps a blob in place until it is dropped.
#[derive(Debug)]
pub struct Pin {
    marks: Arc<Marks>,
    digest: Digest,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut marks = self.marks.0.lock();
        if let Some(mark) = marks.get_mut(&self.digest) {
            mark.pins -= 1;
            if mark.pins == 0 && mark.promised_until.is_none() && !mark.condemned {
                marks.remove(&self.digest);
            }
        }
    }
}

/// While it lives nobody is promised the blob.
#[derive(Debug)]
pub struct Condemned {
    marks: Arc<Marks>,
    digest: Digest,
}

impl Condemned {
    /// False once an upload brought the same content anew: then the rows that name it stay.
    pub fn stands(&self) -> bool {
        self.marks.0.lock().get(&self.digest).is_none_or(|mark| mark.pins == 0)
    }
}

impl Drop for Condemned {
    fn drop(&mut self) {
        if let Some(mark) = self.marks.0.lock().get_mut(&self.digest) {
            mark.condemned = false;
        }
    }
}
