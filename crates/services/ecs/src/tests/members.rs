//! Every member that a definition or a task can have: what acts, what is kept, what is refused. A newer model's
//! members fail here until somebody has decided.

use super::{By, Service};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wire::model::{Kind, Member, Shape};

/// What becomes of a shape's members, each a list of names.
struct Members {
    shape: &'static str,
    /// Acted on, by us or by the agent; a definition that nodes cannot act on requires an attribute they lack.
    acts: &'static str,
    /// Stored and shown: what it would act on is not there, or it acts on nothing by AWS's own word.
    kept: &'static str,
    /// Refused by name when it says something.
    refused: &'static str,
    /// Refused in ECS's words.
    refused_otherwise: &'static str,
}

const fn all(shape: &'static str, acts: &'static str) -> Members {
    Members { shape, acts, kept: "", refused: "", refused_otherwise: "" }
}

const fn kept(shape: &'static str, kept: &'static str) -> Members {
    Members { kept, ..all(shape, "") }
}

const MEMBERS: &[Members] = &[
    Members {
        refused: "proxyConfiguration inferenceAccelerators ephemeralStorage enableFaultInjection \
                  trustedExecutionConfiguration",
        ..all(
            "RegisterTaskDefinitionRequest",
            "family taskRoleArn executionRoleArn networkMode containerDefinitions volumes placementConstraints \
             requiresCompatibilities cpu memory tags pidMode ipcMode runtimePlatform",
        )
    },
    Members {
        // It is about services, which pin digests (Amazon ECS developer guide, "Container image resolution").
        kept: "versionConsistency",
        refused: "repositoryCredentials environmentFiles secrets resourceRequirements firelensConfiguration \
                  credentialSpecs",
        ..all(
            "ContainerDefinition",
            "name image cpu memory memoryReservation links portMappings essential restartPolicy entryPoint command \
             environment mountPoints volumesFrom linuxParameters dependsOn startTimeout stopTimeout hostname user \
             workingDirectory disableNetworking privileged readonlyRootFilesystem dnsServers dnsSearchDomains \
             extraHosts dockerSecurityOptions interactive pseudoTerminal dockerLabels ulimits logConfiguration \
             healthCheck systemControls",
        )
    },
    Members {
        // Names a port for Service Connect (Amazon ECS API reference, PortMapping).
        kept: "name",
        refused: "appProtocol",
        ..all("PortMapping", "containerPort hostPort protocol containerPortRange")
    },
    Members { refused: "secretOptions", ..all("LogConfiguration", "logDriver options") },
    Members {
        refused: "efsVolumeConfiguration s3filesVolumeConfiguration fsxWindowsFileServerVolumeConfiguration \
                  configuredAtLaunch",
        ..all("Volume", "name host dockerVolumeConfiguration")
    },
    all("HostVolumeProperties", "sourcePath"),
    all("DockerVolumeConfiguration", "scope autoprovision driver driverOpts labels"),
    all("LinuxParameters", "capabilities devices initProcessEnabled sharedMemorySize tmpfs maxSwap swappiness"),
    all("KernelCapabilities", "add drop"),
    all("Device", "hostPath containerPath permissions"),
    all("Tmpfs", "containerPath size mountOptions"),
    all("ContainerRestartPolicy", "enabled ignoredExitCodes restartAttemptPeriod"),
    all("ContainerDependency", "containerName condition"),
    all("HealthCheck", "command interval timeout retries startPeriod"),
    all("MountPoint", "sourceVolume containerPath readOnly"),
    all("VolumeFrom", "sourceContainer readOnly"),
    all("SystemControl", "namespace value"),
    all("Ulimit", "name softLimit hardLimit"),
    all("HostEntry", "hostname ipAddress"),
    all("KeyValuePair", "name value"),
    all("RuntimePlatform", "cpuArchitecture operatingSystemFamily"),
    all("TaskDefinitionPlacementConstraint", "type expression"),
    all("PlacementConstraint", "type expression"),
    all("Tag", "key value"),
    Members {
        // For the audit record alone.
        kept: "referenceId",
        refused: "capacityProviderStrategy enableExecuteCommand placementStrategy platformVersion volumeConfigurations",
        refused_otherwise: "networkConfiguration",
        ..all(
            "RunTaskRequest",
            "cluster count enableECSManagedTags group launchType overrides placementConstraints propagateTags \
             startedBy tags taskDefinition clientToken",
        )
    },
    Members {
        kept: "referenceId",
        refused: "enableExecuteCommand volumeConfigurations",
        refused_otherwise: "networkConfiguration",
        ..all(
            "StartTaskRequest",
            "cluster containerInstances enableECSManagedTags group overrides propagateTags startedBy tags \
             taskDefinition",
        )
    },
    all("StopTaskRequest", "cluster task reason"),
    Members {
        kept: "executionRoleArn",
        refused: "inferenceAcceleratorOverrides ephemeralStorage taskRoleArn",
        ..all("TaskOverride", "containerOverrides cpu memory")
    },
    Members {
        refused: "environmentFiles resourceRequirements",
        ..all("ContainerOverride", "name command environment cpu memory memoryReservation")
    },
];

/// What a cluster is set to. Sessions, Fargate's storage and volumes of EBS read it, and those are refused.
const CLUSTERS: &[Members] = &[
    Members {
        kept: "settings configuration",
        refused: "capacityProviders defaultCapacityProviderStrategy serviceConnectDefaults",
        ..all("CreateClusterRequest", "clusterName tags")
    },
    Members {
        kept: "settings configuration",
        refused: "serviceConnectDefaults",
        ..all("UpdateClusterRequest", "cluster")
    },
    kept("ClusterSetting", "name value"),
    kept("ClusterConfiguration", "executeCommandConfiguration managedStorageConfiguration"),
    kept("ExecuteCommandConfiguration", "kmsKeyId logging logConfiguration"),
    kept(
        "ExecuteCommandLogConfiguration",
        "cloudWatchLogGroupName cloudWatchEncryptionEnabled s3BucketName s3EncryptionEnabled s3KeyPrefix",
    ),
    kept("ManagedStorageConfiguration", "kmsKeyId fargateEphemeralStorageKmsKeyId"),
];

impl Members {
    fn of(shape: &str) -> &'static Self {
        let decided = MEMBERS.iter().chain(CLUSTERS).find(|members| members.shape == shape);
        decided.unwrap_or_else(|| panic!("nobody decided what becomes of {shape}"))
    }

    fn fate(&self, member: &str) -> Fate {
        let lists = [
            (self.acts, Fate::Taken),
            (self.kept, Fate::Taken),
            (self.refused, Fate::Refused),
            (self.refused_otherwise, Fate::RefusedOtherwise),
        ];
        let found = lists.into_iter().find(|(list, _)| list.split_whitespace().any(|name| name == member));
        found.unwrap_or_else(|| panic!("nobody decided what becomes of {}.{member}", self.shape)).1
    }

    fn count(&self) -> usize {
        [self.acts, self.kept, self.refused, self.refused_otherwise]
            .iter()
            .map(|list| list.split_whitespace().count())
            .sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
    RefusedOtherwise,
}

/// A request that gives one member a value.
struct Case {
    operation: &'static str,
    path: String,
    fate: Fate,
    request: Value,
}

/// The cases of an operation, from its input downwards; what is refused is not looked into.
struct Walk {
    operation: &'static str,
    cases: Vec<Case>,
    seen: BTreeSet<&'static str>,
}

fn shape_of(member: &Member) -> &'static Shape {
    wire::service("ecs").expect("modelled").shape(member.shape)
}

fn structure(shape: &'static Shape, wanted: impl Fn(&Member) -> bool) -> Value {
    let members = shape.members().iter().filter(|member| wanted(member));
    members.map(|member| (member.name.to_owned(), sample(shape_of(member)))).collect::<Map<_, _>>().into()
}

/// A value that says something.
fn sample(shape: &'static Shape) -> Value {
    let ecs = wire::service("ecs").expect("modelled");
    match &shape.kind {
        Kind::Structure(_) => structure(shape, |_| true),
        Kind::List { member, .. } => json!([sample(ecs.shape(*member))]),
        Kind::Map { value, .. } => json!({ "1": sample(ecs.shape(*value)) }),
        Kind::String { values, .. } => values.first().copied().unwrap_or("1").into(),
        Kind::Boolean => true.into(),
        _ => 1.into(),
    }
}

impl Walk {
    /// `around` makes the request of what stands in a structure's place at `path`.
    fn structure(&mut self, shape: &'static Shape, base: &Value, path: &str, around: &dyn Fn(Value) -> Value) {
        let members = Members::of(shape.name);
        assert_eq!(members.count(), shape.members().len(), "{}: a member that is not in the model", shape.name);
        self.seen.insert(shape.name);
        for member in shape.members() {
            let path = format!("{path}{}", member.name);
            let around = |value: Value| {
                let mut with = base.clone();
                with[member.name] = value;
                around(with)
            };
            let (operation, fate) = (self.operation, members.fate(member.name));
            let request = around(sample(shape_of(member)));
            self.cases.push(Case { operation, path: path.clone(), fate, request });
            if fate == Fate::Taken {
                self.within(shape_of(member), &path, &around);
            }
        }
    }

    fn within(&mut self, shape: &'static Shape, path: &str, around: &dyn Fn(Value) -> Value) {
        match &shape.kind {
            Kind::Structure(_) => {
                let base = match shape.name {
                    "ContainerDefinition" => json!({ "name": "app", "image": "web", "memory": 64 }),
                    _ => structure(shape, |member| member.required),
                };
                self.structure(shape, &base, &format!("{path}."), around);
            }
            Kind::List { member, .. } => {
                let member = wire::service("ecs").expect("modelled").shape(*member);
                self.within(member, &format!("{path}[0]"), &|value| around(json!([value])));
            }
            _ => {}
        }
    }
}

fn walk(operation: &'static str, base: &Value) -> Walk {
    let ecs = wire::service("ecs").expect("modelled");
    let input = ecs.operation(operation).and_then(|operation| operation.input).expect("an input");
    let mut walk = Walk { operation, cases: Vec::new(), seen: BTreeSet::new() };
    walk.structure(ecs.shape(input), base, "", &|value| value);
    walk
}

#[tokio::test]
async fn no_member_is_taken_and_ignored() {
    let (service, node) = Service::with_web().await;
    let task = json!({ "taskDefinition": "web:1" });
    let walks = [
        walk("RegisterTaskDefinition", &super::web()),
        walk("RunTask", &task),
        walk("StartTask", &super::with(task, json!({ "containerInstances": [node] }))),
        walk("StopTask", &json!({ "task": "1" })),
        walk("CreateCluster", &json!({})),
        walk("UpdateCluster", &json!({ "cluster": "default" })),
    ];
    let seen: BTreeSet<&str> = walks.iter().flat_map(|walk| walk.seen.iter().copied()).collect();
    let decided: BTreeMap<&str, ()> = MEMBERS.iter().chain(CLUSTERS).map(|members| (members.shape, ())).collect();
    assert_eq!(seen, decided.keys().copied().collect(), "shapes that are reached, and that somebody decided about");
    for Case { operation, path, fate, request } in walks.into_iter().flat_map(|walk| walk.cases) {
        let answer = service.by(By::Root, operation, request.clone()).await;
        let refusal = answer.err().map(|error| error.to_string()).unwrap_or_default();
        let by_name = refusal.contains(&format!("does not support '{path}'"));
        assert_eq!(by_name, fate == Fate::Refused, "{operation} {path}: {refusal}\n{request}");
        assert!(fate != Fate::RefusedOtherwise || refusal.contains("network"), "{operation} {path}: {refusal}");
    }
}
