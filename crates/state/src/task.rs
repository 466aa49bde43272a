//! Tasks: one row each, kept for a while after they stopped.

use crate::{DesiredStatus, Held, PortMapping, PortProtocol, Tags};
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use store::{Key, key, table};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub account: String,
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// 32 hexadecimal digits.
    pub id: String,
    pub family: String,
    pub revision: u32,
    /// The container instance's id; a task that waits for capacity has none.
    pub instance: Option<String>,
    pub group: String,
    pub started_by: Option<String>,
    pub launch_type: String,
    pub desired: DesiredStatus,
    pub last: LastStatus,
    pub containers: Vec<TaskContainer>,
    /// The TaskOverride document as RunTask was given it, every container named.
    pub overrides: String,
    /// CPU units that placement reserved.
    pub cpu: u32,
    /// MiB that placement reserved.
    pub memory_mib: u32,
    /// The task-level `cpu` and `memory` as the API shows them, if any.
    pub cpu_shown: Option<String>,
    pub memory_shown: Option<String>,
    pub times: Timeline,
    /// Why it was placed there: what placement saw.
    pub because: String,
    pub stop_code: Option<String>,
    pub stopped_reason: Option<String>,
    /// The principal's ARN that asked to stop it.
    pub stopped_by: Option<String>,
    pub delivery: Delivery,
    /// How output of containers is delivered whose definitions do not say it.
    #[serde(default)]
    pub log_mode: LogMode,
    pub tags: Tags,
    /// One more for each change that makes an event.
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LastStatus {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl LastStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// A container's health, as the checks of its definition have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// No check decided it yet.
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }

    /// Reads the wire's words.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unknown, Self::Healthy, Self::Unhealthy].into_iter().find(|health| health.as_str() == text)
    }
}

/// When a task reached its stations; absent until it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub created: Timestamp,
    pub connectivity: Option<Timestamp>,
    pub pull_started: Option<Timestamp>,
    pub pull_stopped: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub stopping: Option<Timestamp>,
    pub execution_stopped: Option<Timestamp>,
    pub stopped: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskContainer {
    pub name: String,
    /// The UUID at the end of the container's ARN.
    pub uuid: String,
    pub image: String,
    pub image_digest: Option<String>,
    /// The runtime's own id: 64 hexadecimal digits.
    pub runtime_id: Option<String>,
    /// PENDING, RUNNING or STOPPED: all that a node reports of a container.
    pub last: LastStatus,
    /// None for a container whose definition has no health check.
    pub health: Option<Health>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub bindings: Vec<NetworkBinding>,
    pub essential: bool,
    pub cpu: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
    /// The mappings that placement reserved; host port 0 is the node's choice.
    pub ports: Vec<PortMapping>,
    pub log: Option<TaskLog>,
}

/// A container port as it is reachable on the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkBinding {
    pub bind_ip: String,
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: PortProtocol,
    /// The last ports, inside and on the node, of a range that begins with the above.
    #[serde(default)]
    pub range_ends: Option<(u16, u16)>,
}

impl NetworkBinding {
    /// Every port that it takes of the node.
    pub fn host_ports(&self) -> RangeInclusive<u16> {
        self.host_port..=self.range_ends.map_or(self.host_port, |(_, last)| last)
    }
}

/// Where a container's output goes by the awslogs driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLog {
    pub group: String,
    pub region: String,
    /// With a prefix the stream is `prefix/container/task-id`, without one it is the container's runtime id.
    pub stream_prefix: Option<String>,
    pub create_group: bool,
}

/// What happens to output that cannot be delivered yet (Amazon ECS API reference, LogConfiguration, "mode").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogMode {
    /// The container waits.
    Blocking,
    /// A buffer holds it, and what does not fit is lost.
    #[default]
    NonBlocking,
}

impl LogMode {
    /// The word of the API and of Docker.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::NonBlocking => "non-blocking",
        }
    }
}

/// What the node has acknowledged of this task; unacknowledged orders are sent again at each connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub run_acknowledged: bool,
    pub stop_acknowledged: bool,
    /// When each order was sent and acknowledged.
    pub run: Option<Handover>,
    pub stop: Option<Handover>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    pub sent: Timestamp,
    pub acknowledged: Timestamp,
}

impl Task {
    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.cluster, &self.id)
    }

    pub fn arn_of(account: &str, region: &str, cluster: &str, id: &str) -> Arn {
        Arn::new("ecs", region, account, format!("task/{cluster}/{id}"))
    }

    /// What the indexes by instance find it under.
    fn place(&self) -> Option<Key> {
        self.instance.as_ref().map(|instance| key![self.account, self.region, self.cluster, instance])
    }

    /// The order that its node has not acknowledged yet, if there is one.
    pub fn open_order(&self) -> Option<DesiredStatus> {
        let acknowledged = match self.desired {
            DesiredStatus::Running => self.delivery.run_acknowledged,
            DesiredStatus::Stopped => self.delivery.stop_acknowledged,
        };
        (self.holds_resources() && !acknowledged).then_some(self.desired)
    }

    /// The task's health, of its essential containers with a health check: UNHEALTHY before UNKNOWN before HEALTHY
    /// (Amazon ECS API reference, HealthCheck).
    pub fn health(&self) -> Health {
        let checked = || self.containers.iter().filter(|container| container.essential).filter_map(|it| it.health);
        [Health::Unhealthy, Health::Unknown].into_iter().find(|health| checked().any(|it| it == *health)).unwrap_or(
            match checked().next() {
                Some(_) => Health::Healthy,
                None => Health::Unknown,
            },
        )
    }

    /// True while it holds room on its node.
    pub fn holds_resources(&self) -> bool {
        self.last != LastStatus::Stopped
    }
}

impl TaskLog {
    /// The stream's name, once `runtime_id` is known or where it is not needed.
    pub fn stream(&self, container: &str, task_id: &str, runtime_id: Option<&str>) -> Option<String> {
        match &self.stream_prefix {
            Some(prefix) => Some(format!("{prefix}/{container}/{task_id}")),
            None => runtime_id.map(str::to_owned),
        }
    }
}

table! {
    pub TASKS: (account, region, cluster, id) => Task, kind = 0x0103, version = 1,
    by BY_INSTANCE(|task| task.place()),
    by HOLDING_BY_INSTANCE(|task| task.place().filter(|_| task.holds_resources())),
    by ORDERED_BY_INSTANCE(|task| task.place().filter(|_| task.open_order().is_some())),
    sum HELD_BY_INSTANCE(|task| task.place().filter(|_| task.holds_resources())) => Held
}
