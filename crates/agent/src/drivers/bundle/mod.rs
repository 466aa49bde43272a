//! The OCI runtime configuration (`config.json`) of a container, with Docker's defaults:
//! <https://github.com/opencontainers/runtime-spec/blob/main/config.md>.
//!
//! Labels never become annotations: crun takes orders from some of them.

pub(crate) mod caps;
mod mounts;
mod seccomp;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::cgroup::Layout;
use super::devices::Node;
use super::spec::{BindMount, CPU_SHARES_MIN, ContainerSpec, NetworkMode, Sharing, Ulimit};
use super::{Error, confinement, rootfs};
pub use users::ProcessUser;

/// The version of the runtime specification whose fields are used.
const OCI_VERSION: &str = "1.0.2";
/// What Docker gives an image that sets none.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What Docker gives a container with a terminal.
const TERM: &str = "xterm";
/// Open files of a container that asks for no `nofile`, soft and hard: the ECS default on Fargate,
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html>, "ulimits".
/// Less where the agent itself has less, since not every root may raise it.
const NOFILE_DEFAULT: u64 = 65_535;
/// Resource limits by their ECS names.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What a specification comes to on this host.
pub(crate) struct Host<'a> {
    pub user: ProcessUser,
    /// The pinned network namespace of a bridged container.
    pub netns: Option<PathBuf>,
    /// The node's files under `/etc`.
    pub etc: Vec<BindMount>,
    /// The container's volumes.
    pub volumes: Vec<BindMount>,
    /// Read-only mounts can be so with all that is mounted beneath them.
    pub recursively_read_only: bool,
    pub cgroup: &'a str,
    pub layout: Layout,
    /// A limit on memory and swap together can be set.
    pub counts_swap: bool,
    /// Open files that the agent may have.
    pub nofile_max: u64,
    /// Capabilities that the agent can give, a bit each.
    pub givable_caps: u64,
    /// The file of the init process.
    pub init: &'a Path,
    /// The namespaces that the container's group shares.
    pub sandbox: Option<Sandbox>,
    /// Of a privileged container all that the host has, beside those that it asks for.
    pub devices: Vec<Node>,
}

/// What holds shared namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// A process that lives in them.
    pub pid: i32,
    /// Where their shared memory is mounted on the host.
    pub shm: PathBuf,
}

/// The configuration of `spec`, whose root is `rootfs` beside it.
pub(crate) fn config(spec: &ContainerSpec, host: &Host<'_>) -> Result<Value, Error> {
    let caps = match spec.privileged {
        true => caps::all(host.givable_caps),
        false => caps::granted(&spec.cap_add, &spec.cap_drop, host.givable_caps)?,
    };
    let mut config = json!({
        "ociVersion": OCI_VERSION,
        "hostname": spec.hostname,
        "root": { "path": rootfs::ROOTFS, "readonly": spec.readonly_rootfs },
        "mounts": mounts::all(spec, host),
        "process": {
            "terminal": spec.terminal,
            "user": { "uid": host.user.uid, "gid": host.user.gid, "additionalGids": host.user.groups },
            "args": arguments(spec),
            "env": environment(spec),
            "cwd": working_directory(spec),
            "capabilities": capabilities(&caps, host.user.uid),
            "rlimits": rlimits(&spec.ulimits, host.nofile_max)?,
            "noNewPrivileges": spec.security.no_new_privileges,
            "oomScoreAdj": 0,
        },
        "linux": {
            "cgroupsPath": host.cgroup,
            "namespaces": namespaces(spec, host),
            "devices": host.devices.iter().map(Node::entry).collect::<Vec<_>>(),
            "resources": resources(spec, host),
            "sysctl": sysctls(spec),
        },
    });
    if !spec.privileged {
        config["linux"]["maskedPaths"] = json!(mounts::MASKED);
        config["linux"]["readonlyPaths"] = json!(mounts::READ_ONLY);
    }
    if !spec.privileged && !spec.security.without_seccomp {
        config["linux"]["seccomp"] = seccomp::profile(&caps);
    }
    if let Some(profile) = spec.security.apparmor.as_ref().filter(|_| confinement::apparmor_is_on()) {
        config["process"]["apparmorProfile"] = json!(profile);
    }
    refuse_zero(&config)?;
    Ok(config)
}

/// Runtimes read a zero byte as a text's end, and would lose the rest without a word.
fn refuse_zero(config: &Value) -> Result<(), Error> {
    let parts = [
        ("/process/args", "command"),
        ("/process/env", "environment"),
        ("/process/cwd", "workingDirectory"),
        ("", "configuration"),
    ];
    match parts.into_iter().find(|(part, _)| config.pointer(part).is_some_and(has_zero)) {
        Some((_, field)) => Err(Error::Spec { field, problem: "it has a zero byte".to_owned() }),
        None => Ok(()),
    }
}

/// True when a text somewhere in `value` has a zero byte.
pub(crate) fn has_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_zero),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_zero(value)),
        _ => false,
    }
}

/// The init process takes the command as its arguments.
fn arguments(spec: &ContainerSpec) -> Vec<&str> {
    let init = spec.init.then_some(mounts::INIT);
    init.into_iter().chain(spec.args.iter().map(String::as_str)).collect()
}

pub(crate) fn working_directory(spec: &ContainerSpec) -> &str {
    if spec.cwd.is_empty() { "/" } else { &spec.cwd }
}

fn environment(spec: &ContainerSpec) -> Vec<String> {
    let mut env: BTreeMap<&str, &str> =
        [("PATH", PATH_DEFAULT), ("HOSTNAME", spec.hostname.as_str())].into_iter().collect();
    if spec.terminal {
        env.insert("TERM", TERM);
    }
    env.extend(spec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// As execve(2) would have it, only root holds its capabilities from the start; others may gain them from
/// files. The inheritable and ambient sets stay empty, as in Docker.
fn capabilities(caps: &std::collections::BTreeSet<&str>, uid: u32) -> Value {
    if uid == 0 {
        json!({ "bounding": caps, "effective": caps, "permitted": caps })
    } else {
        json!({ "bounding": caps })
    }
}

fn rlimits(ulimits: &[Ulimit], nofile_max: u64) -> Result<Vec<Value>, Error> {
    let nofile = NOFILE_DEFAULT.min(nofile_max);
    let mut limits: BTreeMap<&str, (u64, u64)> = [("nofile", (nofile, nofile))].into_iter().collect();
    for ulimit in ulimits {
        let problem = if !ULIMITS.contains(&ulimit.name.as_str()) {
            format!("no limit is named {:?}", ulimit.name)
        } else if ulimit.soft > ulimit.hard {
            format!("the soft limit of {} is above the hard limit", ulimit.name)
        } else {
            limits.insert(&ulimit.name, (ulimit.soft, ulimit.hard));
            continue;
        };
        return Err(Error::Spec { field: "ulimits", problem });
    }
    let entry = |(name, (soft, hard)): (&str, (u64, u64))| json!({ "type": format!("RLIMIT_{}", name.to_ascii_uppercase()), "soft": soft, "hard": hard });
    Ok(limits.into_iter().map(entry).collect())
}

fn namespaces(spec: &ContainerSpec, host: &Host<'_>) -> Vec<Value> {
    let mut namespaces: Vec<Value> = ["mount", "uts"].map(|kind| json!({ "type": kind })).into();
    for (kind, sharing) in [("ipc", spec.ipc), ("pid", spec.pid)] {
        match (sharing, &host.sandbox) {
            (Sharing::Host, _) => {}
            (Sharing::Group, Some(sandbox)) => {
                namespaces.push(json!({ "type": kind, "path": format!("/proc/{}/ns/{kind}", sandbox.pid) }));
            }
            (Sharing::Own | Sharing::Closed | Sharing::Group, _) => namespaces.push(json!({ "type": kind })),
        }
    }
    // With version 1 Docker leaves containers in the host's cgroup namespace, and programs rely on it.
    if host.layout == Layout::Unified {
        namespaces.push(json!({ "type": "cgroup" }));
    }
    match (&spec.network, &host.netns) {
        (NetworkMode::Host, _) => {}
        (_, Some(path)) => namespaces.push(json!({ "type": "network", "path": path })),
        // A fresh one, in which the runtime brings loopback up.
        (_, None) => namespaces.push(json!({ "type": "network" })),
    }
    namespaces
}

fn resources(spec: &ContainerSpec, host: &Host<'_>) -> Value {
    // The runtimes add the devices that every container has: null, zero, full, random, urandom, tty, pts.
    let mut devices = vec![json!({ "allow": spec.privileged, "access": "rwm" })];
    devices.extend(host.devices.iter().filter(|_| !spec.privileged).map(Node::rule));
    let mut resources = json!({ "devices": devices });
    if let Some(shares) = spec.cpu_shares {
        resources["cpu"] = json!({ "shares": shares.max(CPU_SHARES_MIN) });
    }
    if let Some(limit) = spec.pids_limit {
        resources["pids"] = json!({ "limit": limit });
    }
    if let Some(bytes) = spec.memory_limit_bytes {
        resources["memory"]["limit"] = json!(bytes);
        if host.counts_swap {
            // Docker's default for --memory-swap: as much swap as memory.
            let doubled = || i64::try_from(bytes.saturating_mul(2)).unwrap_or(i64::MAX);
            resources["memory"]["swap"] = json!(spec.memory_swap_bytes.unwrap_or_else(doubled));
        }
    }
    // Version 2 knows no swappiness of a group, and Docker leaves it out there.
    if let Some(value) = spec.swappiness.filter(|_| host.layout != Layout::Unified) {
        resources["memory"]["swappiness"] = json!(value);
    }
    if let Some(bytes) = spec.memory_reservation_bytes {
        resources["memory"]["reservation"] = json!(bytes);
    }
    resources
}

/// Docker lets any user of a container's own network bind low ports and send echo requests.
fn sysctls(spec: &ContainerSpec) -> BTreeMap<&str, &str> {
    let mut sysctls = BTreeMap::new();
    if spec.network != NetworkMode::Host {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start", "0");
        sysctls.insert("net.ipv4.ping_group_range", "0 2147483647");
    }
    sysctls.extend(spec.sysctls.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    sysctls
}

/// Open files that this process may have, and so may give.
pub(crate) fn nofile_max() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
