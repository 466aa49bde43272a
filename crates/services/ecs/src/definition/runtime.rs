//! What a container is given by its machine: limits, devices, capabilities, kernel parameters, names.
//!
//! Amazon ECS API reference, ContainerDefinition and LinuxParameters.

use super::limits::{HOSTNAME_CHARS_MAX, SWAPPINESS_MAX};
use crate::errors::{DefinitionError, EcsError};
use state::NetworkMode;
use std::collections::BTreeSet;
use std::net::IpAddr;
use wire::types::ecs::{ContainerDefinition, LinuxParameters, SystemControl, Tmpfs, Ulimit};

/// Amazon ECS API reference, KernelCapabilities.
const CAPABILITIES: [&str; 38] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// Amazon ECS API reference, Tmpfs: options that stand alone.
const TMPFS_FLAGS: &str = "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync mand nomand atime noatime \
     diratime nodiratime unbindable runbindable private rprivate shared rshared slave rslave relatime norelatime \
     strictatime nostrictatime";
/// The same: options with a value.
const TMPFS_VALUES: [&str; 6] = ["mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/// The same: options that would make something else than a new tmpfs of it.
const TMPFS_OTHER: [&str; 3] = ["remount", "bind", "rbind"];

/// Amazon ECS API reference, SystemControl: parameters of an IPC namespace, beside fs.mqueue.
const IPC_CONTROLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The task that a container's settings must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub network: NetworkMode,
    /// `ipcMode` is `host`.
    pub ipc_of_host: bool,
}

/// Checks the container `name`, whose members lie at `path` in the request.
pub(super) fn check(name: &str, path: &str, given: &ContainerDefinition, task: Task) -> Result<(), EcsError> {
    let invalid = |member, problem: String| DefinitionError::Setting { container: name.to_owned(), member, problem };
    check_network(given, task.network)?;
    check_names(given).map_err(|(member, problem)| invalid(member, problem))?;
    check_ulimits(given.ulimits.as_deref().unwrap_or_default()).map_err(|problem| invalid("ulimits", problem))?;
    for control in given.system_controls.iter().flatten() {
        check_control(control, task).map_err(|problem| invalid("systemControls", problem))?;
    }
    for (at, option) in given.docker_security_options.iter().flatten().enumerate() {
        check_security_option(option, &format!("{path}dockerSecurityOptions[{at}]"))?
            .map_err(|problem| invalid("dockerSecurityOptions", problem))?;
    }
    match &given.linux_parameters {
        Some(linux) => check_linux(linux, given, path, &invalid),
        None => Ok(()),
    }
}

/// What an elastic network interface of the task's own leaves no room for.
fn check_network(given: &ContainerDefinition, network: NetworkMode) -> Result<(), DefinitionError> {
    if network != NetworkMode::Awsvpc {
        return Ok(());
    }
    if given.hostname.as_ref().is_some_and(|hostname| !hostname.is_empty()) {
        return Err(DefinitionError::HostnameInAwsvpc);
    }
    if given.disable_networking == Some(true) {
        return Err(DefinitionError::DisabledInAwsvpc);
    }
    match given.extra_hosts.iter().flatten().next() {
        Some(_) => Err(DefinitionError::ExtraHostsInAwsvpc),
        None => Ok(()),
    }
}

fn check_names(given: &ContainerDefinition) -> Result<(), (&'static str, String)> {
    let hostname = given.hostname.as_deref().unwrap_or_default();
    if !is_host_name(hostname, HOSTNAME_CHARS_MAX) {
        return Err(("hostname", format!("Use up to {HOSTNAME_CHARS_MAX} letters, digits, hyphens and dots.")));
    }
    for server in given.dns_servers.iter().flatten() {
        server.parse::<IpAddr>().map_err(|_| ("dnsServers", format!("'{server}' is not an IP address.")))?;
    }
    for domain in given.dns_search_domains.iter().flatten() {
        if domain.is_empty() || !is_host_name(domain, super::limits::DOMAIN_CHARS_MAX) {
            return Err(("dnsSearchDomains", format!("'{domain}' is not a domain.")));
        }
    }
    for entry in given.extra_hosts.iter().flatten() {
        if entry.hostname.is_empty() || !is_host_name(&entry.hostname, super::limits::DOMAIN_CHARS_MAX) {
            return Err(("extraHosts", format!("'{}' is not a host name.", entry.hostname)));
        }
        let address = entry.ip_address.parse::<IpAddr>();
        address.map_err(|_| ("extraHosts", format!("'{}' is not an IP address.", entry.ip_address)))?;
    }
    match given.docker_labels.iter().flatten().any(|(name, _)| name.is_empty()) {
        true => Err(("dockerLabels", "Give every label a name.".to_owned())),
        false => Ok(()),
    }
}

fn is_host_name(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// −1 stands for no limit.
fn check_ulimits(ulimits: &[Ulimit]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for Ulimit { name, soft_limit, hard_limit } in ulimits {
        if !seen.insert(name) {
            return Err(format!("'{name}' is limited twice."));
        }
        let beyond = |limit: i32| if limit == -1 { i64::from(u32::MAX) } else { limit.into() };
        if *soft_limit < -1 || *hard_limit < -1 {
            return Err(format!("The limits of '{name}' must be -1, for none, or more."));
        }
        if beyond(*soft_limit) > beyond(*hard_limit) {
            return Err(format!("The softLimit of '{name}' is above its hardLimit."));
        }
    }
    Ok(())
}

fn check_control(control: &SystemControl, task: Task) -> Result<(), String> {
    let namespace = control.namespace.as_deref().unwrap_or_default();
    if control.value.as_deref().unwrap_or_default().is_empty() {
        return Err(format!("Give '{namespace}' a value."));
    }
    let plain =
        namespace.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) && !namespace.contains("..");
    if !plain {
        return Err(format!("'{namespace}' is not a kernel parameter."));
    }
    let ipc = IPC_CONTROLS.contains(&namespace) || namespace.starts_with("fs.mqueue.");
    match (namespace.starts_with("net."), ipc) {
        (true, _) if task.network == NetworkMode::Host => {
            Err(format!("'{namespace}' is a network parameter, which networkMode=host does not support."))
        }
        (_, true) if task.ipc_of_host => {
            Err(format!("'{namespace}' is an IPC parameter, which ipcMode=host does not support."))
        }
        (false, false) => Err(format!("'{namespace}' is not a parameter of a network or IPC namespace.")),
        _ => Ok(()),
    }
}

/// What Docker would refuse is an error of the container; what Longshore lacks is named as such.
fn check_security_option(option: &str, path: &str) -> Result<Result<(), String>, EcsError> {
    let (name, value) = option.split_once([':', '=']).unwrap_or((option, ""));
    Ok(match (name, value) {
        ("no-new-privileges", "" | "true" | "false") | ("seccomp", "unconfined") => Ok(()),
        ("apparmor" | "label", value) if !value.is_empty() => Ok(()),
        ("credentialspec" | "seccomp", _) => return Err(EcsError::FieldNotSupported(format!("{path}: {option}"))),
        _ => Err(format!("'{option}' is not one of no-new-privileges, apparmor:PROFILE and label:VALUE.")),
    })
}

fn check_linux(
    linux: &LinuxParameters,
    container: &ContainerDefinition,
    path: &str,
    invalid: &impl Fn(&'static str, String) -> DefinitionError,
) -> Result<(), EcsError> {
    let capabilities = linux.capabilities.iter();
    for name in capabilities.flat_map(|both| [&both.add, &both.drop]).flatten().flatten() {
        if !CAPABILITIES.contains(&name.as_str()) {
            return Err(invalid("capabilities", format!("'{name}' is not a Linux capability.")).into());
        }
    }
    for device in linux.devices.iter().flatten() {
        let paths = [Some(&device.host_path), device.container_path.as_ref().filter(|path| !path.is_empty())];
        if let Some(path) = paths.into_iter().flatten().find(|path| !is_absolute(path)) {
            return Err(invalid("devices", format!("'{path}' is not an absolute path.")).into());
        }
    }
    if linux.shared_memory_size.is_some_and(|mib| mib <= 0) {
        return Err(invalid("sharedMemorySize", "It must be at least 1.".to_owned()).into());
    }
    check_swap(linux, container).map_err(|(member, problem)| invalid(member, problem))?;
    for (at, tmpfs) in linux.tmpfs.iter().flatten().enumerate() {
        check_tmpfs(tmpfs, &format!("{path}linuxParameters.tmpfs[{at}]"), invalid)?;
    }
    Ok(())
}

fn check_swap(linux: &LinuxParameters, container: &ContainerDefinition) -> Result<(), (&'static str, String)> {
    if linux.swappiness.is_some_and(|value| !(0..=SWAPPINESS_MAX).contains(&value)) {
        return Err(("swappiness", format!("It must be between 0 and {SWAPPINESS_MAX}.")));
    }
    match (linux.max_swap, container.memory) {
        (Some(mib), _) if mib < 0 => Err(("maxSwap", "It must be at least 0.".to_owned())),
        (Some(_), None) => Err(("maxSwap", "It adds to the hard limit: specify 'memory'.".to_owned())),
        _ => Ok(()),
    }
}

fn check_tmpfs(
    tmpfs: &Tmpfs,
    path: &str,
    invalid: &impl Fn(&'static str, String) -> DefinitionError,
) -> Result<(), EcsError> {
    if tmpfs.size <= 0 {
        return Err(DefinitionError::TmpfsSize.into());
    }
    if !is_absolute(&tmpfs.container_path) {
        return Err(invalid("tmpfs", format!("'{}' is not an absolute path.", tmpfs.container_path)).into());
    }
    for option in tmpfs.mount_options.iter().flatten() {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if TMPFS_OTHER.contains(&name) {
            return Err(EcsError::FieldNotSupported(format!("{path}.mountOptions: {option}")));
        }
        let flag = value.is_empty() && TMPFS_FLAGS.split_whitespace().any(|flag| flag == name);
        let valued = TMPFS_VALUES.contains(&name) && !value.is_empty() && !value.contains(',');
        if !flag && !valued {
            return Err(invalid("tmpfs", format!("'{option}' is not a mount option.")).into());
        }
    }
    Ok(())
}

/// A path of a machine or container that does not climb.
fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| part != "..") && !path.contains('\0')
}
