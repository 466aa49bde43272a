//! One container definition.

use super::limits::MEMORY_MIB_MIN;
use super::{image, lifecycle, logs, ports, runtime};
use crate::errors::{DefinitionError, EcsError};
use crate::names::{NAME_CHARS_MAX, is_plain};
use crate::supported;
use state::{ContainerSpec, TaskSpec};
use wire::types::Sensitive;
use wire::types::ecs::ContainerDefinition;

/// Members of a container definition that mean something here.
const SUPPORTED: [&str; 36] = [
    "name",
    "image",
    "cpu",
    "memory",
    "memoryReservation",
    "mountPoints",
    "command",
    "entryPoint",
    "environment",
    "user",
    "workingDirectory",
    "essential",
    "dependsOn",
    "healthCheck",
    "restartPolicy",
    "startTimeout",
    "stopTimeout",
    "portMappings",
    "logConfiguration",
    "dnsSearchDomains",
    "dnsServers",
    "disableNetworking",
    "dockerLabels",
    "dockerSecurityOptions",
    "extraHosts",
    "hostname",
    "interactive",
    "links",
    "linuxParameters",
    "privileged",
    "pseudoTerminal",
    "readonlyRootFilesystem",
    "systemControls",
    "ulimits",
    "versionConsistency",
    "volumesFrom",
];

/// Checks the container at index `at` and fills in its defaults.
pub(super) fn normalise(
    at: usize,
    given: ContainerDefinition,
    task: &TaskSpec,
    machine: runtime::Task,
) -> Result<(ContainerDefinition, ContainerSpec), EcsError> {
    let path = format!("containerDefinitions[{at}].");
    supported::only(&given, &SUPPORTED, &path)?;
    let name = name(given.name.as_deref())?;
    let image = given.image.clone().filter(|image| !image.is_empty());
    let image = image.ok_or(DefinitionError::ImageEmpty)?;
    image::check(&image)?;
    check_environment(&name, &given)?;
    runtime::check(&name, &path, &given, machine)?;
    let (memory_mib, memory_reservation_mib) = memory(&name, &given, task)?;
    let mappings = given.port_mappings.clone().unwrap_or_default();
    let (mappings, ports) = ports::normalise(&name, &path, mappings, task.network_mode)?;
    let spec = ContainerSpec {
        cpu: at_least(&name, "cpu", given.cpu.or(Some(0)), 0)?.unwrap_or_default(),
        essential: given.essential.unwrap_or(true),
        health_checked: given.health_check.is_some(),
        memory_mib,
        memory_reservation_mib,
        ports,
        awslogs: logs::check(&path, given.log_configuration.as_ref())?,
        name,
        image,
    };
    at_least(&spec.name, "stopTimeout", given.stop_timeout, 0)?;
    at_least(&spec.name, "startTimeout", given.start_timeout, 0)?;
    let filled = ContainerDefinition {
        cpu: given.cpu.or(Some(0)),
        essential: Some(spec.essential),
        port_mappings: Some(mappings),
        environment: Some(given.environment.clone().unwrap_or_else(|| Sensitive(Vec::new()))),
        health_check: lifecycle::health_check(&spec.name, given.health_check.clone())?,
        restart_policy: lifecycle::restart_policy(&spec.name, given.restart_policy.clone())?,
        mount_points: Some(given.mount_points.clone().unwrap_or_default()),
        volumes_from: Some(given.volumes_from.clone().unwrap_or_default()),
        system_controls: Some(given.system_controls.clone().unwrap_or_default()),
        ..given
    };
    Ok((filled, spec))
}

fn name(given: Option<&str>) -> Result<String, EcsError> {
    match given.unwrap_or_default() {
        "" => Err(DefinitionError::NameEmpty.into()),
        name if name.len() > NAME_CHARS_MAX => Err(DefinitionError::NameLong.into()),
        name if !is_plain(name) => Err(DefinitionError::NameCharacters.into()),
        name => Ok(name.to_owned()),
    }
}

fn check_environment(name: &str, given: &ContainerDefinition) -> Result<(), EcsError> {
    let variables = given.environment.iter().flat_map(|variables| variables.iter());
    match variables.into_iter().any(|variable| variable.name.as_deref().unwrap_or_default().is_empty()) {
        true => Err(DefinitionError::EnvironmentName(name.to_owned()).into()),
        false => Ok(()),
    }
}

/// Hard and soft limit.
fn memory(name: &str, given: &ContainerDefinition, task: &TaskSpec) -> Result<(Option<u32>, Option<u32>), EcsError> {
    let hard = at_least(name, "memory", given.memory, MEMORY_MIB_MIN)?;
    let soft = at_least(name, "memoryReservation", given.memory_reservation, MEMORY_MIB_MIN)?;
    match (hard, soft) {
        (None, None) if task.memory_mib.is_none() => Err(DefinitionError::MemoryMissing(name.to_owned()).into()),
        (Some(hard), Some(soft)) if hard <= soft => Err(DefinitionError::MemoryOrder(name.to_owned()).into()),
        limits => Ok(limits),
    }
}

/// `value` when it is `least` or more.
fn at_least(name: &str, member: &'static str, value: Option<i32>, least: i32) -> Result<Option<u32>, EcsError> {
    match value {
        Some(value) if value < least => {
            Err(DefinitionError::TooLittle { container: name.to_owned(), member, least }.into())
        }
        value => Ok(value.map(i32::unsigned_abs)),
    }
}
