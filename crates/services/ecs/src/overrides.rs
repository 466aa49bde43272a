//! What a run changes of its task definition.

use crate::definition::limits::MEMORY_MIB_MIN;
use crate::definition::{cpu_units, memory_mib};
use crate::errors::EcsError;
use crate::{roles, supported, zero};
use plan::reservation;
use state::{ContainerSpec, LastStatus, TaskContainer, TaskSpec};
use std::collections::BTreeSet;
use wire::types::ecs::{ContainerOverride, TaskOverride};

/// Characters of all overrides together (Amazon ECS API reference, RunTask).
const OVERRIDES_CHARS_MAX: usize = 8192;

/// Members of a TaskOverride that mean something here.
const SUPPORTED: [&str; 5] = ["containerOverrides", "cpu", "memory", "taskRoleArn", "executionRoleArn"];

/// Members of a ContainerOverride that mean something here.
const SUPPORTED_OF_CONTAINER: [&str; 6] = ["name", "command", "environment", "cpu", "memory", "memoryReservation"];

/// A task as it would start: definition and overrides together.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The TaskOverride document, every container named.
    pub overrides: String,
    /// Pending, and without ids of their own.
    pub containers: Vec<TaskContainer>,
    /// CPU units and MiB that the task reserves.
    pub cpu: u32,
    pub memory_mib: u32,
}

/// Lays `given` over `spec`; roles that are given by name belong to `account`.
pub(crate) fn launch(account: &str, spec: &TaskSpec, given: Option<TaskOverride>) -> Result<Launch, EcsError> {
    let given = given.unwrap_or_default();
    check(&given, spec)?;
    let changes = given.container_overrides.unwrap_or_default();
    let changes: Vec<ContainerOverride> = spec.containers.iter().map(|spec| change_of(spec, &changes)).collect();
    let containers = spec
        .containers
        .iter()
        .zip(&changes)
        .map(|(spec, change)| container(spec, change))
        .collect::<Result<Vec<_>, _>>()?;
    let (own_cpu, own_memory) = (cpu_units(given.cpu.as_deref())?, memory_mib(given.memory.as_deref())?);
    let (cpu, memory) = (own_cpu.or(spec.cpu), own_memory.or(spec.memory_mib));
    let shown = TaskOverride {
        container_overrides: Some(changes),
        inference_accelerator_overrides: Some(Vec::new()),
        task_role_arn: roles::arn(account, given.task_role_arn.as_deref())?,
        execution_role_arn: roles::arn(account, given.execution_role_arn.as_deref())?,
        cpu: own_cpu.map(|units| units.to_string()),
        memory: own_memory.map(|mib| mib.to_string()),
        ..given
    };
    Ok(Launch {
        overrides: serde_json::to_string(&shown).map_err(|error| EcsError::Stored(error.to_string()))?,
        cpu: reservation::cpu(cpu, &containers),
        memory_mib: reservation::memory_mib(memory, &containers),
        containers,
    })
}

fn check(given: &TaskOverride, spec: &TaskSpec) -> Result<(), EcsError> {
    supported::only(given, &SUPPORTED, "overrides.")?;
    zero::refuse(given, "overrides.")?;
    let text = serde_json::to_string(given).map_err(|error| EcsError::Stored(error.to_string()))?;
    if text.chars().count() > OVERRIDES_CHARS_MAX {
        return Err(EcsError::Long { what: "overrides", most: OVERRIDES_CHARS_MAX });
    }
    let mut seen = BTreeSet::new();
    // "An empty container override can be passed in" (Amazon ECS API reference, ContainerOverride).
    let said = |(_, change): &(usize, &ContainerOverride)| **change != ContainerOverride::default();
    for (at, change) in given.container_overrides.iter().flatten().enumerate().filter(said) {
        supported::only(change, &SUPPORTED_OF_CONTAINER, &format!("overrides.containerOverrides[{at}]."))?;
        let name = change.name.clone().filter(|name| !name.is_empty()).ok_or(EcsError::OverrideNameless)?;
        if !spec.containers.iter().any(|container| container.name == name) {
            return Err(EcsError::OverrideUnknown(name));
        }
        if !seen.insert(name.clone()) {
            return Err(EcsError::OverrideTwice(name));
        }
    }
    Ok(())
}

/// The container's override; one that changes nothing where none is given.
fn change_of(spec: &ContainerSpec, changes: &[ContainerOverride]) -> ContainerOverride {
    let given = changes.iter().find(|change| change.name.as_ref() == Some(&spec.name));
    let unchanged = || ContainerOverride { name: Some(spec.name.clone()), ..ContainerOverride::default() };
    given.cloned().unwrap_or_else(unchanged)
}

fn container(spec: &ContainerSpec, change: &ContainerOverride) -> Result<TaskContainer, EcsError> {
    let at_least = |member, value: Option<i32>, least| match value {
        Some(value) if value < least => Err(EcsError::OverrideLittle { container: spec.name.clone(), member, least }),
        value => Ok(value.map(i32::unsigned_abs)),
    };
    let hard = at_least("memory", change.memory, MEMORY_MIB_MIN)?.or(spec.memory_mib);
    let soft =
        at_least("memoryReservation", change.memory_reservation, MEMORY_MIB_MIN)?.or(spec.memory_reservation_mib);
    if hard.zip(soft).is_some_and(|(hard, soft)| hard <= soft) {
        return Err(EcsError::OverrideOrder(spec.name.clone()));
    }
    Ok(TaskContainer {
        name: spec.name.clone(),
        uuid: String::new(),
        image: spec.image.clone(),
        image_digest: None,
        runtime_id: None,
        last: LastStatus::Pending,
        health: spec.health_checked.then(Default::default),
        exit_code: None,
        reason: None,
        bindings: Vec::new(),
        essential: spec.essential,
        cpu: at_least("cpu", change.cpu, 0)?.unwrap_or(spec.cpu),
        memory_mib: hard,
        memory_reservation_mib: soft,
        ports: spec.ports.clone(),
        log: spec.awslogs.clone(),
    })
}
