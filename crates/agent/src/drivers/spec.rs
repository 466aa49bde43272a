//! What a container should be, in neutral words: no ECS shape, no OCI shape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::cgroup::limits::Limits;
use super::{Error, Signal};

/// The longest container id: the 64 hexadecimal digits of a Docker id.
const CONTAINER_ID_LEN_MAX: usize = 64;
/// Docker's size of `/dev/shm` when none is asked for: 64 MiB.
pub const SHM_BYTES_DEFAULT: u64 = 64 << 20;
/// Linux's shortest cpu weight (cgroups v1, `cpu.shares`); what a container that asks for less is given.
pub const CPU_SHARES_MIN: u64 = 2;
/// The smallest memory limit that Docker accepts: 6 MiB.
pub const MEMORY_BYTES_MIN: u64 = 6 << 20;
/// Linux's greatest swappiness for a container, as in Docker.
const SWAPPINESS_MAX: u64 = 100;
/// The output a container may have waiting for a reader, when nothing else is asked for: 16 MiB.
pub const SPOOL_BYTES_DEFAULT: u64 = 16 << 20;

/// A container's name: letters, digits, `_`, `.` and `-`, at most 64. Also its directory's and cgroup's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > CONTAINER_ID_LEN_MAX || !text.bytes().all(plain) {
            let problem = format!("{text:?} is not 1 to {CONTAINER_ID_LEN_MAX} letters, digits, '_', '.' or '-'");
            return Err(Error::Spec { field: "container id", problem });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container to create. Sizes are bytes, paths inside the container absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Entry point and command, never empty.
    pub args: Vec<String>,
    /// Image and task environment, merged by the caller. PATH and HOSTNAME are added when absent.
    pub env: BTreeMap<String, String>,
    /// Working directory, made when the image lacks it; empty for `/`.
    pub cwd: String,
    /// `user`, `uid`, `user:group` or `uid:gid`, looked up in the image; empty for root.
    pub user: String,
    pub hostname: String,
    /// Directories of unpacked layers, the image's first layer first.
    pub layers: Vec<PathBuf>,
    pub network: NetworkMode,
    pub dns: Dns,
    /// Relative weight, 1024 for one processor's worth.
    pub cpu_shares: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    /// What it shares with other containers, beside its own limits.
    pub group: Option<SharedGroup>,
    /// Soft limit.
    pub memory_reservation_bytes: Option<u64>,
    pub pids_limit: Option<u64>,
    pub readonly_rootfs: bool,
    /// Capabilities over and under Docker's default set, with or without `CAP_`; `ALL` for all.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// All capabilities and devices, and nothing hidden or forbidden.
    pub privileged: bool,
    pub security: Security,
    pub devices: Vec<Device>,
    pub pid: Sharing,
    pub ipc: Sharing,
    /// Memory and swap together, −1 for no limit; twice the memory when none.
    pub memory_swap_bytes: Option<i64>,
    /// 0 to 100; the kernel's when none.
    pub swappiness: Option<u64>,
    /// A terminal: what it shows is the output, on one stream.
    pub terminal: bool,
    /// Standard input stays open, and nothing comes of it.
    pub stdin_open: bool,
    pub ulimits: Vec<Ulimit>,
    /// An init process as pid 1 (`docker run --init`).
    pub init: bool,
    pub tmpfs: Vec<Tmpfs>,
    /// Size of `/dev/shm`; [`SHM_BYTES_DEFAULT`] when none.
    pub shm_bytes: Option<u64>,
    /// A directory is made on the host where there is nothing.
    pub mounts: Vec<BindMount>,
    pub volumes: Vec<VolumeMount>,
    pub sysctls: BTreeMap<String, String>,
    /// The image's or task's stop signal; empty for SIGTERM.
    pub stop_signal: String,
    pub output: OutputSpec,
    /// After its end it is held as it is, to be started again.
    pub restartable: bool,
}

impl ContainerSpec {
    /// Refuses what cannot be meant.
    pub fn validate(&self) -> Result<(), Error> {
        if self.args.first().is_none_or(String::is_empty) {
            return Err(invalid("command", "no command specified: the image has none and the task gives none"));
        }
        if self.layers.is_empty() {
            return Err(invalid("image", "it has no layers"));
        }
        self.group.as_ref().map_or(Ok(()), |group| group.name.parse::<ContainerId>().map(|_| ()))?;
        let shares = [self.pid, self.ipc].contains(&Sharing::Group);
        if shares && self.group.is_none() {
            return Err(invalid("namespaces", "there is no group to share them with"));
        }
        let shared = self.group.as_ref().and_then(|group| group.limits.as_ref()?.memory_bytes);
        if self.memory_limit_bytes.into_iter().chain(shared).any(|bytes| bytes < MEMORY_BYTES_MIN) {
            return Err(invalid("memory", "the minimum memory limit allowed is 6 MiB"));
        }
        if let (Some(limit), Some(soft)) = (self.memory_limit_bytes, self.memory_reservation_bytes)
            && soft > limit
        {
            return Err(invalid("memoryReservation", "it is larger than the memory limit"));
        }
        if self.swappiness.is_some_and(|value| value > SWAPPINESS_MAX) {
            return Err(invalid("swappiness", "it is above 100"));
        }
        let devices = self.devices.iter().map(|device| &device.target);
        for path in devices.chain(self.targets()).chain((!self.cwd.is_empty()).then_some(&self.cwd)) {
            check_container_path(path)?;
        }
        let mut taken = BTreeSet::new();
        if let Some(twice) = self.targets().find(|target| !taken.insert(Path::new(target.as_str()))) {
            return Err(Error::Spec { field: "mountPoints", problem: format!("Duplicate mount point: {twice}") });
        }
        if taken.contains(Path::new("/")) {
            return Err(invalid("mountPoints", "destination can't be '/'"));
        }
        self.volumes.iter().try_for_each(|mount| mount.volume.validate())?;
        self.stop_signal().map(|_| ())
    }

    /// Where it has something of its own, in place of the image's.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &String> {
        let mounts = self.mounts.iter().map(|mount| &mount.target);
        let volumes = self.volumes.iter().map(|mount| &mount.target);
        mounts.chain(volumes).chain(self.tmpfs.iter().map(|tmpfs| &tmpfs.target))
    }

    pub(crate) fn stop_signal(&self) -> Result<Signal, Error> {
        if self.stop_signal.is_empty() { Ok(Signal::TERM) } else { self.stop_signal.parse() }
    }
}

fn invalid(field: &'static str, problem: &str) -> Error {
    Error::Spec { field, problem: problem.to_owned() }
}

fn check_container_path(text: &str) -> Result<(), Error> {
    let path = Path::new(text);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if path.is_absolute() && !climbs && !text.contains('\0') {
        return Ok(());
    }
    Err(Error::Spec { field: "container path", problem: format!("{text:?} is not absolute, or has a '..'") })
}

/// How a container reaches the network, as Docker's modes of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// A namespace of its own with loopback alone.
    #[default]
    None,
    /// The host's namespace.
    Host,
    /// A namespace of its own with an address on the node's bridge.
    Bridge { ports: Vec<PortMapping> },
}

/// A container port to publish on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    pub container_port: u16,
    /// None for a dynamic port.
    pub host_port: Option<u16>,
    pub protocol: Protocol,
    /// The last port of a range that begins with `container_port`; its host ports lie beside one another.
    pub range_end: Option<u16>,
}

impl PortMapping {
    /// How many ports it is about.
    pub fn count(&self) -> u16 {
        self.range_end.map_or(0, |last| last.saturating_sub(self.container_port)).saturating_add(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Name resolution beside the host's own; empty lists leave the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    /// Lines for `/etc/hosts`: a name, or several with spaces between, and its address.
    pub extra_hosts: Vec<(String, IpAddr)>,
}

/// Whose namespace a container lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Own,
    /// That of the container's [`SharedGroup`].
    Group,
    Host,
    /// Its own, without shared memory: of IPC alone.
    Closed,
}

/// Docker's security options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    pub no_new_privileges: bool,
    /// An AppArmor profile's name.
    pub apparmor: Option<String>,
    pub without_seccomp: bool,
}

/// A device of the host, or all below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub source: PathBuf,
    pub target: String,
    /// Of the letters `r`, `w`, `m`.
    pub access: String,
}

/// A control group for several containers, with limits on all of them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedGroup {
    /// As a container's id may be, and none's.
    pub name: String,
    /// None limits nothing, and makes no group.
    pub limits: Option<Limits>,
    /// Size of the shared memory of an IPC namespace that it shares; [`SHM_BYTES_DEFAULT`] when none.
    pub shm_bytes: Option<u64>,
}

/// A directory or file of the host, shown in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindMount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// A volume, and where a container has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    pub volume: Volume,
    pub target: String,
    pub read_only: bool,
    /// While it is empty, the image's files at the target are copied into it.
    pub filled: bool,
}

/// What keeps files beyond a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Of its directory.
    pub name: String,
    pub scope: VolumeScope,
    pub backing: Backing,
    pub labels: BTreeMap<String, String>,
}

/// How long a volume is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeScope {
    /// As long as the task of that id.
    Task(String),
    /// For whoever names it next; `made` where there is none of the name.
    Shared { made: bool },
}

/// Where a volume's files are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backing {
    /// In a directory of its own.
    #[default]
    Directory,
    /// In one of the host's, which must be there.
    Bind { path: PathBuf, read_only: bool },
    /// In memory; mount options as Docker takes them, separated by commas.
    Tmpfs(String),
}

impl Volume {
    /// Its name, and its task's, are those of directories, and stay among them.
    fn validate(&self) -> Result<(), Error> {
        let task = match &self.scope {
            VolumeScope::Task(id) => id.parse::<ContainerId>().map(|_| ()),
            VolumeScope::Shared { .. } => Ok(()),
        };
        match self.name.as_str() {
            "" | "." | ".." => Err(invalid("volume name", "it is not that of a directory")),
            name if name.contains(['/', '\0']) => Err(invalid("volume name", "it is not that of a directory")),
            _ => task,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    pub target: String,
    pub size_bytes: u64,
    /// Mount options as Docker takes them, such as `noexec` or `mode=1777`.
    pub options: Vec<String>,
}

/// A resource limit by its ECS name (`nofile`, `nproc`, ...), soft and hard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// Where a container's output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputSpec {
    /// It waits for a reader, in a spool with room for so much.
    Spool {
        overflow: Overflow,
        bytes_max: u64,
    },
    /// Into files beside the container.
    File(FileSpec),
    Nowhere,
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self::Spool { overflow: Overflow::Drop, bytes_max: SPOOL_BYTES_DEFAULT }
    }
}

/// Files of output as Docker's `json-file` writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Of one file; none for no bound.
    pub bytes_max: Option<u64>,
    /// The one that is written to, and those before it.
    pub files_max: u32,
    /// Those before it.
    pub compress: bool,
    /// Beside each line.
    pub attributes: BTreeMap<String, String>,
}

/// Docker's log modes: when the room is full, the container waits, or new output is counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// `blocking`.
    Block,
    /// `non-blocking`.
    Drop,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> ContainerSpec {
        ContainerSpec { args: vec!["/bin/true".into()], layers: vec!["/layer".into()], ..ContainerSpec::default() }
    }

    #[test]
    fn ids_stay_inside_their_directory() {
        fn check(text: &str, expect: bool) {
            assert_eq!(text.parse::<ContainerId>().is_ok(), expect, "{text:?}");
        }
        check("0123456789abcdef", true);
        check("a_b.c-d", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("..", false);
        check("-rf", false);
        check("a/b", false);
        check("a b", false);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        fn check(change: impl FnOnce(&mut ContainerSpec), expect: &str) {
            let mut spec = sound();
            change(&mut spec);
            let text = spec.validate().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(expect) && expect.is_empty() == text.is_empty(), "{text:?} lacks {expect:?}");
        }
        check(|_| (), "");
        check(|s| s.args.clear(), "no command specified");
        check(|s| s.layers.clear(), "no layers");
        check(|s| s.memory_limit_bytes = Some(MEMORY_BYTES_MIN - 1), "6 MiB");
        check(|s| s.memory_limit_bytes = Some(MEMORY_BYTES_MIN), "");
        check(
            |s| (s.memory_limit_bytes, s.memory_reservation_bytes) = (Some(8 << 20), Some(9 << 20)),
            "larger than the memory limit",
        );
        let group = |name: &str, memory_bytes| {
            let limits = Some(Limits { memory_bytes, ..Limits::default() });
            Some(SharedGroup { name: name.into(), limits, shm_bytes: None })
        };
        check(|s| s.group = group("task", Some(MEMORY_BYTES_MIN)), "");
        check(|s| s.group = group("task", Some(MEMORY_BYTES_MIN - 1)), "6 MiB");
        check(|s| s.group = group("../task", None), "is not 1 to 64 letters");
        check(|s| s.cwd = "relative".into(), "not absolute");
        check(|s| s.cwd = "/a/../b".into(), "'..'");
        check(|s| s.stop_signal = "SIGNOTHING".into(), "not a signal");
        let bind = |target: &str| BindMount { source: "/".into(), target: target.into(), read_only: true };
        check(|s| s.mounts = vec![bind("/a"), bind("/a/b")], "");
        check(|s| s.mounts = vec![bind("/a"), bind("/a/")], "Duplicate mount point: /a/");
        check(|s| s.mounts = vec![bind("//")], "destination can't be '/'");
        let volume = |name: &str| Volume {
            name: name.into(),
            scope: VolumeScope::Task("t".into()),
            backing: Backing::Directory,
            labels: BTreeMap::new(),
        };
        let mount =
            |name: &str| VolumeMount { volume: volume(name), target: "/a".into(), read_only: false, filled: true };
        check(|s| s.volumes = vec![mount("v")], "");
        check(|s| s.volumes = vec![mount("../v")], "not that of a directory");
        check(|s| (s.mounts, s.volumes) = (vec![bind("/a")], vec![mount("v")]), "Duplicate mount point: /a");
    }
}
