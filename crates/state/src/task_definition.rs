//! Task definitions: what the user wrote, and the extract that plans read.

use crate::Tags;
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub account: String,
    pub region: String,
    pub family: String,
    pub revision: u32,
    pub status: DefinitionStatus,
    pub registered_at: Timestamp,
    pub deregistered_at: Option<Timestamp>,
    pub delete_requested_at: Option<Timestamp>,
    /// The principal's ARN that registered it.
    pub registered_by: String,
    /// Canonical JSON of the definition as DescribeTaskDefinition gives it,
    /// with ECS's defaults filled in, without status, revision and times.
    pub document: String,
    pub spec: TaskSpec,
    pub tags: Tags,
}

/// A deleted revision stays until no task uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefinitionStatus {
    Active,
    Inactive,
    DeleteInProgress,
}

impl DefinitionStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

/// What placement, authorisation and the agent session need of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub network_mode: NetworkMode,
    /// CPU units (1,024 a core) at the task level, if given.
    pub cpu: Option<u32>,
    /// MiB at the task level, if given.
    pub memory_mib: Option<u32>,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    pub containers: Vec<ContainerSpec>,
    pub needs: Needs,
}

/// What an instance must be to take the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Attributes by name, and by value where it matters.
    pub attributes: Vec<(String, Option<String>)>,
    /// Expressions of the cluster query language.
    pub constraints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub name: String,
    pub image: String,
    pub essential: bool,
    /// It has a health check, whose results are shown.
    pub health_checked: bool,
    /// CPU units; 0 when not given.
    pub cpu: u32,
    /// Hard limit, MiB.
    pub memory_mib: Option<u32>,
    /// Soft limit, MiB.
    pub memory_reservation_mib: Option<u32>,
    pub ports: Vec<PortMapping>,
    /// Options of the awslogs driver, if that is the container's.
    pub awslogs: Option<crate::TaskLog>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container_port: u16,
    /// 0: the node chooses one.
    pub host_port: u16,
    pub protocol: PortProtocol,
    /// The last port of a range that begins with `container_port`.
    #[serde(default)]
    pub range_end: Option<u16>,
}

impl PortMapping {
    /// `first-last`, of a range.
    pub fn range(&self) -> Option<String> {
        self.range_end.map(|last| format!("{}-{last}", self.container_port))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PortProtocol {
    Tcp,
    Udp,
}

impl PortProtocol {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    Bridge,
    Host,
    None,
    Awsvpc,
}

impl NetworkMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
            Self::Awsvpc => "awsvpc",
        }
    }
}

/// A family's revision counter: it outlives every revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    pub account: String,
    pub region: String,
    pub name: String,
    pub last_revision: u32,
}

impl TaskDefinition {
    pub fn is_active(&self) -> bool {
        self.status == DefinitionStatus::Active
    }

    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.family, self.revision)
    }

    pub fn arn_of(account: &str, region: &str, family: &str, revision: u32) -> Arn {
        Arn::new("ecs", region, account, format!("task-definition/{family}:{revision}"))
    }
}

table! {
    pub TASK_DEFINITIONS: (account, region, family, revision) => TaskDefinition, kind = 0x0102, version = 1
}

table! {
    pub FAMILIES: (account, region, name) => Family, kind = 0x0104, version = 1
}
