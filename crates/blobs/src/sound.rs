//! Which blobs were lately seen to be what their digest says, so that they need not be hashed again.
//!
//! Two things spoil a file: somebody writes to it, which the kernel notes in its change time, or the disk rots,
//! which nothing notes. Against the one a file is known by its [`Stamp`], against the other no longer than [`SOUND_FOR`].

use oci::Digest;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// How long what was hashed counts as sound. Ours: longer than a large download in parts takes, and short
/// beside the years in which disks rot.
const SOUND_FOR: Duration = Duration::from_secs(3600);

/// A state of a file: another file in its place has another, and so has the same one after any write,
/// whatever its time of modification is then set to (inode(7), "ctime").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(file: &Metadata) -> Self {
        let changed = (file.ctime(), file.ctime_nsec());
        Self { device: file.dev(), inode: file.ino(), size: file.len(), changed }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sound(BTreeMap<Digest, (Stamp, Instant)>);

impl Sound {
    /// The content of a file in this state was hashed just now, and is what `digest` says.
    pub fn found(&mut self, digest: &Digest, file: Stamp) {
        let now = Instant::now();
        self.0.retain(|_, (_, at)| now.duration_since(*at) < SOUND_FOR);
        self.0.insert(digest.clone(), (file, now));
    }

    /// True where the file in this state needs no hashing.
    pub fn holds(&self, digest: &Digest, file: Stamp) -> bool {
        self.0.get(digest).is_some_and(|(known, at)| *known == file && at.elapsed() < SOUND_FOR)
    }

    pub fn forget(&mut self, digest: &Digest) {
        self.0.remove(digest);
    }
}
