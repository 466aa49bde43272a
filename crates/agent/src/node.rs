//! The agent as a process: its parts put together, to work or to stop what runs.

use crate::backoff::Backoff;
use crate::drivers::network::NetworkConfig;
use crate::drivers::roster::{self, Roster, RosterError};
use crate::drivers::runtime::{CANDIDATES, Runtime};
use crate::drivers::{self, Containers, ShimCommand, files, rootfs};
use crate::engine::{Engine, Hands, Link, Online};
use crate::images::options::ImageOptions;
use crate::images::{Images, OwnRegistry, Registries, Unpacker};
use crate::saved::Saved;
use crate::session::{Offer, Registered, Session, register};
use crate::task::Stopping;
use client::{AwsClient, CallError, Credentials};
use oci::Digest;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pauses between attempts to register.
const REGISTER_RETRY_MIN: Duration = Duration::from_millis(250);
const REGISTER_RETRY_MAX: Duration = Duration::from_secs(30);
/// Hexadecimal digits by which nodes on one machine tell their bridges and control groups apart; with
/// them a bridge's name has the 15 characters that Linux allows.
const SUFFIX_CHARS: usize = 5;

/// Under the node's folder: the files that containers keep beyond their lives.
const VOLUMES: &str = "volumes";

/// What an agent is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control plane, `http(s)://host[:port]`.
    pub endpoint: String,
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The node's own access key.
    pub credentials: Credentials,
    /// The node's own folder; made if need be.
    pub data_dir: PathBuf,
    /// Our own binary: `<shim> shim <container's folder>` enters [`crate::shim::main`].
    pub shim: PathBuf,
    pub images: ImageOptions,
    /// Its containers end with it.
    pub ephemeral: bool,
}

/// Why an agent cannot work, or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the node's folder {}: {source}", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("another agent works in {}; end it first", .0.display())]
    Locked(PathBuf),
    #[error("the agent of {} goes by the name {name} on this host; end it, or name another folder", other.display())]
    NameTaken { name: String, other: PathBuf },
    #[error("the saved tasks cannot be read: {0}; repair the disk, or remove the node's folder and its containers")]
    Saved(io::Error),
    #[error(transparent)]
    Drivers(#[from] drivers::Error),
    #[error(transparent)]
    Client(#[from] CallError),
    #[error("a job of the agent failed: {0}; the agent has to be started again")]
    Job(String),
}

/// Works as the cluster's node until `end` resolves; containers go on then. If the node is ephemeral they are
/// killed and removed, and so is what it has on the host.
///
/// # Errors
/// What keeps this machine from being a node. A control plane that cannot be reached is waited for.
pub async fn run(config: Config, end: impl Future<Output = ()>) -> Result<(), AgentError> {
    let mut end = std::pin::pin!(end);
    let machine = Machine::claim(&config.data_dir, &config.shim, !config.ephemeral).await?;
    let ephemeral = config.ephemeral;
    let mut node = tokio::select! {
        node = Node::begin(&machine, config) => node?,
        () = &mut end => return Ok(()),
    };
    tokio::select! {
        ended = node.engine.run(&mut node.link) => return ended,
        () = end => {}
    }
    // Neither orders nor the cleaning of images come between.
    node.helpers.shutdown().await;
    if ephemeral {
        node.engine.wipe().await?;
        machine.dismantle().await?;
    }
    Ok(())
}

/// A node at work.
struct Node {
    engine: Engine,
    link: Link,
    helpers: JoinSet<()>,
}

impl Node {
    async fn begin(machine: &Machine, config: Config) -> Result<Self, AgentError> {
        let aws = AwsClient::new(&config.endpoint, &config.region, config.credentials.clone())?;
        let found = machine.containers.adopt().await?;
        let registered = join(&aws, machine, &config.cluster).await;
        let unpacker = Unpacker {
            program: config.shim.clone(),
            args: vec!["unpack".to_owned()],
            disk_full_percent: config.images.cleanup.disk_high_water_percent,
        };
        let registries = Registries::new(OwnRegistry::at(registered.account(), &aws), aws.clone(), config.images);
        let images = Images::open(&machine.data_dir, registries, unpacker).map_err(machine.data_dir_error())?;
        let mut helpers = JoinSet::new();
        helpers.spawn(warm_up(machine.containers.clone(), images.clone()));
        let ((heard, hears), (says, outgoing)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let session = Session::new(aws.clone(), registered, machine.runtime.clone(), heard, outgoing);
        helpers.spawn(session.run());
        let (hands, events) = machine.hands(Some(Online { aws, images: images.clone() }));
        let engine = Engine::start(hands, events, found)?;
        // Only now is known what restored tasks need.
        helpers.spawn(images.keep_house());
        Ok(Self { engine, link: Link { heard: hears, outgoing: says }, helpers })
    }
}

/// Stops and removes all containers of a node whose agent does not run; the next agent reports their
/// ends. `shim` is as in [`Config`]; `tell` hears of each task that has to be waited for. Answers how many
/// containers ran. What breaks off in the middle is taken up by the next call, or the next agent.
///
/// # Errors
/// [`AgentError::Locked`] while the agent runs; what keeps containers from being stopped.
pub async fn stop_all(data_dir: &Path, shim: &Path, tell: impl FnMut(Stopping)) -> Result<usize, AgentError> {
    if !data_dir.is_dir() {
        return Ok(0);
    }
    let machine = Machine::claim(data_dir, shim, true).await?;
    let found = machine.containers.adopt().await?;
    let running = machine.containers.count_running()?;
    let (hands, events) = machine.hands(None);
    Engine::start(hands, events, found)?.stop_all(tell).await?;
    machine.dismantle().await?;
    Ok(running)
}

/// Forgets the tasks of a node whose agent does not run and whose containers are gone, and their volumes: nobody
/// hears of their ends. Who the node is, and its images, stay.
///
/// # Errors
/// When the folder cannot be changed.
pub fn forget_tasks(data_dir: &Path) -> io::Result<()> {
    Saved::forget_all(data_dir)?;
    // As the kernel names it: files of others may be mounted below, and are not to be removed.
    let volumes = fs::canonicalize(data_dir)?.join(VOLUMES);
    for mount in rootfs::mounts_below(&volumes)? {
        rootfs::unmount_at(&mount)?;
    }
    files::absent_is_fine(fs::remove_dir_all(volumes))
}

/// This machine's containers and saved tasks, held by one process at a time.
struct Machine {
    data_dir: PathBuf,
    containers: Containers,
    saved: Saved,
    /// Name and version of the OCI runtime.
    runtime: String,
    /// None on a host that keeps no roster for us.
    entry: Option<roster::Entry>,
    _lock: File,
}

impl Machine {
    async fn claim(data_dir: &Path, shim: &Path, keeps_remains: bool) -> Result<Self, AgentError> {
        let failed = |source| AgentError::DataDir { path: data_dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
        let data_dir = fs::canonicalize(data_dir).map_err(failed)?;
        let lock = File::create(data_dir.join("lock")).map_err(failed)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(AgentError::Locked(data_dir));
        }
        let saved = Saved::open(&data_dir).map_err(failed)?;
        let name = name_of(&data_dir);
        let entry = enter(&name, &data_dir).await?;
        let (scratch, cgroup_root) = (data_dir.clone(), format!("/{name}"));
        let probing = tokio::task::spawn_blocking(move || Runtime::probe(&CANDIDATES, &scratch, &cgroup_root));
        let runtime = probing.await.map_err(|panic| AgentError::Job(panic.to_string()))??;
        let runtime_name = format!("{} {}", runtime.name, runtime.version);
        tracing::info!(runtime = runtime_name, "containers are run by");
        let containers = Containers::open(drivers::Config {
            shim: ShimCommand { program: shim.to_owned(), args: vec!["shim".to_owned()] },
            data: data_dir.clone(),
            runtime,
            cgroup_root: format!("/{name}"),
            network: NetworkConfig { bridge: name, ..NetworkConfig::default() },
            keeps_remains,
        })?;
        Ok(Self { data_dir, containers, saved, runtime: runtime_name, entry, _lock: lock })
    }

    /// Removes what the node as such has on the host.
    async fn dismantle(&self) -> Result<(), AgentError> {
        self.containers.dismantle().await?;
        // The entry names a folder that is there: nobody minds it, and the next agent takes it over.
        if let Some(Err(error)) = self.entry.as_ref().map(roster::Entry::leave) {
            tracing::warn!(%error, "this node stays on the host's roster");
        }
        Ok(())
    }

    fn hands(&self, online: Option<Online>) -> (Hands, mpsc::UnboundedReceiver<crate::machine::Event>) {
        let (sender, events) = mpsc::unbounded_channel();
        let host_name = rustix::system::uname().nodename().to_string_lossy().into();
        let (containers, saved) = (self.containers.clone(), self.saved.clone());
        (Hands { containers, saved, host_name, online, events: sender }, events)
    }

    fn data_dir_error(&self) -> impl FnOnce(io::Error) -> AgentError {
        let path = self.data_dir.clone();
        move |source| AgentError::DataDir { path, source }
    }
}

/// Enters the host's roster, and sweeps away what the dead have left. A node can do without.
async fn enter(name: &str, data_dir: &Path) -> Result<Option<roster::Entry>, AgentError> {
    let roster = Roster::of_host();
    let entry = match roster.enter(name, data_dir) {
        Ok(entry) => Some(entry),
        Err(RosterError::Taken(other)) => return Err(AgentError::NameTaken { name: name.to_owned(), other }),
        Err(RosterError::Io(error)) => {
            tracing::warn!(%error, "no roster of this host's nodes; if this one is killed, it may leave its bridge");
            return Ok(None);
        }
    };
    match roster.sweep().await {
        Ok(swept) if swept.is_empty() => {}
        Ok(swept) => tracing::info!("cleared away what nodes without a folder had left: {}", swept.join(", ")),
        Err(error) => tracing::warn!(%error, "cannot look for what nodes without a folder have left"),
    }
    Ok(entry)
}

/// The node's bridge, and its control group: of its folder, so that several nodes fit on one machine.
fn name_of(data_dir: &Path) -> String {
    let digest = Digest::of(data_dir.as_os_str().as_encoded_bytes());
    format!("longshore-{}", &digest.hex()[..SUFFIX_CHARS])
}

/// Registers, for as long as it takes.
async fn join(aws: &AwsClient, machine: &Machine, cluster: &str) -> Registered {
    let offer = Offer { cores: cores(), memory_mib: memory_mib(), runtime: machine.runtime.clone() };
    let mut backoff = Backoff::new(REGISTER_RETRY_MIN, REGISTER_RETRY_MAX);
    loop {
        match register(aws, &machine.saved, cluster, &offer).await {
            Ok(registered) => return registered,
            Err(error) => tracing::warn!(%error, "this machine could not be registered; trying again"),
        }
        backoff.wait().await;
    }
}

/// Takes what can be done before the first task out of its way.
async fn warm_up(containers: Containers, images: Images) {
    if let Err(error) = images.sign_in().await {
        tracing::warn!(%error, "no sign-in at the registry yet");
    }
    if let Err(error) = containers.network().prepare().await {
        tracing::warn!(%error, "network mode bridge does not work on this machine; none and host do");
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// All of the machine's memory, MiB.
fn memory_mib() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_different_folders_do_not_meet() {
        let (one, other) = (name_of(Path::new("/a")), name_of(Path::new("/b")));
        assert_ne!(one, other);
        assert!(one.len() <= 15, "{one} is too long for a network device");
    }

    #[test]
    fn a_node_forgets_its_tasks_and_stays_who_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = |name: &str| dir.path().join(name);
        for folder in ["tasks/1", "volumes/shared/v/data", "layers/sha256"] {
            fs::create_dir_all(path(folder)).expect("made");
        }
        fs::write(path("node.json"), "{}").expect("written");
        fs::write(path("volumes/shared/v/data/file"), "kept").expect("written");
        forget_tasks(dir.path()).expect("forgotten");
        forget_tasks(dir.path()).expect("forgotten twice");
        assert!(path("node.json").exists() && path("layers/sha256").exists());
        assert!(!path("tasks").exists() && !path("volumes").exists());
    }

    #[test]
    fn the_machine_has_something_to_offer() {
        assert!(cores() >= 1);
        assert!(memory_mib() >= 64);
    }
}
