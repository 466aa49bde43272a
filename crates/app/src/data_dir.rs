//! The data folder: who owns it, what is where, and the master key beside it.

use anyhow::{Context, Result, bail};
use base::{MASTER_KEY_LEN, MasterKey, OsSecrets, Secrets};
use cli::Paths;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The folder while this process holds it: no second server opens it.
pub struct DataDir {
    pub paths: Paths,
    /// It was not there before.
    is_new: bool,
    lock: File,
}

impl DataDir {
    /// Makes the folder if need be, 0700, and takes its lock.
    pub fn claim(paths: Paths) -> Result<Self> {
        let is_new = !paths.data.exists();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&paths.data)
            .with_context(|| format!("cannot make the data folder {}", paths.data.display()))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(paths.lock())?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "another Longshore runs on {}: end it with `longshore down`, or give --data another folder",
                paths.data.display()
            );
        }
        Ok(Self { paths, is_new, lock })
    }

    /// Keeps the folder claimed as long as what is answered lives.
    pub fn hold(&self) -> Result<File> {
        Ok(self.lock.try_clone()?)
    }

    /// Gives the folder up before anything was put into it: one that was made is gone again.
    pub fn leave(self) {
        if self.is_new {
            // What cannot be removed does no harm.
            _ = fs::remove_file(self.paths.lock());
            _ = fs::remove_dir(&self.paths.data);
        }
    }

    /// The master key, kept outside the data; made if `is_new`, and then only.
    pub fn master_key(&self, is_new: bool) -> Result<MasterKey> {
        let path = self.paths.master_key();
        let bytes = match File::open(&path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                bytes
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_new => self.make_master_key(&path)?,
            Err(error) => bail!(
                "cannot read the master key {}: {error}. What is sealed in the data cannot be opened without it: put the \
                 key file back, or copy that of the server that leads, which lies beside its data folder",
                path.display(),
            ),
        };
        let key: [u8; MASTER_KEY_LEN] = bytes
            .try_into()
            .ok()
            .with_context(|| format!("{} is not a master key of {MASTER_KEY_LEN} bytes", path.display()))?;
        Ok(MasterKey::new(&key)?)
    }

    fn make_master_key(&self, path: &Path) -> Result<Vec<u8>> {
        let mut key = [0; MASTER_KEY_LEN];
        OsSecrets.fill(&mut key);
        write_private(path, &key)?;
        Ok(key.to_vec())
    }
}

/// Writes a file of mode 0600 so that a reader sees it whole or not at all, also after a power cut.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()?;
    }
    Ok(())
}
