//! RegisterContainerInstance: what this machine offers, and which instance it then is.

use crate::drivers::confinement;
use crate::saved::{Node, Saved};
use client::{AwsClient, CallError};
use serde_json::{Value, json};

pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Stock agents show their commit here.
pub const AGENT_HASH: &str = "longshore";

/// Host ports that tasks cannot have: SSH, Docker's, and the ECS agent's own (Amazon ECS API Reference, PortMapping).
const RESERVED_PORTS: [&str; 5] = ["22", "2375", "2376", "51678", "51679"];
/// Docker Engine API versions whose container configuration is read in full.
const DOCKER_API_MINORS: std::ops::RangeInclusive<u32> = 17..=25;
/// What really works here, by the names that task definitions require.
const CAPABILITIES: [&str; 14] = [
    "com.amazonaws.ecs.capability.ecr-auth",
    "com.amazonaws.ecs.capability.logging-driver.awslogs",
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.logging-driver.none",
    "com.amazonaws.ecs.capability.privileged-container",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.network.container-port-range",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.task-cpu-mem-limit",
];

/// What this machine has to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub cores: u64,
    pub memory_mib: u64,
    /// Name and version of the OCI runtime.
    pub runtime: String,
}

/// Who this machine is, as the control plane has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub instance_arn: String,
    pub cluster_arn: String,
}

impl Registered {
    fn new(instance_arn: &str, cluster: &str) -> Option<Self> {
        let prefix = instance_arn.split_once(":container-instance/")?.0;
        let cluster_arn = format!("{prefix}:cluster/{cluster}");
        Some(Self { instance_arn: instance_arn.to_owned(), cluster_arn })
    }

    /// The account that this node serves.
    pub fn account(&self) -> &str {
        self.instance_arn.split(':').nth(4).unwrap_or_default()
    }
}

/// Registers the machine, as the instance that it was or as a new one; makes the cluster if it is missing.
///
/// # Errors
/// The control plane's refusal, or that it cannot be reached.
pub async fn register(aws: &AwsClient, saved: &Saved, cluster: &str, offer: &Offer) -> Result<Registered, CallError> {
    let unreadable = |error: std::io::Error| CallError::Document(format!("node.json: {error}"));
    let known = saved.node().map_err(unreadable)?.filter(|node| node.cluster == cluster);
    let known = known.map(|node| node.container_instance_arn);
    let answer = match call(aws, cluster, offer, known.as_deref()).await {
        Err(error) if error.code() == Some("ClusterNotFoundException") => {
            aws.call("ecs", "CreateCluster", &json!({ "clusterName": cluster })).await?;
            call(aws, cluster, offer, known.as_deref()).await
        }
        other => other,
    };
    let answer = match answer {
        // The instance was deregistered, or is of another installation: we begin as a new one.
        Err(error) if known.is_some() && is_unknown_instance(&error) => {
            tracing::warn!(%error, "this machine's container instance is no more; registering a new one");
            call(aws, cluster, offer, None).await?
        }
        other => other?,
    };
    let arn = answer.pointer("/containerInstance/containerInstanceArn").and_then(Value::as_str).unwrap_or_default();
    let registered = Registered::new(arn, cluster)
        .ok_or_else(|| CallError::Document(format!("'{arn}' is not the ARN of a container instance")))?;
    if known.as_deref() != Some(arn) {
        let node = Node { cluster: cluster.to_owned(), container_instance_arn: arn.to_owned() };
        saved.set_node(&node).map_err(unreadable)?;
    }
    Ok(registered)
}

async fn call(aws: &AwsClient, cluster: &str, offer: &Offer, known: Option<&str>) -> Result<Value, CallError> {
    let mut input = document(cluster, offer);
    if let (Some(arn), Some(input)) = (known, input.as_object_mut()) {
        input.insert("containerInstanceArn".to_owned(), arn.into());
    }
    aws.call("ecs", "RegisterContainerInstance", &input).await
}

fn is_unknown_instance(error: &CallError) -> bool {
    matches!(error.code(), Some("ClientException" | "InvalidParameterException" | "AccessDeniedException"))
}

fn document(cluster: &str, offer: &Offer) -> Value {
    let integer = |name: &str, value: u64| json!({ "name": name, "type": "INTEGER", "integerValue": value });
    let ports = |name: &str, ports: &[&str]| json!({ "name": name, "type": "STRINGSET", "stringSetValue": ports });
    json!({
        "cluster": cluster,
        "totalResources": [
            integer("CPU", offer.cores * 1024),
            integer("MEMORY", offer.memory_mib),
            ports("PORTS", &RESERVED_PORTS),
            ports("PORTS_UDP", &[]),
        ],
        "versionInfo": {
            "agentVersion": AGENT_VERSION,
            "agentHash": AGENT_HASH,
            "dockerVersion": format!("DockerVersion: {}", offer.runtime),
        },
        "attributes": attributes(),
    })
}

fn attributes() -> Vec<Value> {
    let docker_api = |minor| format!("com.amazonaws.ecs.capability.docker-remote-api.1.{minor}");
    let apparmor = confinement::apparmor_is_on().then(|| "com.amazonaws.ecs.capability.apparmor".to_owned());
    let names = DOCKER_API_MINORS.map(docker_api).chain(CAPABILITIES.map(str::to_owned)).chain(apparmor);
    let named = names.map(|name| json!({ "name": name }));
    let valued =
        [("ecs.os-type", "linux"), ("ecs.cpu-architecture", cpu_architecture()), ("longshore.version", AGENT_VERSION)];
    named.chain(valued.map(|(name, value)| json!({ "name": name, "value": value }))).collect()
}

/// The processor in the words of ECS's `ecs.cpu-architecture`.
fn cpu_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_a_valid_document() {
        let offer = Offer { cores: 2, memory_mib: 1024, runtime: "crun 1.8.1".to_owned() };
        let document = document("default", &offer);
        let ecs = wire::service("ecs").expect("modelled");
        let operation = ecs.operation("RegisterContainerInstance").expect("modelled");
        wire::codec::validate(ecs, operation, &document).expect("valid");
        insta::assert_json_snapshot!(document["totalResources"]);
    }

    #[test]
    fn the_cluster_and_account_are_the_instances_own() {
        let node = Registered::new("arn:aws:ecs:r:123456789012:container-instance/c/1", "c").expect("an instance");
        assert_eq!(node.cluster_arn, "arn:aws:ecs:r:123456789012:cluster/c");
        assert_eq!(node.account(), "123456789012");
        assert_eq!(Registered::new("arn:aws:ecs:r:1:task/c/1", "c"), None);
    }
}
