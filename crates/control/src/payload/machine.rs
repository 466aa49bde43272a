//! What a container is given by its machine, in the words of Docker's API. Pure.

use std::collections::BTreeMap;
use wire::acs::{self, docker};
use wire::types::ecs::{ContainerDefinition, Device, LinuxParameters, Tmpfs, Ulimit};

pub(super) const BYTES_PER_MIB: i64 = 1 << 20;

/// The part of Docker's `Config`.
pub(super) fn config(container: &ContainerDefinition) -> docker::Config {
    docker::Config {
        hostname: container.hostname.clone().filter(|hostname| !hostname.is_empty()),
        labels: container.docker_labels.clone().filter(|labels| !labels.is_empty()),
        tty: container.pseudo_terminal,
        open_stdin: container.interactive,
        network_disabled: container.disable_networking,
        ..docker::Config::default()
    }
}

/// The part of Docker's `HostConfig`; `memory_mib` is the container's hard limit, to which swap is added.
pub(super) fn host_config(container: &ContainerDefinition, memory_mib: Option<u32>) -> docker::HostConfig {
    let linux = container.linux_parameters.clone().unwrap_or_default();
    let swap = linux.max_swap.zip(memory_mib);
    docker::HostConfig {
        privileged: container.privileged,
        readonly_rootfs: container.readonly_root_filesystem,
        dns: listed(&container.dns_servers),
        dns_search: listed(&container.dns_search_domains),
        extra_hosts: extra_hosts(container),
        security_opt: listed(&container.docker_security_options),
        ulimits: listed(&container.ulimits).map(|ulimits| ulimits.iter().map(ulimit).collect()),
        tmpfs: listed(&linux.tmpfs).map(|mounts| mounts.iter().map(tmpfs).collect()),
        sysctls: sysctls(container),
        memory_swap: swap.map(|(swap, memory)| (i64::from(swap) + i64::from(memory)) * BYTES_PER_MIB),
        // Without maxSwap it means nothing (Amazon ECS API reference, LinuxParameters).
        memory_swappiness: linux.max_swap.and(linux.swappiness).map(i64::from),
        ..docker::HostConfig::default()
    }
}

/// What the agent protocol has a place of its own for.
pub(super) fn linux_parameters(container: &ContainerDefinition) -> Option<acs::LinuxParameters> {
    let given = container.linux_parameters.as_ref()?;
    let parameters = acs::LinuxParameters {
        capabilities: capabilities(given),
        devices: listed(&given.devices).map(|devices| devices.iter().map(device).collect()),
        init_process_enabled: given.init_process_enabled,
        shared_memory_size: given.shared_memory_size.map(i64::from),
    };
    (parameters != acs::LinuxParameters::default()).then_some(parameters)
}

fn capabilities(given: &LinuxParameters) -> Option<acs::KernelCapabilities> {
    let given = given.capabilities.as_ref()?;
    Some(acs::KernelCapabilities { add: listed(&given.add), drop: listed(&given.drop) })
}

fn device(given: &Device) -> acs::Device {
    acs::Device {
        host_path: Some(given.host_path.clone()),
        container_path: given.container_path.clone().filter(|path| !path.is_empty()),
        permissions: listed(&given.permissions),
    }
}

fn extra_hosts(container: &ContainerDefinition) -> Option<Vec<String>> {
    let entries = listed(&container.extra_hosts)?;
    Some(entries.iter().map(|entry| format!("{}:{}", entry.hostname, entry.ip_address)).collect())
}

fn ulimit(given: &Ulimit) -> docker::Ulimit {
    docker::Ulimit {
        name: Some(given.name.clone()),
        soft: Some(given.soft_limit.into()),
        hard: Some(given.hard_limit.into()),
    }
}

/// The path, and all options with the size among them.
fn tmpfs(given: &Tmpfs) -> (String, String) {
    let size = format!("size={}", i64::from(given.size) * BYTES_PER_MIB);
    let options: Vec<String> = given.mount_options.iter().flatten().cloned().chain([size]).collect();
    (given.container_path.clone(), options.join(","))
}

fn sysctls(container: &ContainerDefinition) -> Option<BTreeMap<String, String>> {
    let controls = listed(&container.system_controls)?;
    Some(controls.into_iter().filter_map(|control| control.namespace.zip(control.value)).collect())
}

/// None for a list that says nothing.
fn listed<T: Clone>(list: &Option<Vec<T>>) -> Option<Vec<T>> {
    list.clone().filter(|list| !list.is_empty())
}
