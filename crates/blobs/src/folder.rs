//! The folder: where blobs are, and the way in and out for whole ones.

use crate::{BlobError, BlobReader, Staged, staged::Slot};
use bytes::Bytes;
use futures_util::stream;
use oci::{Algorithm, Digest};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest blob, in bytes: ECR's layer quota of 52,000 MiB.
pub const BLOB_BYTES_MAX: u64 = 52_000 * 1024 * 1024;
/// Only the server reads or lists blobs.
const DIR_MODE: u32 = 0o700;

/// A folder of blobs. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(crate) folder: Arc<Folder>,
}

#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Uploads seen since start, by id, with their running hashes.
    pub(crate) uploads: Mutex<BTreeMap<String, Arc<Slot>>>,
}

impl Blobs {
    /// Opens `root`, and makes it and what belongs in it where missing. Blocks;
    /// meant for the start of a server.
    pub fn open(root: PathBuf) -> Result<Self, BlobError> {
        let blobs = root.join(Algorithm::Sha256.name());
        // All 256 shards at once: a blob's rename then never waits for a new
        // directory's own entry to reach the disk.
        let shards = (0..=u8::MAX).map(|shard| blobs.join(format!("{shard:02x}")));
        for dir in [root.clone(), blobs.clone(), root.join("staging")].into_iter().chain(shards) {
            make_dir(&dir).map_err(BlobError::at(&dir))?;
        }
        for dir in [&blobs, &root] {
            sync_dir(dir).map_err(BlobError::at(dir))?;
        }
        Ok(Self { folder: Arc::new(Folder { root, uploads: Mutex::default() }) })
    }

    /// Stores small content, verified against `digest`. Durable when it returns.
    pub async fn put_bytes(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        let mut staged = self.stage(&uuid::Uuid::new_v4().to_string()).await?;
        let content = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(bytes))]);
        match staged.append(content).await {
            Ok(_) => staged.finish(digest).await.map(drop),
            Err(error) => {
                staged.abort().await?;
                Err(error)
            }
        }
    }

    /// A blob to read from its beginning; `None` where there is none.
    pub async fn get(&self, digest: &Digest) -> Result<Option<BlobReader>, BlobError> {
        let path = self.folder.blob(digest);
        BlobReader::open(&path).await.map_err(BlobError::at(&path))
    }

    /// The bytes `range` of a blob, which must be within it and not empty.
    pub async fn get_range(&self, digest: &Digest, range: Range<u64>) -> Result<Option<BlobReader>, BlobError> {
        match self.get(digest).await? {
            Some(whole) => whole.slice(range).await.map(Some),
            None => Ok(None),
        }
    }

    /// A whole small blob, of `limit` bytes at most.
    pub async fn get_bytes(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, BlobError> {
        match self.get(digest).await? {
            Some(blob) if blob.size > limit => Err(BlobError::TooLarge { limit }),
            Some(blob) => blob.read().await.map(Some).map_err(BlobError::at(&self.folder.blob(digest))),
            None => Ok(None),
        }
    }

    /// A blob's size in bytes; `None` where there is none.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let path = self.folder.blob(digest);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError::at(&path)(error)),
        }
    }

    /// Removes a blob; says whether there was one. Readers that have it open finish.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.folder.blob(digest);
        match tokio::fs::remove_file(&path).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BlobError::at(&path)(error)),
        }
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
        let dir = self.folder.root.join("staging");
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
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join(digest.algorithm().name()).join(&hex[..2]).join(hex)
    }

    pub(crate) fn upload(&self, id: &str) -> PathBuf {
        self.root.join("staging").join(id)
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
