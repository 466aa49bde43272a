//! Unpacked layers, each once, whoever's image it is part of.

use super::PullError;
use crate::launch::visible_layers;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use oci::client::{BlobStream, Client};
use oci::unpack::{Expected, Limits, UnpackError, hides_lower_layers, remove_leftovers, unpack};
use oci::{Descriptor, Digest, ImageManifest};
use parking_lot::Mutex;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};

/// Layers that are fetched and unpacked side by side, of all images together: Docker's number.
const FETCHES_MAX: usize = 3;
/// Pieces of a layer between network and unpacking.
const PIECES_MAX: usize = 8;
/// What unpacking needs (see [`oci::unpack`]); its thread gives up the rest of root's capabilities.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_ADMIN);

pub(super) struct Layers {
    dir: PathBuf,
    fetches: Semaphore,
    /// One fetch of a layer at a time.
    locks: Mutex<BTreeMap<Digest, Weak<AsyncMutex<()>>>>,
}

impl Layers {
    /// Removes what an earlier process was unpacking when it was killed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        remove_leftovers(dir)?;
        Ok(Self { dir: dir.to_owned(), fetches: Semaphore::new(FETCHES_MAX), locks: Mutex::default() })
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

    /// Fetches and unpacks the layers that are not there; `diff_ids` are the manifest's layers', in order.
    pub async fn fetch(
        &self,
        client: &Client,
        repository: &str,
        manifest: &ImageManifest,
        diff_ids: &[Digest],
    ) -> Result<(), PullError> {
        let layers = manifest.layers.iter().zip(diff_ids);
        let fetches: Vec<_> =
            layers.map(|(layer, diff_id)| self.fetch_one(client, repository, layer, diff_id)).collect();
        try_join_all(fetches).await.map(drop)
    }

    async fn fetch_one(
        &self,
        client: &Client,
        repository: &str,
        layer: &Descriptor,
        diff_id: &Digest,
    ) -> Result<(), PullError> {
        let lock = self.lock(diff_id);
        let _alone = lock.lock().await;
        let dest = self.path(diff_id);
        if dest.is_dir() {
            return Ok(());
        }
        // Never closed, so never refused.
        let _turn = self.fetches.acquire().await;
        let blob = client.blob(repository, &layer.digest, layer.size).await?;
        let expected = Expected { digest: layer.digest.clone(), size: layer.size, diff_id: diff_id.clone() };
        let (pieces, reader) = channel();
        let unpacked = unpack_in_thread(reader, layer.media_type.clone(), dest, expected)?;
        match feed(blob, pieces).await {
            Ok(()) => unpacked.await.unwrap_or_else(|_| Err(gone()))?,
            Err(error) => {
                // The reader's end is an error of its own; ours says why.
                _ = unpacked.await;
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn lock(&self, diff_id: &Digest) -> Arc<AsyncMutex<()>> {
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

/// Sends the blob's pieces on. A reader that stopped reading has its own error to tell.
async fn feed(mut blob: BlobStream, pieces: mpsc::Sender<Piece>) -> Result<(), oci::client::ClientError> {
    while let Some(piece) = blob.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                _ = pieces.send(Piece::Broken).await;
                return Err(error);
            }
        };
        if pieces.send(Piece::Bytes(piece)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Unpacks in a thread that has only the capabilities that it needs.
fn unpack_in_thread(
    reader: Pieces,
    media_type: String,
    dest: PathBuf,
    expected: Expected,
) -> io::Result<oneshot::Receiver<Result<(), UnpackError>>> {
    let (done, unpacked) = oneshot::channel();
    let work = move || {
        let sets =
            CapabilitySets { effective: CAPABILITIES, permitted: CAPABILITIES, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).map_err(|errno| UnpackError::Read(errno.into()))?;
        unpack(reader, &media_type, &dest, &expected, &Limits::of_layer(expected.size, u64::MAX)).map(drop)
    };
    // A receiver that is gone has given up the pull.
    std::thread::Builder::new().name("unpack".to_owned()).spawn(move || _ = done.send(work()))?;
    Ok(unpacked)
}

fn gone() -> UnpackError {
    UnpackError::Read(io::Error::other("the thread that unpacked it ended early"))
}

enum Piece {
    Bytes(Bytes),
    /// The registry broke off.
    Broken,
}

fn channel() -> (mpsc::Sender<Piece>, Pieces) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (sender, Pieces { receiver, current: Bytes::new() })
}

/// The pieces as a blocking reader.
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Piece::Bytes(piece)) => self.current = piece,
                Some(Piece::Broken) => return Err(io::Error::other("the registry broke off")),
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
