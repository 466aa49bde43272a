//! What a layer may cost.

use super::UnpackError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Entries of one layer, and directories that it does not list but needs. The largest public images have
/// about 300,000 files.
const ENTRIES_MAX: u64 = 2_000_000;
/// Bytes of one layer's tar stream: four times ECR's largest (compressed) layer of 52,000 MiB.
const UNCOMPRESSED_BYTES_MAX: u64 = 4 * 52_000 * 1024 * 1024;
/// How many times its size a layer may have uncompressed: the most that deflate can do (zlib's technical
/// details: 1032 to 1). zstd can do more, of which honest files make no use.
const EXPANSION_MAX: u64 = 1032;
/// What any layer may have uncompressed, in bytes, however small it is: a tar stream of zeros alone is not
/// a bomb yet.
const EXPANSION_FREE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes that unpacking leaves free on the disk at the least, for what the node itself has to write.
const RESERVE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// And at the most, as long as nobody but us fills it. Ours: a large disk has room for more than that above any mark.
const RESERVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// After so many bytes the disk is looked at again: others write to it, too.
const LOOK_BYTES: u64 = 4 * 1024 * 1024;

/// Bounds on what a layer may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub entries: u64,
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
    /// Bytes of the disk that stay free.
    pub reserve_bytes: u64,
}

impl Limits {
    pub(super) const NONE: Self = Self { entries: u64::MAX, bytes: u64::MAX, reserve_bytes: 0 };

    /// For a layer that has `size` bytes as pulled. The disk keeps `reserve` bytes; see [`reserve_bytes`].
    pub fn of_layer(size: u64, reserve: u64) -> Self {
        let expanded = size.saturating_mul(EXPANSION_MAX).saturating_add(EXPANSION_FREE_BYTES);
        Self { entries: ENTRIES_MAX, bytes: expanded.min(UNCOMPRESSED_BYTES_MAX), reserve_bytes: reserve }
    }

    /// The error of a tar stream that has more than `bytes`, if that is too many.
    pub(super) fn passed_by(&self, bytes: u64) -> Option<UnpackError> {
        (bytes > self.bytes).then_some(UnpackError::TooLarge { limit: self.bytes })
    }
}

/// What unpacking leaves free of a disk of `total` bytes that is full from `full_percent` on: what is above that
/// mark, within bounds.
pub fn reserve_bytes(total: u64, full_percent: u64) -> u64 {
    (total / 100).saturating_mul(100_u64.saturating_sub(full_percent)).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX)
}

/// The disk below a directory that fills up, looked at now and then.
pub(super) struct Disk<'a> {
    root: &'a Path,
    reserve: u64,
    next_look: u64,
}

impl<'a> Disk<'a> {
    pub fn of(root: &'a Path, limits: &Limits) -> Self {
        Self { root, reserve: limits.reserve_bytes, next_look: 0 }
    }

    /// The error of a disk that has less than its reserve, after `bytes` of the tar stream.
    pub fn passed_by(&mut self, bytes: u64) -> Option<UnpackError> {
        if self.reserve == 0 || bytes < self.next_look {
            return None;
        }
        self.next_look = bytes + LOOK_BYTES;
        // A disk that does not tell says itself when it is full.
        let disk = rustix::fs::statvfs(self.root).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        (free < self.reserve).then_some(UnpackError::DiskFull { free, reserve: self.reserve })
    }
}

#[cfg(test)]
mod tests {
    use super::{RESERVE_BYTES_MAX, RESERVE_BYTES_MIN, reserve_bytes};

    #[test]
    fn what_is_above_the_mark_stays_free_within_bounds() {
        const GIB: u64 = 1 << 30;
        assert_eq!(reserve_bytes(4 * GIB, 85), 4 * GIB / 100 * 15);
        assert_eq!(reserve_bytes(300 << 20, 85), RESERVE_BYTES_MIN);
        assert_eq!(reserve_bytes(500 * GIB, 85), RESERVE_BYTES_MAX);
        assert_eq!(reserve_bytes(500 * GIB, 100), RESERVE_BYTES_MIN);
        assert_eq!(reserve_bytes(u64::MAX, 1), RESERVE_BYTES_MAX);
    }
}
