//! What is told of a pull while it goes on.

use oci::Digest;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How often the bytes of one image are told, at first.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// The longer a pull lasts, the rarer: this part of its time so far, so that two hours make some 60 lines.
const PROGRESS_PART: u32 = 8;

#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// What the name means, and how many (compressed) bytes of it are not here.
    Resolved { digest: Digest, bytes: u64 },
    /// Bytes of those that have come so far.
    Progress { done: u64, total: u64 },
    /// An attempt failed, and another follows after a pause.
    Retrying { attempt: u32, why: String, pause: Duration },
}

/// Who hears it.
pub type Tell<'a> = &'a (dyn Fn(News) + Sync);

/// Counts an image's bytes as its layers come, side by side.
pub(super) struct Meter<'a> {
    pub tell: Tell<'a>,
    total: u64,
    done: AtomicU64,
    begun: Instant,
    told: Mutex<Instant>,
}

impl<'a> Meter<'a> {
    pub fn new(total: u64, tell: Tell<'a>) -> Self {
        let begun = Instant::now();
        Self { tell, total, done: AtomicU64::new(0), begun, told: Mutex::new(begun) }
    }

    pub fn add(&self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let mut told = self.told.lock();
        if told.elapsed() >= PROGRESS_EVERY.max(self.begun.elapsed() / PROGRESS_PART) {
            *told = Instant::now();
            drop(told);
            (self.tell)(News::Progress { done, total: self.total });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_told_often_at_first_and_not_without_end() {
        let told = Mutex::new(Vec::new());
        let tell = |news| told.lock().push((Instant::now(), news));
        let (begun, hours) = (Instant::now(), 2);
        let meter = Meter::new(hours * 3600, &tell);
        for _second in 0..hours * 3600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.add(1);
        }
        let told = told.lock();
        assert_eq!(told[0].1, News::Progress { done: 2, total: hours * 3600 });
        assert_eq!(told[0].0 - begun, PROGRESS_EVERY);
        assert!((40..80).contains(&told.len()), "{} lines", told.len());
    }
}
