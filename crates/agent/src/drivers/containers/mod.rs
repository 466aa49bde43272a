//! The door to containers: create, start, signal, wait, adopt, remove.

mod again;
mod exec;
mod follow;
mod groups;
mod output;
mod sandboxes;
mod shim_process;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, mkfifoat};
use tokio::sync::{mpsc, watch};

use super::bundle::{self, Host, ProcessUser, Sandbox};
use super::cgroup::{self, Layout};
use super::files::read_json;
use super::filter;
use super::network::{Attachment, Binding, Network, NetworkConfig};
use super::process::ProcessRef;
use super::records::{self, ContainerRecord, Exit, Outcome, Started};
use super::remains::Remains;
use super::rootfs::{self, Rootfs};
use super::runtime::Runtime;
use super::signal::Signal;
use super::spec::{BindMount, ContainerId, ContainerSpec, Sharing};
use super::volumes::{self, Volumes};
use super::{Error, confinement, devices, init, network, proc_mounts};
use again::Verdict;
pub use exec::Executed;
use follow::{Follower, Seen};
use groups::Groups;
pub use output::Output;
use sandboxes::Sandboxes;
pub use shim_process::ShimCommand;
use shim_process::ShimProcess;

/// Where and with what containers are run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our own binary, entered at [`crate::shim::main`].
    pub shim: ShimCommand,
    /// The node's directory: `containers`, `filters`, `layers`, `leases`, `netns`, `runtime` and `volumes` lie in it.
    pub data: PathBuf,
    pub runtime: Runtime,
    /// The control group under which containers are put, such as `/longshore`.
    pub cgroup_root: String,
    pub network: NetworkConfig,
    /// What ran is moved to [`super::remains`] when it is removed.
    pub keeps_remains: bool,
}

/// What a container is at. Moves downwards in this list, but that a held one may be started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Ready to start.
    Created,
    Running {
        /// The first process, in the host's pid namespace.
        pid: i32,
        since: Timestamp,
    },
    /// Ended, and held to be started again, with its ports and its output.
    Halted(Exit),
    /// Over; its host ports are free again.
    Exited(Exit),
}

/// What creating a container settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// On the bridge.
    pub address: Option<Ipv4Addr>,
    /// Host ports of published ports.
    pub bindings: Vec<Binding>,
}

/// The node's containers. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Containers {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    layout: Layout,
    counts_swap: bool,
    network: Arc<Network>,
    groups: Groups,
    sandboxes: Sandboxes,
    volumes: Volumes,
    entries: Mutex<BTreeMap<ContainerId, Arc<Entry>>>,
}

/// What came of mounting a container's root.
struct Root {
    user: ProcessUser,
    volumes: Vec<BindMount>,
}

/// A container that this process knows.
struct Entry {
    dir: PathBuf,
    status: watch::Receiver<Status>,
    /// Changes whenever the shim reports something, output above all.
    stirred: watch::Receiver<u64>,
    /// True when the shim is gone, and the directory may go too.
    over: watch::Receiver<bool>,
    /// Where the word to start is said; dropped, the shim goes away.
    start_word: Mutex<Option<ChildStdin>>,
    /// What becomes of it once it is held.
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Containers {
    /// Opens the node's directory. Containers of a former life are known after [`Containers::adopt`].
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be made or read.
    pub fn open(config: Config) -> Result<Self, Error> {
        let made = ["containers", "filters", "layers", "runtime"]
            .iter()
            .try_for_each(|dir| fs::create_dir_all(config.data.join(dir)));
        made.map_err(Error::io(format!("make {}", config.data.display())))?;
        let network = Network::open(&config.data, config.network.clone()).map_err(Error::io("read the leases"))?;
        init::install(&config.data).map_err(Error::io("write the init process"))?;
        let layout = Layout::detect();
        let counts_swap = cgroup::counts_swap(layout);
        let sandboxes = Sandboxes::new(&config.data, &config.runtime, &config.cgroup_root);
        let (network, groups) = (Arc::new(network), Groups::new(&config.cgroup_root, layout));
        let (volumes, entries) = (Volumes::new(&config.data), Mutex::default());
        let inner = Inner { config, layout, counts_swap, network, groups, sandboxes, volumes, entries };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn network(&self) -> &Network {
        &self.inner.network
    }

    pub fn volumes(&self) -> &Volumes {
        &self.inner.volumes
    }

    /// Makes a container: its root, its network, its shim. It runs when [`Containers::start`] says so.
    ///
    /// # Errors
    /// Whatever the specification, the image or the node lacks; then nothing is left of it.
    pub async fn create(&self, id: &ContainerId, spec: &ContainerSpec) -> Result<Created, Error> {
        spec.validate()?;
        proc_mounts::check(spec)?;
        confinement::check(&spec.security)?;
        let dir = self.dir(id);
        make_dir(&dir).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists(id.clone()),
            _ => Error::io("make the container's directory")(error),
        })?;
        let mut shim = self.inner.config.shim.spawn(&dir)?;
        match self.furnish(id, spec, &dir).await {
            Ok(created) => {
                self.know(id, dir, Some(shim));
                Ok(created)
            }
            Err(error) => {
                drop(shim.start_word.take());
                shim.ended().await;
                self.discard(id, &dir).await?;
                Err(error)
            }
        }
    }

    /// Does what takes time side by side: the shim starts meanwhile.
    async fn furnish(&self, id: &ContainerId, spec: &ContainerSpec, dir: &Path) -> Result<Created, Error> {
        let attaching = self.inner.network.attach(id, &spec.network);
        let mounting = self.mount_root(id, dir, spec);
        let (attached, mounted, joined) = tokio::join!(attaching, mounting, self.join_group(id, spec));
        let (attachment, root, sandbox) = (attached?, mounted?, joined?);
        self.write_files(id, spec, dir, &attachment, root, sandbox)?;
        Ok(Created { address: attachment.address, bindings: attachment.bindings })
    }

    async fn mount_root(&self, id: &ContainerId, dir: &Path, spec: &ContainerSpec) -> Result<Root, Error> {
        let (inner, id, dir, spec) = (self.inner.clone(), id.clone(), dir.to_owned(), spec.clone());
        let mounting = tokio::task::spawn_blocking(move || {
            rootfs::mount_layers(&dir, &spec.layers)?;
            let root = Rootfs::open(&dir).map_err(Error::io("open the container's root"))?;
            let cwd = bundle::working_directory(&spec);
            root.ensure_dir(cwd).map_err(Error::io(format!("make the working directory {cwd}")))?;
            let user = ProcessUser::resolve(&spec.user, &root)?;
            Ok(Root { user, volumes: inner.volumes.join(&id, &spec, &root)? })
        });
        mounting.await.unwrap_or_else(|panic| Err(Error::io("mount the container's root")(io::Error::other(panic))))
    }

    async fn join_group(&self, id: &ContainerId, spec: &ContainerSpec) -> Result<Option<Sandbox>, Error> {
        let Some(group) = spec.group.clone() else { return Ok(None) };
        let shares = [spec.pid, spec.ipc].contains(&Sharing::Group);
        let (inner, id) = (self.inner.clone(), id.clone());
        let joining = tokio::task::spawn_blocking(move || {
            inner.groups.join(&id, &group).map_err(Error::Cgroup)?;
            let sandbox = shares.then(|| inner.sandboxes.join(&id, &group)).transpose();
            sandbox.map_err(Error::io("make the namespaces that the task shares"))
        });
        joining.await.unwrap_or_else(|panic| Err(Error::io("join the task's group")(io::Error::other(panic))))
    }

    fn write_files(
        &self,
        id: &ContainerId,
        spec: &ContainerSpec,
        dir: &Path,
        attachment: &Attachment,
        root: Root,
        sandbox: Option<Sandbox>,
    ) -> Result<(), Error> {
        let Inner { config, layout, counts_swap, network, .. } = &*self.inner;
        let write_failed = |error| Error::io("write the container's files")(error);
        let etc = network::files::write(dir, spec, attachment.address, network.fallback_dns()).map_err(write_failed)?;
        let cgroup = self.inner.groups.path(id, spec.group.as_ref());
        let netns = attachment.netns.clone();
        let (layout, counts_swap, nofile_max) = (*layout, *counts_swap, bundle::nofile_max());
        let init = config.data.join(init::FILE);
        let devices = devices_of(spec)?;
        let shares = sandbox.is_some();
        let host = Host {
            user: root.user,
            netns,
            etc,
            volumes: root.volumes,
            recursively_read_only: config.runtime.mounts_recursively_read_only(),
            cgroup: &cgroup,
            layout,
            counts_swap,
            nofile_max,
            givable_caps: bundle::caps::givable(),
            init: &init,
            sandbox,
            devices,
        };
        let mut bundle = bundle::config(spec, &host)?;
        let kept_filter = filter::path(&config.data, &config.runtime, &bundle);
        let keep_filter = kept_filter.filter(|kept| !filter::add(&mut bundle, kept));
        fs::write(dir.join(records::CONFIG), bundle.to_string()).map_err(write_failed)?;
        let record = ContainerRecord {
            id: id.clone(),
            runtime: config.runtime.clone(),
            runtime_root: config.data.join("runtime").to_string_lossy().into_owned(),
            cgroup,
            output: spec.output.clone(),
            stop_signal: spec.stop_signal()?.number(),
            sandbox: spec.group.as_ref().filter(|_| shares).map(|group| group.name.clone()),
            volumes: volumes::shared_names(spec).into_iter().collect(),
            terminal: spec.terminal,
            stdin_open: spec.stdin_open,
            restartable: spec.restartable,
            keep_filter,
        };
        // Last of all: a directory without it is a creation that was cut off.
        record.write(dir).map_err(write_failed)
    }

    /// Starts a created container; returns when its process runs, or has run already.
    ///
    /// # Errors
    /// [`Error::Start`] with the runtime's complaint; the container is then over.
    pub async fn start(&self, id: &ContainerId) -> Result<Status, Error> {
        let entry = self.entry(id)?;
        let word = entry.start_word.lock().take();
        let mut word = word.ok_or_else(|| Error::Start(format!("container {id} was started before")))?;
        // A shim that died meanwhile is reported by the status.
        let _broken = word.write_all(b"!");
        drop(word);
        let mut status = entry.status.clone();
        let reached = status.wait_for(|status| *status != Status::Created).await;
        let reached = reached.map_err(|_| Error::Start("the agent is shutting down".to_owned()))?.clone();
        match reached {
            Status::Exited(Exit { outcome: Outcome::NotStarted { message }, .. })
            | Status::Halted(Exit { outcome: Outcome::NotStarted { message }, .. }) => Err(Error::Start(message)),
            other => Ok(other),
        }
    }

    /// Sends a signal to the container's first process.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Signal`]
    pub async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<(), Error> {
        let entry = self.entry(id)?;
        let failed =
            |error: io::Error| Error::Signal { id: id.clone(), signal: signal.number(), problem: error.to_string() };
        let running = matches!(*entry.status.borrow(), Status::Running { .. });
        let started = Started::read(&entry.dir).map_err(failed)?.filter(|_| running);
        let Some(started) = started else { return Err(Error::NotRunning(id.clone())) };
        let handle = started.init.open().map_err(failed)?.ok_or_else(|| Error::NotRunning(id.clone()))?;
        match rustix::process::Signal::from_named_raw(signal.number()) {
            Some(named) => match rustix::process::pidfd_send_signal(handle, named) {
                Err(rustix::io::Errno::SRCH) => Err(Error::NotRunning(id.clone())),
                other => other.map_err(|error| failed(error.into())),
            },
            // The safe interface has names for standard signals only: the runtime sends the real-time ones.
            None => self.signal_by_runtime(id, signal, &entry.dir).await.map_err(failed),
        }
    }

    async fn signal_by_runtime(&self, id: &ContainerId, signal: Signal, dir: &Path) -> io::Result<()> {
        let record = ContainerRecord::read(dir)?.ok_or_else(|| io::Error::other("it has no record"))?;
        let log = dir.join(records::RUNTIME_LOG);
        let mut kill = record.runtime.command(&record.runtime_root, &log);
        kill.args(["kill", id.as_str(), &signal.to_string()]).stdin(std::process::Stdio::null());
        let status = tokio::process::Command::from(kill).status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other(super::runtime::complaint(&log))) }
    }

    /// Sends the container's stop signal, and SIGKILL when it has not ended after `grace`.
    ///
    /// # Errors
    /// As [`Containers::signal`], but a container that is over already is none.
    pub async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<Exit, Error> {
        let entry = self.entry(id)?;
        let record = ContainerRecord::read(&entry.dir).map_err(Error::io("read the container's record"))?;
        let named = record.map_or(Ok(Signal::TERM), |record| record.stop_signal.to_string().parse())?;
        not_running_is_fine(self.signal(id, named).await)?;
        if let Ok(exit) = tokio::time::timeout(grace, self.wait(id)).await {
            return exit;
        }
        not_running_is_fine(self.signal(id, Signal::KILL).await)?;
        self.wait(id).await
    }

    /// How the container ended, once it has, held or not.
    ///
    /// # Errors
    /// [`Error::Unknown`]
    pub async fn wait(&self, id: &ContainerId) -> Result<Exit, Error> {
        let mut status = self.entry(id)?.status.clone();
        let ended = status.wait_for(|status| matches!(status, Status::Exited(_) | Status::Halted(_))).await;
        match ended.as_deref() {
            Ok(Status::Exited(exit) | Status::Halted(exit)) => Ok(exit.clone()),
            _ => Err(Error::Unknown(id.clone())),
        }
    }

    /// A running container's address on the bridge, if it has one.
    pub fn address(&self, id: &ContainerId) -> Option<Ipv4Addr> {
        let running = matches!(*self.entry(id).ok()?.status.borrow(), Status::Running { .. });
        self.inner.network.address(id).filter(|_| running)
    }

    /// The container's status now, and a means to await changes.
    ///
    /// # Errors
    /// [`Error::Unknown`]
    pub fn status(&self, id: &ContainerId) -> Result<watch::Receiver<Status>, Error> {
        Ok(self.entry(id)?.status.clone())
    }

    /// The container's output from `offset` on, 0 for the beginning.
    ///
    /// # Errors
    /// [`Error::Unknown`]
    pub fn output(&self, id: &ContainerId, offset: u64) -> Result<Output, Error> {
        let entry = self.entry(id)?;
        Ok(Output::new(entry.dir.join(records::SPOOL), offset, entry.status.clone(), entry.stirred.clone()))
    }

    /// Takes over what a former life of this node left: containers that run, that ended meanwhile and whose shim
    /// died; clears away what was being created, and what belongs to no container.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Network`]
    pub async fn adopt(&self) -> Result<Vec<(ContainerId, Status)>, Error> {
        let root = self.inner.config.data.join("containers");
        let names = list(&root).map_err(Error::io("list the containers"))?;
        for id in &names {
            let (dir, known) = (self.dir(id), self.inner.entries.lock().contains_key(id));
            let record = ContainerRecord::read(&dir).map_err(Error::io("read a container's record"))?;
            match record {
                _ if known => {}
                None => self.discard(id, &dir).await?,
                Some(record) => {
                    self.inner.groups.rejoin(id, &record.cgroup);
                    self.inner.sandboxes.rejoin(id, record.sandbox.as_deref());
                    self.inner.volumes.rejoin(id, &record.volumes);
                    let shim = living_shim(&dir).map_err(Error::io("look for a container's shim"))?;
                    self.know(id, dir, shim);
                }
            }
        }
        let living: BTreeSet<ContainerId> = self.inner.entries.lock().keys().cloned().collect();
        self.inner.network.keep_only(&living).await?;
        self.inner.sandboxes.sweep().map_err(Error::io("clear away shared namespaces"))?;
        self.inner.volumes.unmount_unused().map_err(Error::io("unmount volumes of nobody"))?;
        self.inner.groups.sweep(&living).map_err(Error::io("clear away control groups"))?;
        let entries = self.inner.entries.lock();
        Ok(entries.iter().map(|(id, entry)| (id.clone(), entry.status.borrow().clone())).collect())
    }

    /// How many containers run. One that ended while nobody looked does not, though its status may not say so yet.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn count_running(&self) -> Result<usize, Error> {
        let entries = self.inner.entries.lock();
        let running = entries.values().filter(|entry| matches!(*entry.status.borrow(), Status::Running { .. }));
        let ends = running.map(|entry| Exit::read(&entry.dir)).collect::<io::Result<Vec<_>>>();
        Ok(ends.map_err(Error::io("look for a container's end"))?.iter().filter(|end| end.is_none()).count())
    }

    /// Removes a container that is not running, with its files, unless those are kept as remains. No error when
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Running`], [`Error::Io`], [`Error::Network`]
    pub async fn remove(&self, id: &ContainerId) -> Result<(), Error> {
        let Ok(entry) = self.entry(id) else { return Ok(()) };
        if matches!(*entry.status.borrow(), Status::Running { .. }) {
            return Err(Error::Running(id.clone()));
        }
        drop(entry.start_word.lock().take());
        self.let_go(id).await?;
        // An error means that nobody follows it any more, which is as good.
        let mut over = entry.over.clone();
        drop(over.wait_for(|over| *over).await);
        self.discard(id, &entry.dir).await?;
        self.inner.entries.lock().remove(id);
        Ok(())
    }

    /// Removes what the node as such has on the host: bridge, firewall table, control group. Containers that still
    /// run lose their network, and keep the group.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::Io`]
    pub async fn dismantle(&self) -> Result<(), Error> {
        self.inner.network.dismantle().await?;
        // What a stopped container still has to ship is beside its root, not in it.
        for mount in rootfs::mounts_below(&self.inner.config.data).map_err(Error::io("find mounts"))? {
            rootfs::unmount_at(&mount).map_err(Error::io("unmount a container's root"))?;
        }
        cgroup::remove(&self.inner.config.cgroup_root).map_err(Error::io("remove the node's control group"))
    }

    async fn discard(&self, id: &ContainerId, dir: &Path) -> Result<(), Error> {
        self.inner.network.detach(id).await?;
        let (inner, id, dir) = (self.inner.clone(), id.clone(), dir.to_owned());
        let cleared = tokio::task::spawn_blocking(move || {
            for mount in rootfs::mounts_below(&dir)? {
                rootfs::unmount_at(&mount)?;
            }
            inner.sandboxes.leave(&id)?;
            inner.groups.leave(&id)?;
            inner.volumes.leave(&id)?;
            if inner.config.keeps_remains && dir.join(records::STARTED).exists() {
                let kept = Remains::of(&inner.config.data).keep(&id, &dir);
                let Err(error) = kept else { return Ok(()) };
                tracing::warn!(container = %id, %error, "what is left of the container cannot be kept");
            }
            rootfs::remove_dir(&dir)
        });
        cleared.await.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(Error::io("remove the container"))
    }

    /// Begins to follow a container; `shim` is its shim, if that lives.
    fn know(&self, id: &ContainerId, dir: PathBuf, mut shim: Option<ShimProcess>) {
        let start_word = Mutex::new(shim.as_mut().and_then(|shim| shim.start_word.take()));
        let (config, network) = (&self.inner.config, &self.inner.network);
        let (follower, seen) = Follower::new(id, &dir, &config.shim, network);
        let Seen { status, stirred, over, verdicts } = seen;
        let entry = Entry { dir, status, stirred, over, start_word, verdicts };
        self.inner.entries.lock().insert(id.clone(), Arc::new(entry));
        tokio::spawn(follower.follow(shim));
    }

    fn entry(&self, id: &ContainerId) -> Result<Arc<Entry>, Error> {
        self.inner.entries.lock().get(id).cloned().ok_or_else(|| Error::Unknown(id.clone()))
    }

    fn dir(&self, id: &ContainerId) -> PathBuf {
        self.inner.config.data.join("containers").join(id.as_str())
    }
}

fn not_running_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::NotRunning(_)) => Ok(()),
        other => other,
    }
}

/// A privileged container has every device; what it asks for beside them, it may have under another name.
fn devices_of(spec: &ContainerSpec) -> Result<Vec<devices::Node>, Error> {
    let mut nodes = if spec.privileged { devices::all()? } else { Vec::new() };
    nodes.extend(devices::resolve(&spec.devices)?);
    Ok(nodes)
}

/// The shim needs the FIFO before anything else is there.
fn make_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    Ok(mkfifoat(CWD, dir.join(records::WAKE), Mode::RUSR | Mode::WUSR)?)
}

fn list(root: &Path) -> io::Result<Vec<ContainerId>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        names.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(names)
}

/// The shim that a former agent started, if it still lives.
fn living_shim(dir: &Path) -> io::Result<Option<ShimProcess>> {
    // An empty or half-written file is a shim that had not come far, and has nobody left to start it.
    let named: Option<ProcessRef> = read_json(&dir.join(records::LOCK)).unwrap_or_default();
    let handle = named.map(ProcessRef::open).transpose()?.flatten();
    handle.map(ShimProcess::adopted).transpose()
}

#[cfg(test)]
mod tests;
