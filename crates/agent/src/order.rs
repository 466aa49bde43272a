//! Orders: tasks in the agent's own words, read from what the agent protocol says.
//!
//! The reader refuses by name what this agent cannot do; such a task is accepted, never begun, and
//! ends with that text, so that no part of a definition is passed over in silence.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

mod given;
mod lifecycle;
mod logs;
mod read;
mod size;
#[cfg(test)]
mod tests;
mod volumes;

pub use given::{Device, Link, Security, Sharing};
pub use lifecycle::{Condition, Dependency, HealthCheck, RestartPolicy};
pub use logs::{Attributes, AwsLogs, FileLogs, Logs, Multiline, TAG_FIELDS};
pub use read::{OrderError, Reader};
pub use volumes::{Backing, MountPoint, Source, Volume, VolumesFrom};

/// Seconds between the stop signal and SIGKILL, when the container says nothing (ECS's ECS_CONTAINER_STOP_TIMEOUT).
pub const STOP_TIMEOUT_DEFAULT_S: i64 = 30;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskOrder {
    pub arn: String,
    /// The cluster's ARN.
    pub cluster: String,
    pub network: Network,
    #[serde(default)]
    pub pid: Sharing,
    #[serde(default)]
    pub ipc: Sharing,
    /// What its containers have together at most: 1,024 for one processor's worth, and MiB.
    pub cpu_units: Option<u64>,
    pub memory_mib: Option<u64>,
    #[serde(default)]
    pub volumes: Vec<Volume>,
    pub containers: Vec<ContainerOrder>,
    /// What about it this agent cannot do, as a task's reason.
    pub refusal: Option<String>,
}

impl TaskOrder {
    /// The ARN's last part.
    pub fn id(&self) -> &str {
        id_of(&self.arn)
    }
}

/// The last part of a task's ARN.
pub fn id_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    None,
    Host,
    #[default]
    Bridge,
}

/// Empty or absent means: as the image, or Docker, has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerOrder {
    pub name: String,
    pub image: String,
    /// It lies in the control plane's own registry, whatever the reference calls that.
    #[serde(default)]
    pub own_registry: bool,
    /// What about it this agent cannot do, as a container's reason.
    #[serde(default)]
    pub refusal: Option<String>,
    pub essential: bool,
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    pub user: String,
    pub working_dir: String,
    pub hostname: String,
    /// 1,024 for one processor's worth.
    pub cpu_shares: Option<u64>,
    pub memory_mib: Option<u64>,
    pub memory_reservation_bytes: Option<u64>,
    pub ports: Vec<Port>,
    pub network_disabled: bool,
    pub readonly_rootfs: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub tmpfs: Vec<Tmpfs>,
    #[serde(default)]
    pub mount_points: Vec<MountPoint>,
    #[serde(default)]
    pub volumes_from: Vec<VolumesFrom>,
    pub shm_bytes: Option<u64>,
    pub sysctls: BTreeMap<String, String>,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub extra_hosts: Vec<(String, IpAddr)>,
    #[serde(default)]
    pub links: Vec<Link>,
    #[serde(default)]
    pub privileged: bool,
    #[serde(default)]
    pub security: Security,
    #[serde(default)]
    pub devices: Vec<Device>,
    /// An init process as pid 1.
    #[serde(default)]
    pub init: bool,
    /// Memory and swap together; −1 for no limit.
    #[serde(default)]
    pub memory_swap_bytes: Option<i64>,
    /// 0 to 100.
    #[serde(default)]
    pub swappiness: Option<u64>,
    /// A terminal for its output, and its input when that stays open.
    #[serde(default)]
    pub terminal: bool,
    #[serde(default)]
    pub stdin_open: bool,
    /// Docker labels: kept for whoever asks for the container's metadata.
    pub labels: BTreeMap<String, String>,
    pub stop_timeout_s: i64,
    pub logs: Logs,
    pub depends_on: Vec<Dependency>,
    /// How long those that depend on its end or its health wait for that, from its start on.
    pub start_timeout_s: Option<i64>,
    pub health_check: Option<HealthCheck>,
    pub restart: Option<RestartPolicy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub container_port: u16,
    /// None: the machine's choice.
    pub host_port: Option<u16>,
    pub udp: bool,
    /// The last port of a range that begins with `container_port`.
    #[serde(default)]
    pub range_end: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    pub path: String,
    pub size_bytes: u64,
    /// Mount options, without the size.
    pub options: Vec<String>,
}
