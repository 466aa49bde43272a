//! What is told of a pull while it goes on.

use oci::Digest;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How often the bytes of one image are told.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// What the name means, and how many (compressed) bytes of it are not here.
    Resolved { digest: Digest, bytes: u64 },
    /// Bytes of those that have come so far.
    Progress { done: u64, total: u64 },
    /// An attempt failed, and another follows.
    Retrying { attempt: u32, why: String },
}

/// Who hears it.
pub type Tell<'a> = &'a (dyn Fn(News) + Sync);

/// Counts an image's bytes as its layers come, side by side.
pub(super) struct Meter<'a> {
    pub tell: Tell<'a>,
    total: u64,
    done: AtomicU64,
    told: Mutex<Instant>,
}

impl<'a> Meter<'a> {
    pub fn new(total: u64, tell: Tell<'a>) -> Self {
        Self { tell, total, done: AtomicU64::new(0), told: Mutex::new(Instant::now()) }
    }

    pub fn add(&self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let mut told = self.told.lock();
        if told.elapsed() >= PROGRESS_EVERY {
            *told = Instant::now();
            drop(told);
            (self.tell)(News::Progress { done, total: self.total });
        }
    }
}
