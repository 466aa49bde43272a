//! A task definition as it is registered: checked, with ECS's defaults filled in, and the extract
//! that plans read.
//!
//! Amazon ECS developer guide, "Task definition parameters".

mod capability;
mod container;
mod fargate;
pub(crate) mod host;
mod image;
mod lifecycle;
pub(crate) mod limits;
mod links;
mod logs;
mod needs;
mod ports;
mod runtime;
mod sizes;
mod volumes;

use crate::errors::{DefinitionError, EcsError};
use crate::names::{NAME_CHARS_MAX, is_plain};
use crate::{roles, supported, zero};
use limits::{CONTAINERS_MAX, DEFINITION_BYTES_MAX};
use state::{ContainerSpec, Needs, NetworkMode, TaskSpec};
use std::collections::BTreeSet;
use wire::types::ecs::{
    Attribute, ContainerDefinition, RegisterTaskDefinitionRequest, RuntimePlatform, TaskDefinition,
    TaskDefinitionPlacementConstraint, Volume,
};

pub(crate) use sizes::{cpu_units, memory_mib};

/// Members of RegisterTaskDefinition that mean something here.
const SUPPORTED: [&str; 14] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "tags",
    "pidMode",
    "ipcMode",
    "runtimePlatform",
    "placementConstraints",
    "volumes",
];

/// What is stored of a definition.
#[derive(Debug)]
pub(crate) struct Normal {
    pub family: String,
    /// Canonical JSON.
    pub document: String,
    pub spec: TaskSpec,
}

/// Facts of the installation and caller that a definition is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub account: &'a str,
    /// Nodes are of the region that their tasks are.
    pub region: &'a str,
    /// Of our registry: images there are ECR images.
    pub hosts: &'a request::Hosts,
}

/// Checks and fills in `input`. Its tags are the operation's affair.
pub(crate) fn normalise(input: RegisterTaskDefinitionRequest, place: Place) -> Result<Normal, EcsError> {
    supported::only(&input, &SUPPORTED, "")?;
    check_family(&input.family)?;
    zero::refuse(&input, "")?;
    let spec = TaskSpec {
        network_mode: network_mode(input.network_mode.as_deref()),
        cpu: cpu_units(input.cpu.as_deref())?,
        memory_mib: memory_mib(input.memory.as_deref())?,
        task_role_arn: roles::arn(place.account, input.task_role_arn.as_deref())?,
        execution_role_arn: roles::arn(place.account, input.execution_role_arn.as_deref())?,
        containers: Vec::new(),
        needs: Needs::default(),
    };
    needs::check(input.runtime_platform.as_ref(), input.placement_constraints.as_deref().unwrap_or_default())?;
    let (platform, constraints) = (input.runtime_platform, input.placement_constraints.unwrap_or_default());
    let volumes = volumes::normalise(input.volumes.unwrap_or_default())?;
    let shared = Shared { pid: input.pid_mode, ipc: input.ipc_mode, platform, constraints, volumes };
    let machine = runtime::Task { network: spec.network_mode, ipc_of_host: shared.ipc.as_deref() == Some("host") };
    let (definitions, containers) = containers(input.container_definitions, &spec, machine)?;
    ports::check_names(&definitions)?;
    links::check(&definitions, spec.network_mode)?;
    lifecycle::check_order(&definitions)?;
    volumes::check_uses(&definitions, &shared.volumes)?;
    let spec = TaskSpec { containers, ..spec };
    check_containers(&spec)?;
    logs::check_region(&spec.containers, place.region)?;
    let required = input.requires_compatibilities.unwrap_or_default();
    check_compatibilities(&required, &spec, &definitions, &shared)?;
    let document = document(&input.family, definitions, required, &spec, shared, place)?;
    let spec = TaskSpec { needs: needs::of(&document)?, ..spec };
    Ok(Normal { family: input.family, document, spec })
}

/// Namespaces that a task's containers share with one another or the host; none are each container's own.
/// And what the machine must be, and what the containers keep files in.
struct Shared {
    platform: Option<RuntimePlatform>,
    constraints: Vec<TaskDefinitionPlacementConstraint>,
    pid: Option<String>,
    ipc: Option<String>,
    volumes: Vec<Volume>,
}

fn check_family(family: &str) -> Result<(), EcsError> {
    match family {
        "" => Err(DefinitionError::FamilyBlank.into()),
        family if family.len() > NAME_CHARS_MAX => Err(DefinitionError::FamilyLong.into()),
        family if !is_plain(family) => Err(DefinitionError::FamilyCharacters.into()),
        _ => Ok(()),
    }
}

/// Linux's default is bridge; the model allows no other words than these.
fn network_mode(given: Option<&str>) -> NetworkMode {
    match given {
        Some("host") => NetworkMode::Host,
        Some("none") => NetworkMode::None,
        Some("awsvpc") => NetworkMode::Awsvpc,
        _ => NetworkMode::Bridge,
    }
}

fn containers(
    given: Vec<ContainerDefinition>,
    task: &TaskSpec,
    machine: runtime::Task,
) -> Result<(Vec<ContainerDefinition>, Vec<ContainerSpec>), EcsError> {
    if given.is_empty() {
        return Err(DefinitionError::NoContainers.into());
    }
    if given.len() > CONTAINERS_MAX {
        return Err(DefinitionError::TooManyContainers.into());
    }
    let filled =
        given.into_iter().enumerate().map(|(at, container)| container::normalise(at, container, task, machine));
    Ok(filled.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

/// What containers must be to one another.
fn check_containers(spec: &TaskSpec) -> Result<(), EcsError> {
    let names: BTreeSet<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
    if names.len() < spec.containers.len() {
        return Err(DefinitionError::NamesNotUnique.into());
    }
    if !spec.containers.iter().any(|container| container.essential) {
        return Err(DefinitionError::NoneEssential.into());
    }
    let sum =
        |part: fn(&ContainerSpec) -> Option<u32>| spec.containers.iter().filter_map(part).fold(0, u32::saturating_add);
    if spec.cpu.is_some_and(|cpu| sum(|container| Some(container.cpu)) > cpu) {
        return Err(DefinitionError::CpuSum.into());
    }
    let reserved = sum(|container| container.memory_reservation_mib.or(container.memory_mib));
    if spec.memory_mib.is_some_and(|memory| reserved > memory) {
        return Err(DefinitionError::MemorySum.into());
    }
    ports::check_host_ports(&spec.containers)
}

fn check_compatibilities(
    required: &[String],
    spec: &TaskSpec,
    definitions: &[ContainerDefinition],
    shared: &Shared,
) -> Result<(), EcsError> {
    for launch in required {
        match launch.as_str() {
            "FARGATE" => fargate::check(spec, definitions, shared)?,
            "EXTERNAL" if spec.network_mode == NetworkMode::Awsvpc => {
                return Err(DefinitionError::ExternalMode.into());
            }
            "MANAGED_INSTANCES" if !capability::fits_managed_instances(spec) => {
                return Err(DefinitionError::ManagedInstancesMode.into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn document(
    family: &str,
    definitions: Vec<ContainerDefinition>,
    required: Vec<String>,
    spec: &TaskSpec,
    shared: Shared,
    place: Place,
) -> Result<String, EcsError> {
    let attribute = |name| Attribute { name, ..Attribute::default() };
    let attributes = capability::requires_attributes(spec, &definitions, &shared, place);
    let definition = TaskDefinition {
        family: Some(family.to_owned()),
        compatibilities: Some(capability::compatibilities(spec, &definitions, &shared)),
        container_definitions: Some(definitions),
        pid_mode: shared.pid,
        ipc_mode: shared.ipc,
        task_role_arn: spec.task_role_arn.clone(),
        execution_role_arn: spec.execution_role_arn.clone(),
        network_mode: Some(spec.network_mode.as_str().to_owned()),
        volumes: Some(shared.volumes),
        placement_constraints: Some(shared.constraints),
        runtime_platform: shared.platform,
        requires_attributes: Some(attributes.into_iter().map(attribute).collect()),
        requires_compatibilities: (!required.is_empty()).then_some(required),
        cpu: spec.cpu.map(|units| units.to_string()),
        memory: spec.memory_mib.map(|mib| mib.to_string()),
        ..TaskDefinition::default()
    };
    let canonical = serde_json::to_value(definition).map_err(|error| EcsError::Stored(error.to_string()))?.to_string();
    match canonical.len() {
        bytes if bytes > DEFINITION_BYTES_MAX => Err(DefinitionError::Large(bytes).into()),
        _ => Ok(canonical),
    }
}

#[cfg(test)]
mod tests;
