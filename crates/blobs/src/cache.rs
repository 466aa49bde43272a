//! Small blobs in memory: manifests, which are asked for again and again. What a digest names never
//! changes, so an entry is right for as long as it is here.

use bytes::Bytes;
use oci::Digest;
use std::collections::BTreeMap;

/// Bytes of a blob that is kept. Ours: manifests have a few KiB, layers many MiB.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all of them together. Ours: some thousand manifests.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Forgets what was asked for longest ago once it is full.
#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<Digest, (Bytes, u64)>,
    /// Digests by when they were last asked for.
    order: BTreeMap<u64, Digest>,
    bytes: usize,
    asked: u64,
}

impl Cache {
    pub fn get(&mut self, digest: &Digest) -> Option<Bytes> {
        let (bytes, last) = self.entries.get_mut(digest)?;
        self.asked += 1;
        self.order.remove(last);
        self.order.insert(self.asked, digest.clone());
        *last = self.asked;
        Some(bytes.clone())
    }

    /// Keeps content that was seen to have this digest, if it is small.
    pub fn put(&mut self, digest: &Digest, bytes: Bytes) {
        if bytes.len() > ENTRY_BYTES_MAX {
            return;
        }
        self.remove(digest);
        self.asked += 1;
        self.bytes += bytes.len();
        self.order.insert(self.asked, digest.clone());
        self.entries.insert(digest.clone(), (bytes, self.asked));
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    pub fn remove(&mut self, digest: &Digest) {
        if let Some((bytes, last)) = self.entries.remove(digest) {
            self.order.remove(&last);
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Cache, ENTRY_BYTES_MAX};
    use bytes::Bytes;
    use oci::Digest;

    fn digest(n: usize) -> Digest {
        Digest::of(&n.to_be_bytes())
    }

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let mut cache = Cache::default();
        let fits = BYTES_MAX / ENTRY_BYTES_MAX;
        for n in 0..fits {
            cache.put(&digest(n), Bytes::from(vec![0; ENTRY_BYTES_MAX]));
        }
        assert!(cache.get(&digest(0)).is_some());
        cache.put(&digest(fits), Bytes::from(vec![0; ENTRY_BYTES_MAX]));
        assert!(cache.get(&digest(0)).is_some() && cache.get(&digest(fits)).is_some());
        assert!(cache.get(&digest(1)).is_none());
        assert_eq!((cache.bytes, cache.entries.len(), cache.order.len()), (BYTES_MAX, fits, fits));
    }

    #[test]
    fn large_content_is_not_kept() {
        let mut cache = Cache::default();
        cache.put(&digest(1), Bytes::from(vec![0; ENTRY_BYTES_MAX + 1]));
        assert!(cache.get(&digest(1)).is_none());
        cache.put(&digest(1), Bytes::from_static(b"small"));
        cache.remove(&digest(1));
        assert_eq!((cache.bytes, cache.get(&digest(1))), (0, None));
    }
}
