//! Namespaces that the containers of a group share, and the process that holds them.
//!
//! The ECS agent starts a container of its own for them, since a pid namespace ends with its first process, and
//! none of the task's containers may take the others with it. Ours is the init process of [`super::super::init`]
//! alone in an empty root, made with the group's first container and removed with its last. What it needs lies
//! under `<data>/sandboxes/<group>`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use parking_lot::Mutex;
use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use super::groups::SANDBOX;
use crate::drivers::bundle::Sandbox;
use crate::drivers::files::{Durable, absent_is_fine, read_json, replace_json};
use crate::drivers::init;
use crate::drivers::process::ProcessRef;
use crate::drivers::records::{CONFIG, RUNTIME_LOG};
use crate::drivers::rootfs::{ROOTFS, mounts_below, unmount_at};
use crate::drivers::runtime::{Runtime, complaint};
use crate::drivers::spec::{ContainerId, SHM_BYTES_DEFAULT, SharedGroup};

/// The shared memory's mount point.
const SHM: &str = "shm";
const PID_FILE: &str = "init.pid";
/// A [`ProcessRef`].
const HOLDER: &str = "holder.json";

pub(super) struct Sandboxes {
    data: PathBuf,
    runtime: Runtime,
    cgroup_root: String,
    /// By group. Held while a sandbox is made or removed: they take turns.
    members: Mutex<BTreeMap<String, BTreeSet<ContainerId>>>,
}

impl Sandboxes {
    pub fn new(data: &Path, runtime: &Runtime, cgroup_root: &str) -> Self {
        let (data, runtime, cgroup_root) = (data.to_owned(), runtime.clone(), cgroup_root.to_owned());
        Self { data, runtime, cgroup_root, members: Mutex::default() }
    }

    /// Puts a container into its group's sandbox, which is made for the first. Blocking.
    pub fn join(&self, id: &ContainerId, group: &SharedGroup) -> io::Result<Sandbox> {
        let mut members = self.members.lock();
        let here = members.entry(group.name.clone()).or_default();
        // Also when it cannot be made: what there is of it goes when the container leaves.
        here.insert(id.clone());
        let dir = self.dir(&group.name);
        let living =
            read_json::<ProcessRef>(&dir.join(HOLDER))?.filter(|holder| holder.open().is_ok_and(|it| it.is_some()));
        let holder = match living {
            Some(holder) => holder,
            None => {
                self.remove(&group.name)?;
                self.make(&group.name, group.shm_bytes.unwrap_or(SHM_BYTES_DEFAULT))?
            }
        };
        Ok(Sandbox { pid: holder.pid, shm: dir.join(SHM) })
    }

    /// After a restart: a container is in the sandbox of that group.
    pub fn rejoin(&self, id: &ContainerId, group: Option<&str>) {
        if let Some(group) = group {
            self.members.lock().entry(group.to_owned()).or_default().insert(id.clone());
        }
    }

    /// Takes a container out of its sandbox, which goes with its last. No error when it is in none. Blocking.
    pub fn leave(&self, id: &ContainerId) -> io::Result<()> {
        let mut members = self.members.lock();
        let Some((group, here)) = members.iter_mut().find(|(_, here)| here.contains(id)) else { return Ok(()) };
        if here.len() > 1 {
            here.remove(id);
            return Ok(());
        }
        let group = group.clone();
        self.remove(&group)?;
        members.remove(&group);
        Ok(())
    }

    /// After a restart: removes the sandboxes of nobody. Blocking.
    pub fn sweep(&self) -> io::Result<()> {
        let members = self.members.lock();
        let root = self.data.join("sandboxes");
        for entry in root.is_dir().then(|| fs::read_dir(root)).transpose()?.into_iter().flatten() {
            let group = entry?.file_name().to_string_lossy().into_owned();
            if !members.contains_key(&group) {
                self.remove(&group)?;
            }
        }
        Ok(())
    }

    fn make(&self, group: &str, shm_bytes: u64) -> io::Result<ProcessRef> {
        let dir = self.dir(group);
        for part in ["rootfs/dev", "rootfs/proc", SHM] {
            fs::create_dir_all(dir.join(part))?;
        }
        let options = format!("mode=1777,size={shm_bytes}");
        let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("shm", dir.join(SHM), "tmpfs", flags, Some(options.as_c_str()))?;
        let file = dir.join(ROOTFS).join("init");
        fs::write(&file, init::PROGRAM)?;
        File::open(&file)?.set_permissions(fs::Permissions::from_mode(0o755))?;
        let cgroup = format!("{}/{}", self.cgroup_root, name(group));
        fs::write(dir.join(CONFIG), config(&cgroup).to_string())?;
        let mut run = self.command(&dir);
        run.args(["run", "--detach", "--bundle"]).arg(&dir).arg("--pid-file").arg(dir.join(PID_FILE)).arg(name(group));
        self.call(&mut run, &dir)?;
        let pid = fs::read_to_string(dir.join(PID_FILE))?.trim().parse().map_err(io::Error::other)?;
        let holder = ProcessRef::of(pid)?;
        replace_json(&dir.join(HOLDER), &holder, Durable::No)?;
        Ok(holder)
    }

    /// No error when there is none, or a part of one.
    fn remove(&self, group: &str) -> io::Result<()> {
        let dir = self.dir(group);
        if !dir.is_dir() {
            return Ok(());
        }
        self.call(self.command(&dir).args(["delete", "--force"]).arg(name(group)), &dir)?;
        for point in mounts_below(&dir)? {
            unmount_at(&point)?;
        }
        absent_is_fine(fs::remove_dir_all(&dir))
    }

    fn command(&self, dir: &Path) -> Command {
        let root = self.data.join("runtime").to_string_lossy().into_owned();
        self.runtime.command(&root, &dir.join(RUNTIME_LOG))
    }

    /// On a thread of its own, as [`Runtime::in_view`] wants it.
    fn call(&self, command: &mut Command, dir: &Path) -> io::Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let called = thread::scope(|scope| scope.spawn(|| self.runtime.in_view(|| command.status())).join());
        match called.unwrap_or_else(|_| Err(io::Error::other("the thread panicked"))) {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(io::Error::other(complaint(&dir.join(RUNTIME_LOG)))),
            Err(error) => Err(error),
        }
    }

    fn dir(&self, group: &str) -> PathBuf {
        self.data.join("sandboxes").join(group)
    }
}

/// Of the runtime's container, and of its control group; no container of a task has such an id.
fn name(group: &str) -> String {
    format!("{SANDBOX}{group}")
}

/// A process that may do nothing, and sees nothing but itself and those whose namespaces it holds.
fn config(cgroup: &str) -> Value {
    let namespaces = ["ipc", "mount", "network", "pid", "uts"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "hostname": "sandbox",
        "root": { "path": ROOTFS, "readonly": true },
        "mounts": [
            // Of no use to the holder; runc looks there for what it must close.
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec", "mode=755", "size=64k"] },
        ],
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/init"],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
        },
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
            "resources": { "devices": [{ "allow": false, "access": "rwm" }], "pids": { "limit": 1 } },
        },
    })
}
