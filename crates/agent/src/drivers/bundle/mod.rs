//! The OCI runtime configuration (`config.json`) of a container, with Docker's defaults:
//! <https://github.com/opencontainers/runtime-spec/blob/main/config.md>.
//!
//! Labels never become annotations: crun takes orders from some of them.

mod caps;
mod mounts;
mod seccomp;
mod users;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::cgroup::Layout;
use super::spec::{BindMount, CPU_SHARES_MIN, ContainerSpec, NetworkMode, Ulimit};
use super::{Error, rootfs};
pub use users::ProcessUser;

/// The version of the runtime specification whose fields are used.
const OCI_VERSION: &str = "1.0.2";
/// What Docker gives an image that sets none.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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
    pub cgroup: &'a str,
    pub layout: Layout,
    /// A limit on memory and swap together can be set.
    pub counts_swap: bool,
    /// Open files that the agent may have.
    pub nofile_max: u64,
}

/// The configuration of `spec`, whose root is `rootfs` beside it.
pub(crate) fn config(spec: &ContainerSpec, host: &Host<'_>) -> Result<Value, Error> {
    let caps = caps::granted(&spec.cap_add, &spec.cap_drop)?;
    Ok(json!({
        "ociVersion": OCI_VERSION,
        "hostname": spec.hostname,
        "root": { "path": rootfs::ROOTFS, "readonly": spec.readonly_rootfs },
        "mounts": mounts::all(spec, &host.etc),
        "process": {
            "terminal": false,
            "user": { "uid": host.user.uid, "gid": host.user.gid, "additionalGids": host.user.groups },
            "args": spec.args,
            "env": environment(spec),
            "cwd": working_directory(spec),
            "capabilities": capabilities(&caps, host.user.uid),
            "rlimits": rlimits(&spec.ulimits, host.nofile_max)?,
            "noNewPrivileges": false,
            "oomScoreAdj": 0,
        },
        "linux": {
            "cgroupsPath": host.cgroup,
            "namespaces": namespaces(spec, host),
            "resources": resources(spec, host.counts_swap),
            "sysctl": sysctls(spec),
            "seccomp": seccomp::profile(&caps),
            "maskedPaths": mounts::MASKED,
            "readonlyPaths": mounts::READ_ONLY,
        },
    }))
}

pub(crate) fn working_directory(spec: &ContainerSpec) -> &str {
    if spec.cwd.is_empty() { "/" } else { &spec.cwd }
}

fn environment(spec: &ContainerSpec) -> Vec<String> {
    let mut env: BTreeMap<&str, &str> =
        [("PATH", PATH_DEFAULT), ("HOSTNAME", spec.hostname.as_str())].into_iter().collect();
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
    let mut namespaces: Vec<Value> = ["ipc", "mount", "pid", "uts"].map(|kind| json!({ "type": kind })).into();
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

fn resources(spec: &ContainerSpec, counts_swap: bool) -> Value {
    // The runtimes add the devices that every container has: null, zero, full, random, urandom, tty, pts.
    let mut resources = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    if let Some(shares) = spec.cpu_shares {
        resources["cpu"] = json!({ "shares": shares.max(CPU_SHARES_MIN) });
    }
    if let Some(limit) = spec.pids_limit {
        resources["pids"] = json!({ "limit": limit });
    }
    if let Some(bytes) = spec.memory_limit_bytes {
        resources["memory"]["limit"] = json!(bytes);
        if counts_swap {
            // Docker's default for --memory-swap: as much swap as memory.
            resources["memory"]["swap"] = json!(bytes.saturating_mul(2));
        }
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
