//! What is mounted in a container beside its root: Docker's defaults, then what the task asks for.

use serde_json::{Value, json};

use crate::drivers::spec::{BindMount, ContainerSpec, SHM_BYTES_DEFAULT, Tmpfs};

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

/// All mounts in the order in which the runtime makes them; `etc` are the files that the node provides.
pub(super) fn all(spec: &ContainerSpec, etc: &[BindMount]) -> Vec<Value> {
    let shm_size = format!("size={}", spec.shm_bytes.unwrap_or(SHM_BYTES_DEFAULT));
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm_size]),
    ];
    let mut asked: Vec<(&str, Value)> = Vec::new();
    asked.extend(etc.iter().chain(&spec.mounts).map(|bind| (bind.target.as_str(), bound(bind))));
    asked.extend(spec.tmpfs.iter().map(|tmpfs| (tmpfs.target.as_str(), tmpfs_mount(tmpfs))));
    // A mount under another must come after it, in whatever order they were asked for.
    asked.sort_by_key(|(target, _)| target.split('/').filter(|part| !part.is_empty()).count());
    mounts.extend(asked.into_iter().map(|(_, mount)| mount));
    mounts
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}

fn bound(bind: &BindMount) -> Value {
    let access = if bind.read_only { "ro" } else { "rw" };
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
