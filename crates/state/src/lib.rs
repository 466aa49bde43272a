//! The ground state of the system: every table, one file per table.
//!
//! Rows are types of our own, never wire types; what a user wrote and we give
//! back unchanged is kept as canonical JSON with a small typed extract beside
//! it. Kind numbers are append-only: a retired one is never used again.
//!
//! | kinds | service |
//! |---|---|
//! | 0x00.. | the installation: access keys, outbox |
//! | 0x01.. | ecs |
//! | 0x02.. | ecr |
//! | 0x03.. | logs |
//!
//! This room does not know what the rows mean to an operation, a plan or a wire.

mod access_key;
mod account_setting;
mod cluster;
mod container_instance;
mod held;
mod image;
mod layer;
mod log_group;
mod log_stream;
mod outbox;
mod repository;
mod run_token;
mod tag;
mod task;
mod task_definition;
mod task_events;
mod upload;

pub use access_key::{ACCESS_KEYS, AccessKey, KeyOwner};
pub use account_setting::{ACCOUNT_SETTINGS, AccountSetting};
pub use cluster::{CLUSTERS, Cluster, ClusterStatus};
pub use container_instance::{CONTAINER_INSTANCES, ContainerInstance, InstanceStatus, Resources};
pub use held::Held;
pub use image::{IMAGES, Image};
pub use layer::{LAYERS, Layer};
pub use log_group::{LOG_GROUPS, LogGroup};
pub use log_stream::{LOG_STREAMS, LogStream};
pub use outbox::{OUTBOX, OutboxKind, OutboxRow};
pub use repository::{REPOSITORIES, Repository, TagMutability};
pub use run_token::{RUN_TOKENS, RunToken};
pub use tag::{IMAGE_TAGS, ImageTag};
pub use task::{
    Delivery, Handover, Health, LastStatus, LogMode, NetworkBinding, TASKS, Task, TaskContainer, TaskLog, Timeline,
};
pub use task_definition::{
    ContainerSpec, DefinitionStatus, FAMILIES, Family, Needs, NetworkMode, PortMapping, PortProtocol, TASK_DEFINITIONS,
    TaskDefinition, TaskSpec,
};
pub use task_events::{TASK_EVENTS, TASK_EVENTS_MAX, TaskEvent, TaskEvents};
pub use upload::{UPLOADS, Upload};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::Schema;

/// Resource tags: key to value, at most 50 a resource.
pub type Tags = BTreeMap<String, String>;

/// What an ECS task or container is meant to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DesiredStatus {
    Running,
    Stopped,
}

impl DesiredStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Every table, for opening a store.
pub fn schema() -> Schema {
    Schema::new()
        .with(ACCESS_KEYS)
        .with(OUTBOX)
        .with(CLUSTERS)
        .with(TASK_DEFINITIONS)
        .with(FAMILIES)
        .with(TASKS)
        .with(TASK_EVENTS)
        .with(CONTAINER_INSTANCES)
        .with(RUN_TOKENS)
        .with(ACCOUNT_SETTINGS)
        .with(REPOSITORIES)
        .with(IMAGES)
        .with(IMAGE_TAGS)
        .with(LAYERS)
        .with(UPLOADS)
        .with(LOG_GROUPS)
        .with(LOG_STREAMS)
}
