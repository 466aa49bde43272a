//! What a collector of garbage asks for: which files there are, and their removal when nobody needs them.

use crate::folder::blocking;
use crate::{BlobError, Blobs, Condemned};
use base::Timestamp;
use oci::Digest;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

impl Blobs {
    /// Writes down that a client was told of this blob and may count on it until then. False where it
    /// is about to go: then the client must be told that it is not here.
    pub fn promise(&self, digest: &Digest, until: Timestamp) -> bool {
        self.folder.marks.promise(digest, until)
    }

    /// Takes the right to remove the last rows that name a blob, where nobody is about to need it.
    pub fn condemn(&self, digest: &Digest, now: Timestamp) -> Option<Condemned> {
        self.folder.marks.condemn(digest, now)
    }

    /// Drops promises of the past.
    pub fn forget_promises(&self, now: Timestamp) {
        self.folder.marks.forget_past(now);
    }

    /// The digests of all blobs, damaged ones too, in order.
    pub async fn digests(&self) -> Result<BTreeSet<Digest>, BlobError> {
        let folder = self.folder.clone();
        let list = move || {
            let mut digests = BTreeSet::new();
            collect(&folder.quarantine(), &mut digests)?;
            for shard in fs::read_dir(folder.blobs())? {
                collect(&shard?.path(), &mut digests)?;
            }
            Ok(digests)
        };
        blocking(list).await.map_err(BlobError::at(&self.folder.blobs()))
    }

    /// Removes a blob unless it is pinned, promised, or `wanted` by the time that nothing can come in
    /// between. Answers the bytes that became free; `None` where it stays. Readers that have it open finish.
    pub async fn remove(
        &self,
        digest: &Digest,
        now: Timestamp,
        wanted: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Option<u64>, BlobError> {
        let (folder, gone) = (self.folder.clone(), digest.clone());
        let remove = move || {
            let mut files = Vec::new();
            {
                let _gate = folder.gate.lock();
                if folder.marks.holds(&gone, now) || wanted() {
                    return Ok(None);
                }
                folder.forget(&gone);
                for path in [folder.blob(&gone), folder.aside(&gone)] {
                    files.extend(unlink(&path)?);
                }
            }
            // A large file's bytes are freed when its handle closes: the gate need not wait for that.
            files.iter().try_fold(0, |sum, file| Ok(sum + file.metadata()?.len())).map(Some)
        };
        blocking(remove).await.map_err(BlobError::at(&self.folder.blob(digest)))
    }
}

/// Adds the digests that the files of a folder have as their names.
fn collect(dir: &Path, digests: &mut BTreeSet<Digest>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        // What has another name is nothing of ours.
        digests.extend(format!("sha256:{}", entry?.file_name().to_string_lossy()).parse::<Digest>());
    }
    Ok(())
}

/// Takes a file's name away and answers the file.
fn unlink(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => fs::remove_file(path).map(|()| Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
