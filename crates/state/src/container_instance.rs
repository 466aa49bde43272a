//! Container instances: the nodes as ECS shows them.

use crate::Tags;
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::table;

/// How the names of attributes begin by which an agent shows that it understands our extensions of its protocol.
const OUR_ATTRIBUTES: &str = "longshore.";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerInstance {
    pub account: String,
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// 32 hexadecimal digits.
    pub id: String,
    pub status: InstanceStatus,
    pub agent_connected: bool,
    pub registered: Resources,
    /// What the agent and we say of it, name to value.
    pub agent_attributes: Vec<(String, Option<String>)>,
    /// What users say of it; these stay when the agent registers anew.
    pub custom_attributes: BTreeMap<String, Option<String>>,
    pub agent_version: Option<String>,
    pub agent_hash: Option<String>,
    /// `DockerVersion: …`; our own agent names its runtime here.
    pub docker_version: Option<String>,
    pub ec2_instance_id: Option<String>,
    pub registered_at: Timestamp,
    pub tags: Tags,
    /// One more for each change that makes an event.
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceStatus {
    Active,
    Draining,
    Inactive,
}

impl InstanceStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// What a node offers, or what is left of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU units, 1,024 a core.
    pub cpu: u32,
    pub memory_mib: u32,
    /// Reserved TCP host ports: these grow as tasks take them.
    pub ports_tcp: BTreeSet<u16>,
    pub ports_udp: BTreeSet<u16>,
}

impl ContainerInstance {
    /// False once it was deregistered.
    pub fn is_registered(&self) -> bool {
        self.status != InstanceStatus::Inactive
    }

    /// True for a node that understands our extensions of the agent protocol: it tells the story of its tasks.
    pub fn is_ours(&self) -> bool {
        self.agent_attributes.iter().any(|(name, _)| name.starts_with(OUR_ATTRIBUTES))
    }

    /// All attributes by name; a user's takes the place of the agent's.
    pub fn attributes(&self) -> BTreeMap<&str, Option<&str>> {
        let agent = self.agent_attributes.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let custom = self.custom_attributes.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        agent.chain(custom).collect()
    }

    /// Whether it has an attribute, and that value if one is wanted.
    pub fn has_attribute(&self, name: &str, value: Option<&str>) -> bool {
        let of_agent = || self.agent_attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let found = self.custom_attributes.get(name).or_else(of_agent);
        found.is_some_and(|found| value.is_none() || found.as_deref() == value)
    }

    /// The value of an attribute that has one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match self.custom_attributes.get(name) {
            Some(value) => value.as_deref(),
            None => self.agent_attributes.iter().find(|(known, _)| known == name)?.1.as_deref(),
        }
    }

    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.cluster, &self.id)
    }

    pub fn arn_of(account: &str, region: &str, cluster: &str, id: &str) -> Arn {
        Arn::new("ecs", region, account, format!("container-instance/{cluster}/{id}"))
    }
}

table! {
    pub CONTAINER_INSTANCES: (account, region, cluster, id) => ContainerInstance, kind = 0x0105, version = 1
}
