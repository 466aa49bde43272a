//! Control groups that containers share: made with the first one, removed with the last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use parking_lot::Mutex;

use crate::drivers::cgroup::{self, Layout};
use crate::drivers::spec::{ContainerId, SharedGroup};

/// How the control groups of [`super::sandboxes`] begin: those see to them.
pub(super) const SANDBOX: &str = "sandbox-";

/// The node's control group, and who is in which of the shared ones below it.
pub(super) struct Groups {
    root: String,
    layout: Layout,
    /// By path. Held while a group is made or removed: they take turns.
    members: Mutex<BTreeMap<String, BTreeSet<ContainerId>>>,
}

impl Groups {
    pub fn new(root: &str, layout: Layout) -> Self {
        Self { root: root.to_owned(), layout, members: Mutex::default() }
    }

    /// Where a container's control group is to be.
    pub fn path(&self, id: &ContainerId, shared: Option<&SharedGroup>) -> String {
        match shared.filter(|shared| shared.limits.is_some()) {
            Some(shared) => format!("{}/{id}", self.shared_path(shared)),
            None => format!("{}/{id}", self.root),
        }
    }

    /// Puts a container into a shared group, which is made for its first. Blocking.
    pub fn join(&self, id: &ContainerId, shared: &SharedGroup) -> io::Result<()> {
        let Some(limits) = &shared.limits else { return Ok(()) };
        let path = self.shared_path(shared);
        let mut members = self.members.lock();
        let here = members.entry(path.clone()).or_default();
        let first = here.is_empty();
        // Also when the group cannot be made: what there is of it goes when the container leaves.
        here.insert(id.clone());
        if first { cgroup::limits::make(self.layout, &path, limits) } else { Ok(()) }
    }

    /// After a restart: a container of that control group is in whatever group lies between.
    pub fn rejoin(&self, id: &ContainerId, cgroup: &str) {
        if let Some((above, _)) = cgroup.rsplit_once('/')
            && above != self.root
        {
            self.members.lock().entry(above.to_owned()).or_default().insert(id.clone());
        }
    }

    /// Takes a container out of its shared group, which goes with its last. No error when it is in none. Blocking.
    pub fn leave(&self, id: &ContainerId) -> io::Result<()> {
        let mut members = self.members.lock();
        let Some((path, here)) = members.iter_mut().find(|(_, here)| here.contains(id)) else { return Ok(()) };
        if here.len() > 1 {
            here.remove(id);
            return Ok(());
        }
        let path = path.clone();
        cgroup::remove(&path)?;
        members.remove(&path);
        Ok(())
    }

    /// After a restart: removes what is there of groups without members and of containers that are not `known`.
    /// Blocking.
    pub fn sweep(&self, known: &BTreeSet<ContainerId>) -> io::Result<()> {
        let members = self.members.lock();
        for name in cgroup::children(&self.root)? {
            let path = format!("{}/{name}", self.root);
            if !members.contains_key(&path)
                && !name.starts_with(SANDBOX)
                && !known.iter().any(|id| id.as_str() == name)
                && let Err(error) = cgroup::remove(&path)
            {
                tracing::warn!(%error, "control group {path} is nobody's and cannot be removed");
            }
        }
        Ok(())
    }

    fn shared_path(&self, shared: &SharedGroup) -> String {
        format!("{}/{}", self.root, shared.name)
    }
}
