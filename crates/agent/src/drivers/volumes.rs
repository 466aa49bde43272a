//! What containers keep files in beyond their own lives. Under `<data>/volumes`:
//!
//! | path | content |
//! |---|---|
//! | `tasks/<task id>/<name>` | a volume that goes with its task |
//! | `shared/<name>` | one that stays, for whatever task names it next |
//! | of either `volume.json` | [`Record`]: it was made, and how |
//! | of either `data` | its files, or where its file system is mounted |
//! | of either `filling` | there while an image's files are copied into it |
//!
//! They behave as Docker's volumes do: one that is empty takes the image's files at the place where a container has
//! it, and what is mounted for a shared one is there for as long as a container has it.

mod fill;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Error;
use super::files::{Durable, absent_is_fine, read_json, replace_json};
use super::rootfs::{Rootfs, mounts_below, unmount_at};
use super::spec::{Backing, BindMount, ContainerId, ContainerSpec, Volume, VolumeMount, VolumeScope};

const TASKS: &str = "tasks";
const SHARED: &str = "shared";
const RECORD: &str = "volume.json";
const DATA: &str = "data";
const FILLING: &str = "filling";
/// Docker's, of volumes and of what it makes of a host path that is not there.
const DIRECTORY_MODE: u32 = 0o755;

/// How a volume was made; that counts, whatever a later task says of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    backing: Backing,
    labels: BTreeMap<String, String>,
}

/// The node's volumes. Everything here blocks.
pub struct Volumes {
    root: PathBuf,
    /// Of shared volumes, by name. Held while what is mounted for one is unmounted.
    users: Mutex<BTreeMap<String, BTreeSet<ContainerId>>>,
    /// By directory: containers that are made at once take turns with a volume.
    turns: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>,
}

impl Volumes {
    pub(crate) fn new(data: &Path) -> Self {
        Self { root: data.join("volumes"), users: Mutex::default(), turns: Mutex::default() }
    }

    /// Makes ready what a container has beside its image, whose root that is.
    pub(crate) fn join(&self, id: &ContainerId, spec: &ContainerSpec, root: &Rootfs) -> Result<Vec<BindMount>, Error> {
        for mount in &spec.mounts {
            ensure_host_path(&mount.source).map_err(Error::io(format!("make {}", mount.source.display())))?;
        }
        let mut users = self.users.lock();
        for name in shared_names(spec) {
            users.entry(name).or_default().insert(id.clone());
        }
        drop(users);
        spec.volumes.iter().map(|mount| self.ready(mount, root)).collect()
    }

    /// After a restart: a container has these shared volumes.
    pub(crate) fn rejoin(&self, id: &ContainerId, shared: &[String]) {
        let mut users = self.users.lock();
        for name in shared {
            users.entry(name.clone()).or_default().insert(id.clone());
        }
    }

    /// A container is gone: what was mounted for shared volumes that nobody else has goes, too.
    pub(crate) fn leave(&self, id: &ContainerId) -> io::Result<()> {
        let mut users = self.users.lock();
        let left: Vec<String> = users.iter().filter(|(_, of)| of.contains(id)).map(|(name, _)| name.clone()).collect();
        for name in left {
            let Some(others) = users.get_mut(&name) else { continue };
            if others.len() == 1 {
                unmount_below(&self.root.join(SHARED).join(&name))?;
                users.remove(&name);
            } else {
                others.remove(id);
            }
        }
        Ok(())
    }

    /// After a restart: unmounts what nobody has.
    pub(crate) fn unmount_unused(&self) -> io::Result<()> {
        let users = self.users.lock();
        let unused = names(&self.root.join(SHARED))?.into_iter().filter(|name| !users.contains_key(name));
        unused.into_iter().try_for_each(|name| unmount_below(&self.root.join(SHARED).join(name)))
    }

    /// True when a task of that id has volumes of its own.
    pub fn has_task(&self, task: &str) -> bool {
        self.of_task(task).exists()
    }

    /// Removes the volumes of a task whose containers are gone; no error when it has none.
    ///
    /// # Errors
    /// When something cannot be unmounted or removed.
    pub fn remove_of_task(&self, task: &str) -> io::Result<()> {
        let dir = self.of_task(task);
        remove(&dir)?;
        self.turns.lock().retain(|volume, _| !volume.starts_with(&dir));
        Ok(())
    }

    /// Removes the volumes of tasks that are not `known`, which a power failure may leave.
    ///
    /// # Errors
    /// As [`Volumes::remove_of_task`].
    pub fn keep_only(&self, known: &BTreeSet<&str>) -> io::Result<()> {
        let all = names(&self.root.join(TASKS))?;
        all.iter().filter(|task| !known.contains(task.as_str())).try_for_each(|task| self.remove_of_task(task))
    }

    fn of_task(&self, task: &str) -> PathBuf {
        self.root.join(TASKS).join(task)
    }

    fn dir(&self, volume: &Volume) -> PathBuf {
        match &volume.scope {
            VolumeScope::Task(task) => self.of_task(task).join(&volume.name),
            VolumeScope::Shared { .. } => self.root.join(SHARED).join(&volume.name),
        }
    }

    /// Where the runtime finds the volume's files.
    fn ready(&self, mount: &VolumeMount, root: &Rootfs) -> Result<BindMount, Error> {
        let dir = self.dir(&mount.volume);
        let turn = self.turns.lock().entry(dir.clone()).or_default().clone();
        let _turn = turn.lock();
        let record = make(&dir, &mount.volume)?;
        let failed = |doing: &str| {
            let (name, doing) = (mount.volume.name.clone(), doing.to_owned());
            move |source| Error::Volume { name, doing, source }
        };
        let source = match &record.backing {
            Backing::Directory => dir.join(DATA),
            Backing::Bind { path, .. } => {
                let found = fs::metadata(path).map(|_| path.clone());
                found.map_err(failed(&format!("mount {}", path.display())))?
            }
            Backing::Tmpfs(options) => {
                memory::mount(&dir.join(DATA), options).map_err(failed("mount its tmpfs"))?;
                dir.join(DATA)
            }
        };
        let read_only = record.is_read_only();
        if mount.filled && !read_only {
            let durable = matches!(mount.volume.scope, VolumeScope::Shared { .. });
            let filling = dir.join(FILLING);
            fill(&filling, &source, root, &mount.target, durable)
                .map_err(failed(&format!("copy the image's files at {} into it", mount.target)))?;
        }
        Ok(BindMount { source, target: mount.target.clone(), read_only: mount.read_only || read_only })
    }
}

impl Record {
    fn is_read_only(&self) -> bool {
        match &self.backing {
            Backing::Directory => false,
            Backing::Bind { read_only, .. } => *read_only,
            Backing::Tmpfs(options) => memory::is_read_only(options),
        }
    }
}

/// The names of shared volumes that a container has.
pub(crate) fn shared_names(spec: &ContainerSpec) -> BTreeSet<String> {
    let shared = |mount: &&VolumeMount| matches!(mount.volume.scope, VolumeScope::Shared { .. });
    spec.volumes.iter().filter(shared).map(|mount| mount.volume.name.clone()).collect()
}

/// The volume as it is, or as it is made now. Its record comes last: what lacks one is made again.
fn make(dir: &Path, volume: &Volume) -> Result<Record, Error> {
    let failed = |source| Error::Volume { name: volume.name.clone(), doing: "make it".to_owned(), source };
    if let Some(record) = read_json(&dir.join(RECORD)).map_err(failed)? {
        return Ok(record);
    }
    if volume.scope == (VolumeScope::Shared { made: false }) {
        return Err(Error::NoVolume(volume.name.clone()));
    }
    let record = Record { backing: volume.backing.clone(), labels: volume.labels.clone() };
    let shared = matches!(volume.scope, VolumeScope::Shared { .. });
    let made = || {
        // Nobody but root looks into other people's files by way of the host.
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir.join(DATA))?;
        replace_json(&dir.join(RECORD), &record, if shared { Durable::Yes } else { Durable::No })?;
        if shared { sync_up(dir) } else { Ok(()) }
    };
    made().map_err(failed)?;
    Ok(record)
}

/// A shared volume is there after a power failure, under its name.
fn sync_up(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    dir.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())
}

/// Copies the image's files into what is empty, or whose copying was cut off.
fn fill(filling: &Path, data: &Path, root: &Rootfs, target: &str, durable: bool) -> io::Result<()> {
    let is_begun = filling.exists();
    if !is_begun && fs::read_dir(data)?.next().is_some() {
        return Ok(());
    }
    let Some(from) = root.open_dir(target)? else { return absent_is_fine(fs::remove_file(filling)) };
    if !is_begun {
        let marker = File::create(filling)?;
        if durable {
            marker.sync_all()?;
            filling.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())?;
        }
    }
    let into = File::open(data)?;
    fill::copy(from, &into)?;
    if durable {
        rustix::fs::syncfs(&into)?;
    }
    fs::remove_file(filling)
}

/// As Docker does for a bind whose source is not there.
fn ensure_host_path(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
        }
        other => other.map(drop),
    }
}

/// Removes a directory with volumes in it, and never what is mounted there.
fn remove(dir: &Path) -> io::Result<()> {
    unmount_below(dir)?;
    absent_is_fine(fs::remove_dir_all(dir))
}

fn unmount_below(dir: &Path) -> io::Result<()> {
    for point in mounts_below(dir)? {
        unmount_at(&point)?;
    }
    match mounts_below(dir)?.first() {
        None => Ok(()),
        Some(left) => Err(io::Error::other(format!("{} is still mounted", left.display()))),
    }
}

/// What is in a directory that may not be there.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests;
