//! Which images are here, and what their names meant when they were last asked for.

use super::Image;
use crate::drivers::files::{Durable, read_json, replace_json};
use oci::Digest;
use oci::image_config::ContainerConfig;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAMES: &str = "names.json";

/// What is kept of an image beside its layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub config: ContainerConfig,
    /// Lowest first.
    pub diff_ids: Vec<Digest>,
}

pub(super) struct Catalog {
    dir: PathBuf,
    ready: Mutex<BTreeMap<Digest, Arc<Image>>>,
    names: Mutex<BTreeMap<String, Digest>>,
}

impl Catalog {
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let names = read_json(&dir.join(NAMES))?.unwrap_or_default();
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
        read_json(&self.path(digest))
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
