//! What a container is given of the machine: devices, privileges, namespaces, names.

use super::ContainerOrder;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wire::acs::{self, docker};

/// Whose namespace a task's containers live in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Each in its own.
    #[default]
    Own,
    /// All in one of the task's.
    Task,
    /// In the host's.
    Host,
    /// Each in its own, without shared memory: of IPC alone.
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub host_path: String,
    pub container_path: String,
    /// Of the letters `r`, `w`, `m`.
    pub access: String,
}

/// Docker's security options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    pub no_new_privileges: bool,
    pub apparmor: Option<String>,
    pub without_seccomp: bool,
}

/// Another container of the task, and the name under which this one knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub container: String,
    pub alias: String,
}

/// Lays what is said of them in `host` over the order.
pub(super) fn lay(order: &mut ContainerOrder, host: &docker::HostConfig) -> Result<(), String> {
    order.privileged = host.privileged.unwrap_or_default();
    order.security = security(host.security_opt.as_deref().unwrap_or_default())?;
    order.devices.extend(host.devices.iter().flatten().map(mapped_device));
    order.init |= host.init.unwrap_or_default();
    // Docker takes 0 for nothing said.
    order.memory_swap_bytes = host.memory_swap.filter(|bytes| *bytes != 0);
    order.swappiness = host.memory_swappiness.and_then(|value| u64::try_from(value).ok());
    Ok(())
}

/// None where the protocol says nothing.
pub(super) fn sharing(what: &str, mode: Option<&str>) -> Result<Sharing, String> {
    match (what, mode.unwrap_or_default()) {
        (_, "") => Ok(Sharing::Own),
        (_, "task") => Ok(Sharing::Task),
        (_, "host") => Ok(Sharing::Host),
        ("ipcMode", "none") => Ok(Sharing::Closed),
        (_, other) => Err(format!("{what} {other} is not supported by this agent; use host or task")),
    }
}

/// `name` or `name:alias`.
pub(super) fn link(text: &str) -> Link {
    let (container, alias) = text.split_once(':').unwrap_or((text, text));
    Link { container: container.to_owned(), alias: alias.to_owned() }
}

pub(super) fn device(given: &acs::Device) -> Device {
    let host_path = given.host_path.clone().unwrap_or_default();
    let named = |name: &str| given.permissions.iter().flatten().any(|permission| permission == name);
    let letters = [("read", 'r'), ("write", 'w'), ("mknod", 'm')];
    let access: String = letters.into_iter().filter(|(name, _)| named(name)).map(|(_, letter)| letter).collect();
    Device {
        container_path: given.container_path.clone().filter(|path| !path.is_empty()).unwrap_or(host_path.clone()),
        access: if access.is_empty() { ALL_ACCESS.to_owned() } else { access },
        host_path,
    }
}

/// What a container may do with a device when nothing is said (Amazon ECS API reference, Device).
const ALL_ACCESS: &str = "rwm";

fn mapped_device(given: &docker::DeviceMapping) -> Device {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let host_path = given.path_on_host.clone().unwrap_or_default();
    Device {
        container_path: text(&given.path_in_container).unwrap_or(host_path.clone()),
        access: text(&given.cgroup_permissions).unwrap_or(ALL_ACCESS.to_owned()),
        host_path,
    }
}

/// Docker parts name and value at `=` or, as of old, at `:`. Labels of SELinux have no place on a machine whose
/// containers it does not confine; only doing without them is what they have anyway.
fn security(options: &[String]) -> Result<Security, String> {
    let mut security = Security::default();
    for option in options {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("seccomp", "unconfined") => security.without_seccomp = true,
            ("apparmor", profile) if !profile.is_empty() => security.apparmor = Some(profile.to_owned()),
            ("label", "disable") => {}
            _ => super::read::refuse(true, &format!("dockerSecurityOptions {option}"))?,
        }
    }
    Ok(security)
}

/// `name:address`; the address may have colons of its own.
pub(super) fn extra_host(text: &str) -> Result<(String, IpAddr), String> {
    let (name, ip) = text.split_once(':').ok_or_else(|| format!("{text} of its extraHosts is not name:address"))?;
    Ok((name.to_owned(), address("extraHosts", ip)?))
}

pub(super) fn address(what: &str, text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text} of its {what} is not an IP address"))
}

/// The first and the last port of `first-last`.
pub(super) fn port_range(text: &str) -> Result<(u16, u16), String> {
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let ends = ends.filter(|(first, last): &(u16, u16)| *first > 0 && first <= last);
    ends.ok_or_else(|| format!("{text} of its portMappings is not a range of ports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_options_are_dockers() {
        fn check(options: &[&str], expect: Result<Security, &str>) {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            let expect = expect.map_err(|what| {
                format!(
                    "dockerSecurityOptions {what} is not supported by this agent; remove it from the task definition"
                )
            });
            assert_eq!(security(&options), expect);
        }
        let none = Security::default;
        check(&[], Ok(none()));
        check(&["no-new-privileges"], Ok(Security { no_new_privileges: true, ..none() }));
        check(&["no-new-privileges:true", "no-new-privileges=false"], Ok(none()));
        check(&["seccomp:unconfined"], Ok(Security { without_seccomp: true, ..none() }));
        check(&["apparmor=web"], Ok(Security { apparmor: Some("web".to_owned()), ..none() }));
        check(&["label:disable"], Ok(none()));
        check(&["label:type:web_t"], Err("label:type:web_t"));
        check(&["credentialspec:file://a"], Err("credentialspec:file://a"));
        check(&["apparmor"], Err("apparmor"));
    }

    #[test]
    fn devices_are_all_the_containers_unless_it_says_less() {
        let given = acs::Device { host_path: Some("/dev/fuse".to_owned()), ..acs::Device::default() };
        let whole = Device { host_path: "/dev/fuse".into(), container_path: "/dev/fuse".into(), access: "rwm".into() };
        assert_eq!(device(&given), whole);
        let permissions = Some(vec!["mknod".to_owned(), "read".to_owned()]);
        let part = acs::Device { container_path: Some("/dev/f".to_owned()), permissions, ..given };
        assert_eq!(device(&part), Device { container_path: "/dev/f".into(), access: "rm".into(), ..whole });
    }

    #[test]
    fn modes_of_sharing() {
        assert_eq!(sharing("pidMode", None), Ok(Sharing::Own));
        assert_eq!(sharing("pidMode", Some("task")), Ok(Sharing::Task));
        assert_eq!(sharing("ipcMode", Some("none")), Ok(Sharing::Closed));
        assert!(sharing("pidMode", Some("none")).is_err());
    }
}
