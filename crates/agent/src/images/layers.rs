//! Unpacked layers, each once, whoever's image it is part of.

use super::settle::{settle, unmark};
use super::{PullError, Unpacker};
use crate::launch::visible_layers;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;
use oci::unpack::{hides_lower_layers, remove, remove_leftovers};
use oci::{Descriptor, Digest, ImageManifest};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

/// Layers that are fetched and unpacked side by side, of all images together: Docker's number.
const FETCHES_MAX: usize = 3;

/// How a layer is called while it is removed: never what a layer is called.
const REMOVED_PREFIX: &str = ".removed-";

pub(super) struct Layers {
    dir: PathBuf,
    unpacker: Unpacker,
    fetches: Semaphore,
    /// One fetch of a layer at a time, and one pull of an image.
    locks: Mutex<BTreeMap<Digest, Weak<AsyncMutex<()>>>>,
}

impl Layers {
    /// Removes what an earlier process was unpacking when it was killed, or the power went.
    pub fn open(dir: &Path, unpacker: Unpacker) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        remove_leftovers(dir)?;
        remove_removed(dir)?;
        settle(dir)?;
        Ok(Self { dir: dir.to_owned(), unpacker, fetches: Semaphore::new(FETCHES_MAX), locks: Mutex::default() })
    }

    /// The layers' directories, without those that others hide; none if one is not there. Blocks.
    pub fn paths(&self, diff_ids: &[Digest]) -> io::Result<Option<Vec<PathBuf>>> {
        let mut layers = Vec::new();
        for diff_id in diff_ids {
            let path = self.path(diff_id);
            if !path.is_dir() {
                return Ok(None);
            }
            let hides = hides_lower_layers(&path).map_err(io::Error::other)?;
            layers.push((path, hides));
        }
        Ok(Some(visible_layers(layers)))
    }

    /// The compressed size of the layers that are not there.
    pub fn missing_bytes(&self, manifest: &ImageManifest, diff_ids: &[Digest]) -> u64 {
        let layers = manifest.layers.iter().zip(diff_ids);
        layers.filter(|(_, diff_id)| !self.path(diff_id).is_dir()).map(|(layer, _)| layer.size).sum()
    }

    /// Every layer that is here, with the time since when. Blocks.
    pub fn all(&self) -> io::Result<Vec<(Digest, SystemTime)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(diff_id) = format!("sha256:{}", entry.file_name().to_string_lossy()).parse() else { continue };
            // A layer's root has the times of its image, but it was given its name here.
            let named = u64::try_from(entry.metadata()?.ctime()).unwrap_or_default();
            all.push((diff_id, UNIX_EPOCH + Duration::from_secs(named)));
        }
        Ok(all)
    }

    /// Takes a layer's name away, so that it is no longer there; [`Layers::remove_retired`] removes it. Blocks, shortly.
    pub fn retire(&self, diff_id: &Digest) -> io::Result<()> {
        let path = self.path(diff_id);
        fs::rename(&path, self.dir.join(format!("{REMOVED_PREFIX}{}", diff_id.hex())))?;
        unmark(&path)
    }

    /// Removes what was retired. Blocks.
    pub fn remove_retired(&self) -> io::Result<()> {
        remove_removed(&self.dir)
    }

    /// Fetches, by `open`, and unpacks the layers that are not there; `diff_ids` are the manifest's layers', in order.
    pub async fn fetch<'a>(
        &self,
        manifest: &'a ImageManifest,
        diff_ids: &[Digest],
        open: impl Fn(&'a Descriptor) -> BoxStream<'a, Result<Bytes, PullError>>,
    ) -> Result<(), PullError> {
        let layers = manifest.layers.iter().zip(diff_ids);
        let fetches: Vec<_> = layers.map(|(layer, diff_id)| self.fetch_one(layer, diff_id, open(layer))).collect();
        let fetched = try_join_all(fetches).await.map(drop);
        self.settle_aside()?;
        fetched
    }

    /// Lets new layers reach the disk while they are in use already.
    fn settle_aside(&self) -> io::Result<()> {
        let dir = self.dir.clone();
        let work = move || {
            settle(&dir).unwrap_or_else(|error| tracing::warn!(%error, "unpacked layers could not be synced"));
        };
        std::thread::Builder::new().name("settle".to_owned()).spawn(work).map(drop)
    }

    async fn fetch_one(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        pieces: BoxStream<'_, Result<Bytes, PullError>>,
    ) -> Result<(), PullError> {
        let lock = self.lock(diff_id);
        let _alone = lock.lock().await;
        let dest = self.path(diff_id);
        if dest.is_dir() {
            return Ok(());
        }
        // Never closed, so never refused.
        let _turn = self.fetches.acquire().await;
        self.unpacker.unpack(pieces, layer, diff_id, &dest).await.map(drop)
    }

    /// For work on a layer, or on an image, that only one is to do.
    pub fn lock(&self, diff_id: &Digest) -> Arc<AsyncMutex<()>> {
        let mut locks = self.locks.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(diff_id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(AsyncMutex::new(()));
        locks.insert(diff_id.clone(), Arc::downgrade(&lock));
        lock
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(diff_id.hex())
    }
}

fn remove_removed(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(REMOVED_PREFIX) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}
