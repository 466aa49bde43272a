//! Which images are here, and what their names meant when they were last asked for.

use super::Image;
use crate::drivers::files::{Durable, absent_is_fine, read_json, replace_json};
use base::Timestamp;
use oci::Digest;
use oci::image_config::ContainerConfig;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const NAMES: &str = "names.json";

/// What is kept of an image beside its layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub config: ContainerConfig,
    /// Lowest first.
    pub diff_ids: Vec<Digest>,
    /// When the image came here.
    pub pulled_at: Timestamp,
}

/// An image in the catalog.
#[derive(Debug)]
pub(super) struct Kept {
    pub digest: Digest,
    pub record: Record,
    pub used_at: Timestamp,
}

pub(super) struct Catalog {
    dir: PathBuf,
    ready: Mutex<BTreeMap<Digest, Arc<Image>>>,
    names: Mutex<BTreeMap<String, Digest>>,
}

impl Catalog {
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let names = read_whole(&dir.join(NAMES))?.unwrap_or_default();
        Ok(Self { dir: dir.to_owned(), ready: Mutex::default(), names: Mutex::new(names) })
    }

    /// An image that this process has used before.
    pub fn ready(&self, digest: &Digest) -> Option<Arc<Image>> {
        self.ready.lock().get(digest).cloned()
    }

    pub fn keep(&self, image: &Arc<Image>) {
        self.ready.lock().insert(image.digest.clone(), image.clone());
    }

    pub fn read(&self, digest: &Digest) -> io::Result<Option<Record>> {
        read_whole(&self.path(digest))
    }

    /// All images, in no order. Blocks.
    pub fn all(&self) -> io::Result<Vec<Kept>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let json = path.extension().is_some_and(|extension| extension == "json");
            let Some(digest) = format!("sha256:{name}").parse::<Digest>().ok().filter(|_| json) else { continue };
            // What was removed meanwhile is not there.
            let Some(record) = read_whole(&path)? else { continue };
            let used_at = fs::metadata(&path).and_then(|it| it.modified()).map(timestamp).unwrap_or_default();
            all.push(Kept { digest, record, used_at });
        }
        Ok(all)
    }

    /// The image is no longer here, under no name. Blocks, shortly.
    pub fn forget(&self, digest: &Digest) -> io::Result<()> {
        self.ready.lock().remove(digest);
        let mut names = self.names.lock();
        let before = names.len();
        names.retain(|_, named| named != digest);
        if names.len() < before {
            replace_json(&self.dir.join(NAMES), &*names, Durable::No)?;
        }
        absent_is_fine(fs::remove_file(self.path(digest)))
    }

    /// Somebody uses the image: of several, the one that was longest not used goes first.
    pub fn used(&self, digest: &Digest) {
        let touched =
            File::options().append(true).open(self.path(digest)).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%digest, %error, "its use could not be noted");
        }
    }

    /// Not synced: without it the image is pulled again.
    pub fn record(&self, digest: &Digest, record: &Record) -> io::Result<()> {
        replace_json(&self.path(digest), record, Durable::No)
    }

    pub fn named(&self, name: &str) -> Option<Digest> {
        self.names.lock().get(name).cloned()
    }

    /// Happens when a name first comes up or moves: seldom enough to write there and then.
    pub fn name(&self, name: &str, digest: &Digest) -> io::Result<()> {
        let mut names = self.names.lock();
        names.insert(name.to_owned(), digest.clone());
        replace_json(&self.dir.join(NAMES), &*names, Durable::No)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.json", digest.hex()))
    }
}

/// The file's content; none for a file that a power failure cut off, as these are not synced.
fn read_whole<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_json(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            tracing::warn!(path = %path.display(), %error, "it was never completed, and is not used");
            Ok(None)
        }
        other => other,
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
