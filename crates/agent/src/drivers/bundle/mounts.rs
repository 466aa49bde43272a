//! What is mounted in a container beside its root: Docker's defaults, then what the task asks for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Host;
use crate::drivers::spec::{BindMount, ContainerSpec, SHM_BYTES_DEFAULT, Sharing, Tmpfs};

/// Hidden from containers, as by Docker.
pub(super) const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Shown to containers, but not writable, as by Docker.
pub(super) const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Options of a tmpfs that a task mounts, before its own, as `docker run --tmpfs` has them.
const TMPFS_OPTIONS: [&str; 3] = ["noexec", "nosuid", "nodev"];

/// Where the init process is shown, as in Docker.
pub(super) const INIT: &str = "/sbin/docker-init";

/// All mounts in the order in which the runtime makes them.
pub(super) fn all(spec: &ContainerSpec, host: &Host<'_>) -> Vec<Value> {
    let access = if spec.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    mounts.extend(shared_memory(spec, host));
    let own: BTreeSet<&Path> =
        spec.targets().chain(host.volumes.iter().map(|bind| &bind.target)).map(Path::new).collect();
    mounts.retain(|mount| !is_replaced(Path::new(mount["destination"].as_str().unwrap_or_default()), &own));
    let mut asked: Vec<(&str, Value)> = Vec::new();
    let init = spec.init.then(|| BindMount { source: host.init.into(), target: INIT.to_owned(), read_only: true });
    let given = init.iter().chain(&host.etc).filter(|bind| !own.contains(Path::new(&bind.target)));
    asked.extend(given.map(|bind| (bind.target.as_str(), bound(bind, false))));
    let binds = spec.mounts.iter().chain(&host.volumes);
    asked.extend(binds.map(|bind| (bind.target.as_str(), bound(bind, host.recursively_read_only))));
    asked.extend(spec.tmpfs.iter().map(|tmpfs| (tmpfs.target.as_str(), tmpfs_mount(tmpfs))));
    // A mount under another must come after it, in whatever order they were asked for.
    asked.sort_by_key(|(target, _)| target.split('/').filter(|part| !part.is_empty()).count());
    mounts.extend(asked.into_iter().map(|(_, mount)| mount));
    mounts
}

/// What a container mounts itself is there instead of what every container has, and `/dev` with all beneath it.
fn is_replaced(given: &Path, own: &BTreeSet<&Path>) -> bool {
    own.contains(given) || (own.contains(Path::new("/dev")) && given.starts_with("/dev"))
}

/// Of the same IPC namespace as the container; a closed one has none.
fn shared_memory(spec: &ContainerSpec, host: &Host<'_>) -> Option<Value> {
    let theirs = |source: &str| mount("/dev/shm", "bind", source, &["rbind", "rprivate", "rw"]);
    match (spec.ipc, &host.sandbox) {
        (Sharing::Closed, _) => None,
        (Sharing::Host, _) => Some(theirs("/dev/shm")),
        (Sharing::Group, Some(sandbox)) => Some(theirs(&sandbox.shm.to_string_lossy())),
        (Sharing::Own | Sharing::Group, _) => {
            let size = format!("size={}", spec.shm_bytes.unwrap_or(SHM_BYTES_DEFAULT));
            Some(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]))
        }
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

/// Beneath a file nothing can be mounted, and crun takes it amiss to be asked for that.
fn bound(bind: &BindMount, recursively: bool) -> Value {
    let access = match bind.read_only {
        true if recursively && bind.source.is_dir() => "rro",
        true => "ro",
        false => "rw",
    };
    mount(&bind.target, "bind", &bind.source.to_string_lossy(), &["rbind", "rprivate", access])
}

fn tmpfs_mount(tmpfs: &Tmpfs) -> Value {
    let size = format!("size={}", tmpfs.size_bytes);
    let mut options = TMPFS_OPTIONS.to_vec();
    options.push(&size);
    // A later option undoes an earlier one: `exec` after `noexec`.
    options.extend(tmpfs.options.iter().map(String::as_str));
    mount(&tmpfs.target, "tmpfs", "tmpfs", &options)
}
