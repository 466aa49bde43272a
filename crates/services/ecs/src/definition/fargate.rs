//! What requiring FARGATE asks of a definition. Such tasks are registered, not run, here.

use super::limits::FARGATE_TIMEOUT_SECS;
use super::{Shared, logs, volumes};
use crate::errors::DefinitionError;
use state::{NetworkMode, TaskSpec};
use wire::types::ecs::ContainerDefinition;

/// CPU units; least and greatest MiB; MiB between the sizes. Amazon ECS developer guide, "Task size".
const SIZES: [(u32, u32, u32, u32); 8] = [
    (256, 512, 512, 512),
    (256, 1024, 2048, 1024),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// True when Fargate has a task of this size, network mode and members.
pub(super) fn fits(spec: &TaskSpec, definitions: &[ContainerDefinition], shared: &Shared) -> bool {
    let sized = spec.cpu.zip(spec.memory_mib).is_some_and(|(cpu, memory)| has_size(cpu, memory));
    sized && spec.network_mode == NetworkMode::Awsvpc && check_members(definitions, shared).is_ok()
}

fn has_size(cpu: u32, memory: u32) -> bool {
    SIZES.iter().any(|(units, least, most, step)| {
        *units == cpu && (*least..=*most).contains(&memory) && (memory - least).is_multiple_of(*step)
    })
}

pub(super) fn check(
    spec: &TaskSpec,
    definitions: &[ContainerDefinition],
    shared: &Shared,
) -> Result<(), DefinitionError> {
    if spec.network_mode != NetworkMode::Awsvpc {
        return Err(DefinitionError::FargateMode);
    }
    let cpu = spec.cpu.ok_or(DefinitionError::FargateSizeMissing("cpu"))?;
    let memory = spec.memory_mib.ok_or(DefinitionError::FargateSizeMissing("memory"))?;
    if !has_size(cpu, memory) {
        return Err(DefinitionError::FargateSize);
    }
    for container in definitions {
        for (member, secs) in [("stopTimeout", container.stop_timeout), ("startTimeout", container.start_timeout)] {
            if secs.is_some_and(|secs| !FARGATE_TIMEOUT_SECS.contains(&secs)) {
                return Err(DefinitionError::FargateTimeout { member });
            }
        }
    }
    if spec.containers.iter().filter_map(|container| container.awslogs.as_ref()).any(|log| log.stream_prefix.is_none())
    {
        let options = "awslogs-stream-prefix".to_owned();
        return Err(DefinitionError::LogOptionsMissing { driver: "awslogs", options });
    }
    check_members(definitions, shared)
}

/// Amazon ECS developer guide, "Task definition differences for Fargate".
fn check_members(definitions: &[ContainerDefinition], shared: &Shared) -> Result<(), DefinitionError> {
    let host_processes = shared.pid.as_deref() == Some("host");
    if shared.volumes.iter().any(|volume| volumes::host_path(volume).is_some()) {
        return Err(DefinitionError::FargateHostPath);
    }
    let docker = shared.volumes.iter().any(|volume| volume.docker_volume_configuration.is_some());
    let shared =
        [(shared.ipc.is_some(), "ipcMode"), (host_processes, "pidMode host"), (docker, "dockerVolumeConfiguration")];
    refuse(&shared)?;
    definitions.iter().try_for_each(check_container)
}

fn check_container(container: &ContainerDefinition) -> Result<(), DefinitionError> {
    if container.privileged == Some(true) {
        return Err(DefinitionError::FargatePrivileged);
    }
    if let Some(driver) = logs::lacking_on_fargate(container) {
        return Err(DefinitionError::FargateLogDriver(driver.to_owned()));
    }
    let linux = container.linux_parameters.clone().unwrap_or_default();
    refuse(&[
        (container.disable_networking == Some(true), "disableNetworking"),
        (present(&container.links), "links"),
        (present(&container.extra_hosts), "extraHosts"),
        (present(&container.dns_servers), "dnsServers"),
        (present(&container.dns_search_domains), "dnsSearchDomains"),
        (present(&container.docker_security_options), "dockerSecurityOptions"),
        (present(&linux.devices), "devices"),
        (linux.shared_memory_size.is_some(), "sharedMemorySize"),
        (linux.max_swap.is_some(), "maxSwap"),
        (linux.swappiness.is_some(), "swappiness"),
    ])?;
    let added = linux.capabilities.and_then(|capabilities| capabilities.add).unwrap_or_default();
    match added.into_iter().find(|name| name != "SYS_PTRACE") {
        Some(name) => Err(DefinitionError::FargateCapability(name)),
        None => Ok(()),
    }
}

fn present<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn refuse(members: &[(bool, &'static str)]) -> Result<(), DefinitionError> {
    match members.iter().find(|(used, _)| *used) {
        Some((_, member)) => Err(DefinitionError::FargateMember(member)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::has_size;

    #[test]
    fn there_are_74_sizes() {
        let cpus = [256, 512, 1024, 2048, 4096, 8192, 16_384];
        let sizes = cpus.iter().flat_map(|cpu| (0..=122_880).filter(move |memory| has_size(*cpu, *memory)));
        assert_eq!(sizes.count(), 74);
        assert!(!has_size(256, 1536) && !has_size(300, 512) && !has_size(8192, 17_408));
    }
}
