//! An upload: bytes arrive in one or more requests and are hashed as they are written.

use crate::BlobError;
use crate::folder::{BLOB_BYTES_MAX, Folder, blocking, sync_dir};
use crate::marks::Pin;
use crate::sound::Stamp;
use base::Timestamp;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use oci::{Algorithm, Digest, Hasher};
use parking_lot::Mutex;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;
use tokio::task::JoinHandle;

/// Only the server reads or writes uploads and blobs.
const FILE_MODE: u32 = 0o600;
/// Longest upload id, in bytes; a UUID has 36.
const ID_BYTES_MAX: usize = 64;
/// Bytes gathered before they go to a file thread, while the ones before are written: twice that is
/// the most of an upload that is in memory.
const BATCH_BYTES: usize = 1024 * 1024;

/// What is remembered of an upload between requests.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    leased: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Over the whole file so far; `None` means that it has to be read again:
    /// after a restart, or after a write that may have been partial.
    hasher: Option<Hasher>,
    /// Open while a request holds the lease.
    file: Option<File>,
}

/// The sole right to an upload. Blocking work holds it too, so that a request
/// that is dropped in the middle of a write frees the upload after that write.
#[derive(Debug)]
struct Lease {
    folder: Arc<Folder>,
    id: String,
    path: PathBuf,
    slot: Arc<Slot>,
}

/// An upload in the hands of one request. Dropping it keeps what was written,
/// for [`Blobs::resume`](crate::Blobs::resume).
#[derive(Debug)]
pub struct Staged {
    lease: Arc<Lease>,
    len: u64,
    changed_at: Timestamp,
}

/// A blob that is in its place, and stays there while this is held: until the row that names it commits.
#[derive(Debug)]
pub struct Kept {
    /// In bytes.
    pub size: u64,
    _pin: Pin,
}

impl Staged {
    pub(crate) async fn create(folder: &Arc<Folder>, id: &str) -> Result<Self, BlobError> {
        let lease = Lease::take(folder, id)?;
        let holder = lease.clone();
        let made = blocking(move || {
            let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(&holder.path)?;
            *holder.slot.state.lock() = State { hasher: Some(Hasher::new()), file: Some(file) };
            Ok(())
        });
        match made.await {
            Ok(()) => Ok(Self { lease, len: 0, changed_at: Timestamp::default() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BlobError::UploadExists(id.to_owned())),
            Err(error) => {
                lease.forget();
                Err(lease.failed(error))
            }
        }
    }

    pub(crate) async fn resume(folder: &Arc<Folder>, id: &str) -> Result<Self, BlobError> {
        let lease = Lease::take(folder, id)?;
        match tokio::fs::metadata(&lease.path).await {
            Ok(metadata) => {
                let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                let ms = modified.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
                Ok(Self { lease, len: metadata.len(), changed_at: Timestamp::from_millis(ms) })
            }
            Err(error) => {
                lease.forget();
                Err(lease.failed(error))
            }
        }
    }

    /// Writes small content to its digest's place.
    pub(crate) async fn put(folder: &Arc<Folder>, digest: &Digest, bytes: Bytes) -> Result<Kept, BlobError> {
        supported(digest)?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(BlobError::DigestMismatch { expected: digest.clone(), actual });
        }
        let (folder, digest) = (folder.clone(), digest.clone());
        let path = folder.upload(&uuid::Uuid::new_v4().to_string());
        let failed = BlobError::at(&path);
        let put = {
            let path = path.clone();
            move || {
                let _claim = folder.room.claim(bytes.len() as u64)?;
                let written = write_whole(&path, &bytes).and_then(|file| folder.place(&path, &file, &digest));
                if written.is_err() {
                    let _ = fs::remove_file(&path);
                }
                let kept = Kept { size: bytes.len() as u64, _pin: written? };
                folder.cache.lock().put(&digest, bytes);
                Ok(kept)
            }
        };
        blocking(put).await.map_err(failed)
    }

    /// Bytes received so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When bytes last came, as far as it was resumed.
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// Writes and hashes what the stream gives; answers the new length. Where it
    /// breaks off, what was written stays and [`len`](Self::len) counts it; where the disk has no
    /// room for all, nothing of it stays.
    pub async fn append<S, E>(&mut self, content: S) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let before = self.len;
        let appended = self.append_all(content).await;
        if matches!(appended, Err(BlobError::NoRoom(_))) {
            self.cut(before).await?;
        }
        appended
    }

    /// Takes back what was written after the first `len` bytes.
    async fn cut(&mut self, len: u64) -> Result<(), BlobError> {
        let lease = self.lease.clone();
        let cut = blocking(move || lease.slot.state.lock().cut(&lease.path, len));
        cut.await.map_err(|error| self.lease.failed(error))?;
        self.len = len;
        Ok(())
    }

    async fn append_all<S, E>(&mut self, mut content: S) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut batch, mut batch_bytes, mut writing) = (Vec::new(), 0, None);
        let mut broken = None;
        while let Some(piece) = content.next().await {
            match piece {
                Ok(piece) => {
                    batch_bytes += piece.len();
                    batch.push(piece);
                }
                Err(error) => {
                    broken = Some(BlobError::Source(error.into()));
                    break;
                }
            }
            if batch_bytes >= BATCH_BYTES {
                // While these are written, the next ones come.
                self.written(writing.take()).await?;
                writing = Some(self.write(std::mem::take(&mut batch), batch_bytes)?);
                batch_bytes = 0;
            }
        }
        self.written(writing).await?;
        if !batch.is_empty() {
            let last = self.write(batch, batch_bytes)?;
            self.written(Some(last)).await?;
        }
        broken.map_or(Ok(self.len), Err)
    }

    fn write(&self, batch: Vec<Bytes>, batch_bytes: usize) -> Result<JoinHandle<io::Result<u64>>, BlobError> {
        if self.len + batch_bytes as u64 > BLOB_BYTES_MAX {
            return Err(BlobError::TooLarge { limit: BLOB_BYTES_MAX });
        }
        let lease = self.lease.clone();
        Ok(tokio::task::spawn_blocking(move || {
            let _claim = lease.folder.room.claim(batch_bytes as u64)?;
            lease.slot.state.lock().write(&lease.path, &batch)
        }))
    }

    async fn written(&mut self, writing: Option<JoinHandle<io::Result<u64>>>) -> Result<(), BlobError> {
        let Some(writing) = writing else { return Ok(()) };
        let written = writing.await.map_err(io::Error::other).and_then(|written| written);
        self.len = written.map_err(|error| self.lease.failed(error))?;
        Ok(())
    }

    /// Makes the upload the blob `expected`, which is durable when this returns, and
    /// kept at least as long as what it returns. Content of another digest is removed and refused.
    /// After any other error the upload can be resumed.
    pub async fn finish(self, expected: &Digest) -> Result<Kept, BlobError> {
        supported(expected)?;
        let (lease, wanted) = (self.lease.clone(), expected.clone());
        let ended = blocking(move || lease.finish(&wanted)).await.map_err(|error| self.lease.failed(error))?;
        match ended {
            Ended::Blob(kept) => Ok(kept),
            Ended::Mismatch(actual) => Err(BlobError::DigestMismatch { expected: expected.clone(), actual }),
        }
    }

    /// Removes the upload.
    pub async fn abort(self) -> Result<(), BlobError> {
        let lease = self.lease.clone();
        blocking(move || lease.remove()).await.map_err(|error| self.lease.failed(error))
    }
}

fn supported(digest: &Digest) -> Result<(), BlobError> {
    match digest.algorithm() {
        Algorithm::Sha256 => Ok(()),
        Algorithm::Sha512 => Err(BlobError::UnsupportedDigest(digest.clone())),
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    Ok(file)
}

impl Folder {
    /// Moves a synced file, whose content was hashed, to its digest's place, pinned, and syncs the name. Replaces the same content
    /// where another upload was first, or content that was damaged.
    fn place(&self, path: &Path, file: &File, digest: &Digest) -> io::Result<Pin> {
        let blob = self.blob(digest);
        let pin = {
            let _gate = self.gate.lock();
            fs::rename(path, &blob)?;
            self.forget(digest);
            self.sound.lock().found(digest, Stamp::of(&file.metadata()?));
            self.marks.pin(digest)
        };
        sync_dir(blob.parent().unwrap_or(&blob))?;
        match fs::remove_file(self.aside(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(pin),
        }
    }
}

enum Ended {
    Blob(Kept),
    /// With the digest that the content has.
    Mismatch(Digest),
}

impl Lease {
    fn take(folder: &Arc<Folder>, id: &str) -> Result<Arc<Self>, BlobError> {
        let safe = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if id.is_empty() || id.len() > ID_BYTES_MAX || !safe {
            return Err(BlobError::UploadId(id.to_owned()));
        }
        let slot = folder.uploads.lock().entry(id.to_owned()).or_default().clone();
        if slot.leased.swap(true, Ordering::AcqRel) {
            return Err(BlobError::UploadBusy(id.to_owned()));
        }
        Ok(Arc::new(Self { folder: folder.clone(), id: id.to_owned(), path: folder.upload(id), slot }))
    }

    fn finish(&self, expected: &Digest) -> io::Result<Ended> {
        let mut state = self.slot.state.lock();
        let (file, hasher) = state.open(&self.path)?;
        let (size, actual) = (hasher.len(), hasher.clone().finish());
        if actual != *expected {
            drop(state);
            self.remove()?;
            return Ok(Ended::Mismatch(actual));
        }
        file.sync_data()?;
        let pin = self.folder.place(&self.path, file, expected)?;
        self.forget();
        Ok(Ended::Blob(Kept { size, _pin: pin }))
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.forget();
        Ok(())
    }

    /// Takes the upload out of memory: its file is gone.
    fn forget(&self) {
        self.folder.uploads.lock().remove(&self.id);
    }

    fn failed(&self, error: io::Error) -> BlobError {
        match error.kind() {
            io::ErrorKind::NotFound => BlobError::UploadNotFound(self.id.clone()),
            _ => BlobError::at(&self.path)(error),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Uploads wait for days, open files are few.
        self.slot.state.lock().file = None;
        self.slot.leased.store(false, Ordering::Release);
    }
}

impl State {
    /// Appends and answers the file's length.
    fn write(&mut self, path: &Path, batch: &[Bytes]) -> io::Result<u64> {
        let (file, hasher) = self.open(path)?;
        let written = batch.iter().try_for_each(|piece| {
            hasher.update(piece);
            file.write_all(piece)
        });
        let len = hasher.len();
        if written.is_err() {
            *self = Self::default();
        }
        written.map(|()| len)
    }

    fn cut(&mut self, path: &Path, len: u64) -> io::Result<()> {
        *self = Self::default();
        OpenOptions::new().write(true).open(path)?.set_len(len)
    }

    /// The file, ready to append to, and the hash of all that it holds.
    fn open(&mut self, path: &Path) -> io::Result<(&mut File, &mut Hasher)> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(path)?,
        };
        let hasher = match self.hasher.take().filter(|hasher| file.metadata().is_ok_and(|m| m.len() == hasher.len())) {
            Some(hasher) => hasher,
            None => hash(path)?,
        };
        Ok((self.file.insert(file), self.hasher.insert(hasher)))
    }
}

fn hash(path: &Path) -> io::Result<Hasher> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BATCH_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher),
            n => hasher.update(&buffer[..n]),
        }
    }
}
