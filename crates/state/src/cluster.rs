//! ECS clusters.

use crate::Tags;
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub account: String,
    pub region: String,
    pub name: String,
    pub status: ClusterStatus,
    pub created_at: Timestamp,
    /// `disabled`, `enabled` or `enhanced`.
    pub container_insights: String,
    /// Canonical JSON of the ClusterConfiguration, if one was given.
    pub configuration: Option<String>,
    pub tags: Tags,
}

/// A deleted cluster stays describable as INACTIVE for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterStatus {
    Active,
    Inactive,
}

impl ClusterStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl Cluster {
    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.name)
    }

    pub fn arn_of(account: &str, region: &str, name: &str) -> Arn {
        Arn::new("ecs", region, account, format!("cluster/{name}"))
    }
}

table! {
    pub CLUSTERS: (account, region, name) => Cluster, kind = 0x0101, version = 1
}
