//! Room on the disk: how much of it content may take, so that the server's own state has some.

use parking_lot::Mutex;
use rustix::fs::statvfs;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that content leaves free on its disk, for state, logs and audit records beside it. Ours: as much as
/// layers leave that a node unpacks, and what the store's journal may grow to.
pub const RESERVE_BYTES: u64 = 64 << 20;
/// Free bytes from which on there is enough for uploads that nobody may go on with. Ours.
pub const AMPLE_BYTES: u64 = 1 << 30;

/// Tells the free bytes of the disk.
pub type Disk = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// Why content is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} MiB are free, of which {} MiB stay free for the server's own state", free >> 20, RESERVE_BYTES >> 20)]
pub struct Short {
    /// In bytes.
    pub free: u64,
}

impl From<Short> for io::Error {
    fn from(short: Short) -> Self {
        Self::new(io::ErrorKind::StorageFull, short)
    }
}

/// The disk's room. What is about to be written counts as written, since it may not show yet.
pub(crate) struct Room {
    disk: Disk,
    /// Bytes on their way to the disk.
    claimed: Arc<Mutex<u64>>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("claimed", &self.claimed).finish_non_exhaustive()
    }
}

impl Room {
    pub fn new(disk: Disk) -> Self {
        Self { disk, claimed: Arc::default() }
    }

    /// Room for so many bytes until what is answered is dropped: written by then.
    ///
    /// # Errors
    /// [`Short`], as an I/O error of [`io::ErrorKind::StorageFull`].
    pub fn claim(&self, bytes: u64) -> io::Result<Claim> {
        let mut claimed = self.claimed.lock();
        let free = (self.disk)()?;
        if free < RESERVE_BYTES.saturating_add(*claimed).saturating_add(bytes) {
            return Err(Short { free }.into());
        }
        *claimed += bytes;
        Ok(Claim { claimed: self.claimed.clone(), bytes })
    }

    /// True where there is enough for uploads that nobody may go on with. A disk that does not tell has enough.
    pub fn is_ample(&self) -> bool {
        (self.disk)().map_or(true, |free| free >= AMPLE_BYTES)
    }
}

/// Room that is about to be used.
pub(crate) struct Claim {
    claimed: Arc<Mutex<u64>>,
    bytes: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        *self.claimed.lock() -= self.bytes;
    }
}

/// Asks the file system that a folder is on.
pub(crate) fn disk_of(folder: PathBuf) -> Disk {
    Arc::new(move || {
        let disk = statvfs(&folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    })
}
