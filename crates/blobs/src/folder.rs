//! The folder: where blobs are, and the way in and out for whole ones.

use crate::cache::Cache;
use crate::marks::Marks;
use crate::room::{Disk, Room, disk_of};
use crate::sound::Sound;
use crate::{BlobError, BlobReader, Kept, Staged, read, staged::Slot};
use bytes::Bytes;
use oci::{Algorithm, Digest};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest blob, in bytes: ECR's layer quota of 52,000 MiB.
pub const BLOB_BYTES_MAX: u64 = 52_000 * 1024 * 1024;
/// Only the server reads or lists blobs.
const DIR_MODE: u32 = 0o700;
const STAGING: &str = "staging";
const QUARANTINE: &str = "quarantine";

/// A folder of blobs. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(crate) folder: Arc<Folder>,
}

#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    pub(crate) room: Room,
    /// Uploads seen since start, by id, with their running hashes.
    pub(crate) uploads: Mutex<BTreeMap<String, Arc<Slot>>>,
    pub(crate) marks: Arc<Marks>,
    /// Held while a file comes to its digest's place or leaves it. File threads alone wait for it.
    pub(crate) gate: Mutex<()>,
    pub(crate) cache: Mutex<Cache>,
    pub(crate) sound: Mutex<Sound>,
    /// One blob at a time is read only to see that it is sound: many ranges of one ask for it at once.
    checking: tokio::sync::Mutex<()>,
}

impl Blobs {
    /// Opens `root`, and makes it and what belongs in it where missing. Blocks;
    /// meant for the start of a server.
    pub fn open(root: PathBuf) -> Result<Self, BlobError> {
        let disk = disk_of(root.clone());
        Self::open_on(root, disk)
    }

    /// As [`Blobs::open`]; `disk` tells how much is free.
    pub fn open_on(root: PathBuf, disk: Disk) -> Result<Self, BlobError> {
        let blobs = root.join(Algorithm::Sha256.name());
        // All 256 shards at once: a blob's rename then never waits for a new
        // directory's own entry to reach the disk.
        let shards = (0..=u8::MAX).map(|shard| blobs.join(format!("{shard:02x}")));
        let others = [root.clone(), blobs.clone(), root.join(STAGING), root.join(QUARANTINE)];
        for dir in others.into_iter().chain(shards) {
            make_dir(&dir).map_err(BlobError::at(&dir))?;
        }
        for dir in [&blobs, &root] {
            sync_dir(dir).map_err(BlobError::at(dir))?;
        }
        Ok(Self { folder: Arc::new(Folder::at(root, disk)) })
    }

    /// Stores small content, verified against `digest`. Durable when it returns, and kept at least as
    /// long as what it returns.
    pub async fn put_bytes(&self, digest: &Digest, bytes: &[u8]) -> Result<Kept, BlobError> {
        Staged::put(&self.folder, digest, Bytes::copy_from_slice(bytes)).await
    }

    /// A blob to read from its beginning; `None` where there is none of `size` bytes. Its stream ends
    /// in an error where the content turns out not to be what the digest says.
    pub async fn get(&self, digest: &Digest, size: u64) -> Result<Option<BlobReader>, BlobError> {
        read::open(&self.folder, digest, Some(size)).await
    }

    /// The bytes `range` of a blob, which must be within it and not empty. The whole is read first,
    /// unless that was done lately: a damaged blob gives no part either.
    pub async fn get_range(
        &self,
        digest: &Digest,
        size: u64,
        range: Range<u64>,
    ) -> Result<Option<BlobReader>, BlobError> {
        let Some(whole) = read::open(&self.folder, digest, Some(size)).await? else { return Ok(None) };
        whole.is_within(&range)?;
        if !whole.is_known_sound() && !self.is_sound(digest).await? {
            return Ok(None);
        }
        blocking(move || whole.slice(&range)).await.map(Some).map_err(read::at(&self.folder, digest))
    }

    async fn is_sound(&self, digest: &Digest) -> Result<bool, BlobError> {
        let _one_at_a_time = self.folder.checking.lock().await;
        let Some(whole) = read::open(&self.folder, digest, None).await? else { return Ok(false) };
        match blocking(move || whole.check()).await {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
            checked => checked.map(|()| true).map_err(read::at(&self.folder, digest)),
        }
    }

    /// A whole small blob, of `limit` bytes at most.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] where its content is not what the digest says.
    pub async fn get_bytes(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, BlobError> {
        if let Some(bytes) = self.folder.cache.lock().get(digest) {
            return if bytes.len() as u64 > limit { Err(BlobError::TooLarge { limit }) } else { Ok(Some(bytes)) };
        }
        let Some(blob) = read::open(&self.folder, digest, None).await? else { return Ok(None) };
        if blob.size > limit {
            return Err(BlobError::TooLarge { limit });
        }
        let bytes = blocking(move || blob.read()).await.map_err(read::at(&self.folder, digest))?;
        let bytes = Bytes::from(bytes);
        self.folder.cache.lock().put(digest, bytes.clone());
        Ok(Some(bytes))
    }

    /// The first of these blobs, each with its size in bytes, that is not here. One of another size is
    /// damaged, and set aside.
    pub async fn missing(&self, blobs: Vec<(Digest, u64)>) -> Result<Option<Digest>, BlobError> {
        let folder = self.folder.clone();
        let look = move || {
            for (digest, size) in blobs {
                if folder.size(&digest)? != Some(size) && BlobReader::open_sized(&folder, &digest, size)?.is_none() {
                    return Ok(Some(digest));
                }
            }
            Ok(None)
        };
        blocking(look).await.map_err(BlobError::at(&self.folder.root))
    }

    /// True where there is a blob of this digest and size.
    pub async fn has(&self, digest: &Digest, size: u64) -> Result<bool, BlobError> {
        if self.folder.cache.lock().get(digest).is_some() {
            return Ok(true);
        }
        Ok(self.missing(vec![(digest.clone(), size)]).await?.is_none())
    }

    /// Whether more content can be taken at all: asked before an upload is begun.
    ///
    /// # Errors
    /// [`BlobError::NoRoom`]
    pub async fn check_room(&self) -> Result<(), BlobError> {
        let folder = self.folder.clone();
        blocking(move || folder.room.claim(0).map(drop)).await.map_err(BlobError::at(&self.folder.root))
    }

    /// Whether there is room enough to let idle uploads wait. Blocks no longer than statvfs(3) does.
    pub fn has_ample_room(&self) -> bool {
        self.folder.room.is_ample()
    }

    /// Starts an upload. `id` is the caller's: 1 to 64 letters, digits and `-`.
    pub async fn stage(&self, id: &str) -> Result<Staged, BlobError> {
        Staged::create(&self.folder, id).await
    }

    /// Continues an upload, also one from before a restart.
    pub async fn resume(&self, id: &str) -> Result<Staged, BlobError> {
        Staged::resume(&self.folder, id).await
    }

    /// The ids of all uploads that neither finished nor were aborted, in order.
    pub async fn staging_ids(&self) -> Result<Vec<String>, BlobError> {
        let dir = self.folder.root.join(STAGING);
        let failed = BlobError::at(&dir);
        let list = {
            let dir = dir.clone();
            move || {
                let names = fs::read_dir(&dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
                names.collect::<io::Result<Vec<_>>>()
            }
        };
        let mut ids = blocking(list).await.map_err(failed)?;
        ids.sort_unstable();
        Ok(ids)
    }
}

impl Folder {
    fn at(root: PathBuf, disk: Disk) -> Self {
        Self {
            root,
            room: Room::new(disk),
            uploads: Mutex::default(),
            marks: Arc::default(),
            gate: Mutex::default(),
            cache: Mutex::default(),
            sound: Mutex::default(),
            checking: tokio::sync::Mutex::default(),
        }
    }

    /// A blob's size in bytes; `None` where there is none.
    fn size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match fs::metadata(self.blob(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was known of a blob's file.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.sound.lock().forget(digest);
        self.cache.lock().remove(digest);
    }

    /// Moves a damaged blob away from its digest, unless another file than `file` is there by now.
    pub(crate) fn set_aside(&self, digest: &Digest, file: &File) -> io::Result<()> {
        let _gate = self.gate.lock();
        let (damaged, path) = (file.metadata()?, self.blob(digest));
        match fs::metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (damaged.dev(), damaged.ino()) => {
                self.forget(digest);
                fs::rename(&path, self.aside(digest))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs().join(&hex[..2]).join(hex)
    }

    /// Where the shards are.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join(Algorithm::Sha256.name())
    }

    /// Where a blob goes that is damaged.
    pub(crate) fn aside(&self, digest: &Digest) -> PathBuf {
        self.quarantine().join(digest.hex())
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join(QUARANTINE)
    }

    pub(crate) fn upload(&self, id: &str) -> PathBuf {
        self.root.join(STAGING).join(id)
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIR_MODE).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Puts a directory's entries on the disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Runs blocking file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
