//! What a layer may cost.

use super::UnpackError;
use serde::{Deserialize, Serialize};

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
/// Bytes that unpacking leaves free on the disk, for what the node itself has to write.
const DISK_RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// Bounds on what a layer may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub entries: u64,
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
    /// Bytes of it that the disk has room for.
    pub disk_bytes: u64,
}

impl Limits {
    pub(super) const NONE: Self = Self { entries: u64::MAX, bytes: u64::MAX, disk_bytes: u64::MAX };

    /// For a layer that has `size` bytes as pulled, on a disk that has `free` bytes.
    pub fn of_layer(size: u64, free: u64) -> Self {
        let expanded = size.saturating_mul(EXPANSION_MAX).saturating_add(EXPANSION_FREE_BYTES);
        Self {
            entries: ENTRIES_MAX,
            bytes: expanded.min(UNCOMPRESSED_BYTES_MAX),
            disk_bytes: free.saturating_sub(DISK_RESERVE_BYTES),
        }
    }

    /// The error of a tar stream that has more than `bytes`, if that is too many.
    pub(super) fn passed_by(&self, bytes: u64) -> Option<UnpackError> {
        if bytes > self.bytes {
            return Some(UnpackError::TooLarge { limit: self.bytes });
        }
        (bytes > self.disk_bytes).then_some(UnpackError::DiskFull { free: self.disk_bytes })
    }
}
