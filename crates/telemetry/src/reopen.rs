//! The store as long as it works, and anew once it may work again.
//!
//! fjall takes nothing more after a write that failed, were it only for want of room. It reads on, so such a
//! store is kept until the disk has room; then it is closed and opened again, which replays what was acknowledged.
//! After any other failure nothing is written until Longshore is started again: that disk is not to be trusted.

use crate::TelemetryError;
use crate::spaces::Spaces;
use crate::writer::Writer;
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// Room that the disk must have before a failed store is opened again, in bytes: a commit's, and some more.
pub(crate) const ROOM_BYTES: u64 = 16 << 20;
/// How long opening waits for those who still read, and for the former store's locks.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Store {
    // Dropped first, so that the writer has ended before the keyspaces close.
    pub writer: Writer,
    pub spaces: Spaces,
    /// A write found no room: there will be no other.
    full: AtomicBool,
}

impl Store {
    fn open(dir: &Path) -> Result<Self, TelemetryError> {
        let spaces = Spaces::open(dir)?;
        let writer = Writer::start(&spaces)?;
        Ok(Self { writer, spaces, full: AtomicBool::new(false) })
    }

    fn works(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }
}

/// Where the store is; empty after one that could not be opened again.
pub(crate) struct Slot {
    dir: PathBuf,
    store: RwLock<Option<Arc<Store>>>,
}

impl Slot {
    pub fn open(dir: &Path) -> Result<Self, TelemetryError> {
        Ok(Self { dir: dir.to_owned(), store: RwLock::new(Some(Arc::new(Store::open(dir)?))) })
    }

    /// A store that takes writes, if the disk has room for one.
    pub async fn writable(&self) -> Result<Arc<Store>, TelemetryError> {
        match &*self.store.read().await {
            Some(store) if store.works() || !self.has_room() => return Ok(store.clone()),
            _ => {}
        }
        self.reopen().await
    }

    pub async fn readable(&self) -> Result<Arc<Store>, TelemetryError> {
        if let Some(store) = &*self.store.read().await {
            return Ok(store.clone());
        }
        self.reopen().await
    }

    /// A write failed: looks whether that was for want of room, which a thread of fjall's own may have met first, and
    /// answers what to say.
    pub fn note(&self, store: &Store, error: Arc<fjall::Error>) -> TelemetryError {
        if self.is_for_room(&error) {
            store.full.store(true, Ordering::Relaxed);
        }
        if store.works() { TelemetryError::Storage(error) } else { TelemetryError::Full }
    }

    fn is_for_room(&self, error: &fjall::Error) -> bool {
        match error {
            fjall::Error::Io(error) => base::is_disk_full(error),
            fjall::Error::Poisoned => !self.has_room(),
            _ => false,
        }
    }

    /// Closes the failed store and opens it anew; nobody reads or writes meanwhile.
    async fn reopen(&self) -> Result<Arc<Store>, TelemetryError> {
        let mut slot = self.store.write().await;
        if let Some(store) = slot.as_ref().filter(|store| store.works()) {
            return Ok(store.clone());
        }
        let (former, dir) = (slot.take(), self.dir.clone());
        let reopening = tokio::task::spawn_blocking(move || reopen(former, &dir));
        let store = Arc::new(reopening.await.map_err(|_| TelemetryError::Stopped)??);
        tracing::info!("telemetry is written again");
        *slot = Some(store.clone());
        Ok(store)
    }

    fn has_room(&self) -> bool {
        statvfs(&self.dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_BYTES)
    }
}

/// Waits for the former store's last reader, so that its locks are gone. Blocks.
fn reopen(former: Option<Arc<Store>>, dir: &Path) -> Result<Store, TelemetryError> {
    let begun = Instant::now();
    let former = former.map(|former| {
        let watch = Arc::downgrade(&former);
        drop(former);
        watch
    });
    while former.as_ref().is_some_and(|former| former.strong_count() > 0) && begun.elapsed() < CLOSE_TIMEOUT {
        std::thread::sleep(POLL);
    }
    loop {
        match Store::open(dir) {
            Err(TelemetryError::Locked(_)) if begun.elapsed() < CLOSE_TIMEOUT => std::thread::sleep(POLL),
            opened => return opened,
        }
    }
}
