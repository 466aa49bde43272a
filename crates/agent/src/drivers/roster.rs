//! Who has what on this host: one file a node, named as its bridge, its firewall table and its control group are.
//!
//! A node that is given up takes these away itself. One that was killed and whose folder somebody removed cannot,
//! and each would keep a network of [`super::network::SUBNETS`] for ever; the next node that starts sweeps them away.
//! The files lie where the host forgets them when it boots, as it forgets bridges, tables and control groups.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::cgroup;
use super::network;

/// Of all nodes that see this file system.
const HOST: &str = "/run/longshore";
/// Held while somebody enters, leaves or sweeps. Its name is no node's.
const LOCK: &str = "lock";
/// The namespaces in which a node's folder, and its bridge, are what they are.
const MOUNT_NAMESPACE: &str = "/proc/thread-self/ns/mnt";
const NETWORK_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The host's nodes.
pub(crate) struct Roster {
    dir: PathBuf,
}

/// A node's place on the roster; as long as it is kept, the node lives.
pub(crate) struct Entry {
    dir: PathBuf,
    path: PathBuf,
    _lock: File,
}

/// Why a node cannot enter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RosterError {
    /// The folder of the node that has the name.
    #[error("taken by {}", .0.display())]
    Taken(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// From where a node looks at the host, as the kernel names it: `mnt:[4026531841]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct View {
    mounts: PathBuf,
    network: PathBuf,
}

/// What a node's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    folder: PathBuf,
    /// The number of the folder's file system: a path that ends on another one may come back with a mount.
    device: u64,
    view: View,
}

impl Roster {
    pub fn of_host() -> Self {
        Self { dir: HOST.into() }
    }

    /// Enters the node of that name and folder. Blocking.
    pub fn enter(&self, name: &str, folder: &Path) -> Result<Entry, RosterError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let _alone = alone(&self.dir)?;
        let path = self.dir.join(name);
        let mut file = open(File::options().create(true), &path)?;
        if !is_free(&file)? {
            let other = read(&mut file)?.map(|node| node.folder);
            return Err(RosterError::Taken(other.unwrap_or(path)));
        }
        let node = Node { folder: folder.to_owned(), device: fs::metadata(folder)?.dev(), view: View::here()? };
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&node).map_err(io::Error::other)?)?;
        Ok(Entry { dir: self.dir.clone(), path, _lock: file })
    }

    /// Removes what is left of nodes that live no more and whose folder is gone; answers their names. One of which
    /// a container still runs keeps everything, and so does one whose folder cannot be judged from here.
    ///
    /// # Errors
    /// When the roster cannot be read. What cannot be removed is logged, and tried again by the next.
    pub async fn sweep(&self) -> io::Result<Vec<String>> {
        let dir = self.dir.clone();
        let (_alone, gone) = tokio::task::spawn_blocking(move || Ok::<_, io::Error>((alone(&dir)?, gone(&dir)?)))
            .await
            .map_err(io::Error::other)??;
        let mut swept = Vec::new();
        for name in gone {
            match remove(&name).await.and_then(|()| fs::remove_file(self.dir.join(&name))) {
                Ok(()) => swept.push(name),
                Err(error) => tracing::warn!(%error, "{name} is left of a node whose folder is gone; it stays"),
            }
        }
        Ok(swept)
    }
}

impl Entry {
    /// Says that nothing of the node is on the host any more. Blocking.
    pub fn leave(&self) -> io::Result<()> {
        let _alone = alone(&self.dir)?;
        super::files::absent_is_fine(fs::remove_file(&self.path))
    }
}

impl View {
    fn here() -> io::Result<Self> {
        Ok(Self { mounts: fs::read_link(MOUNT_NAMESPACE)?, network: fs::read_link(NETWORK_NAMESPACE)? })
    }
}

impl Node {
    /// True only when the folder has certainly been removed: whatever of its path is there lies on the same file
    /// system, as seen from where the node was.
    fn is_gone(&self, here: &View) -> bool {
        if self.view != *here || !is_absent(&self.folder) {
            return false;
        }
        let above = self.folder.ancestors().find(|above| !is_absent(above));
        above.and_then(|above| fs::metadata(above).ok()).is_some_and(|above| above.dev() == self.device)
    }
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Until the file is closed, nobody else enters, leaves or sweeps.
fn alone(dir: &Path) -> io::Result<File> {
    let file = open(File::options().create(true), &dir.join(LOCK))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn open(options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
    options.read(true).write(true).truncate(false).mode(0o600).open(path)
}

/// Takes the file's lock, unless somebody has it.
fn is_free(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        taken => Ok(taken.map(|()| true)?),
    }
}

/// None for one that was cut off while it entered: it had nothing yet.
fn read(file: &mut File) -> io::Result<Option<Node>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// The names of nodes that are gone for good.
fn gone(dir: &Path) -> io::Result<Vec<String>> {
    let here = View::here()?;
    let mut gone = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().filter(|name| *name != LOCK).map(str::to_owned) else { continue };
        let mut file = open(&mut File::options(), &entry.path())?;
        if is_free(&file)? && read(&mut file)?.is_some_and(|node| node.is_gone(&here)) {
            gone.push(name);
        }
    }
    gone.sort();
    Ok(gone)
}

/// Control groups first: while a container runs they cannot be removed, and its network is not either.
async fn remove(name: &str) -> io::Result<()> {
    cgroup::remove(&format!("/{name}"))?;
    network::remove(name).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(dir: &tempfile::TempDir) -> Roster {
        Roster { dir: dir.path().join("roster") }
    }

    fn folder(dir: &tempfile::TempDir, name: &str) -> PathBuf {
        let folder = dir.path().join(name).join("agent");
        fs::create_dir_all(&folder).expect("made");
        folder
    }

    #[test]
    fn a_name_is_one_living_nodes() {
        let dir = tempfile::tempdir().expect("a folder");
        let (roster, one, other) = (roster(&dir), folder(&dir, "one"), folder(&dir, "other"));
        let entry = roster.enter("lsroster", &one).expect("entered");
        let refused = roster.enter("lsroster", &other).err().expect("refused");
        assert!(matches!(refused, RosterError::Taken(folder) if folder == one));
        drop(entry);
        let entry = roster.enter("lsroster", &other).expect("entered after the first died");
        entry.leave().expect("left");
        entry.leave().expect("left twice");
        assert!(!roster.dir.join("lsroster").exists());
    }

    #[test]
    fn only_a_folder_that_was_surely_removed_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let (here, there) = (View::here().expect("a view"), folder(&dir, "there"));
        let device = fs::metadata(&there).expect("there").dev();
        let elsewhere = View { mounts: "mnt:[1]".into(), ..here.clone() };
        let other_network = View { network: "net:[1]".into(), ..here.clone() };
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        let check = |folder: PathBuf, device: u64, view: &View, expect: bool| {
            let node = Node { folder, device, view: view.clone() };
            assert_eq!(node.is_gone(&here), expect, "{node:?}");
        };
        check(there.clone(), device, &here, false);
        check(there.join("gone"), device, &here, true);
        check(there.join("gone/with/its/parents"), device, &here, true);
        check(there.join("gone"), device + 1, &here, false);
        check(there.join("gone"), device, &elsewhere, false);
        check(there.join("gone"), device, &other_network, false);
        check(file.join("not/a/folder"), device, &here, false);
        check("/proc/absent".into(), device, &here, false);
    }

    #[tokio::test]
    async fn the_next_node_sweeps_away_what_the_dead_left() {
        let dir = tempfile::tempdir().expect("a folder");
        let roster = roster(&dir);
        let mut living = Vec::new();
        for (name, lives, is_removed) in
            [("lsr-dead", false, true), ("lsr-kept", false, false), ("lsr-alive", true, true)]
        {
            let folder = folder(&dir, name);
            living.extend(Some(roster.enter(name, &folder).expect("entered")).filter(|_| lives));
            if is_removed {
                fs::remove_dir_all(dir.path().join(name)).expect("removed");
            }
        }
        fs::write(roster.dir.join("lsr-cut-off"), "{\"fol").expect("written");
        assert_eq!(roster.sweep().await.expect("swept"), ["lsr-dead"]);
        assert_eq!(roster.sweep().await.expect("swept"), [""; 0]);
        assert!(roster.dir.join("lsr-kept").exists() && roster.dir.join("lsr-alive").exists());
        drop(living);
        assert_eq!(roster.sweep().await.expect("swept"), ["lsr-alive"]);
    }
}
