//! What of a definition reaches the host itself. A server that asks nobody who they are refuses it: whoever calls
//! such a server would be the machine's root.

use crate::errors::{DefinitionError, EcsError};
use wire::types::ecs::{ContainerDefinition, RegisterTaskDefinitionRequest};

/// The only one that a container may be given without reaching beyond itself, as on Fargate.
const HARMLESS_CAPABILITY: &str = "SYS_PTRACE";

/// # Errors
/// With the first member that reaches the host.
pub(crate) fn check(input: &RegisterTaskDefinitionRequest) -> Result<(), EcsError> {
    match of_task(input).or_else(|| input.container_definitions.iter().find_map(of_container)) {
        Some(what) => Err(DefinitionError::ReachesHost(what).into()),
        None => Ok(()),
    }
}

fn of_task(input: &RegisterTaskDefinitionRequest) -> Option<&'static str> {
    let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    let of_host =
        |volume: &wire::types::ecs::Volume| volume.host.as_ref().is_some_and(|host| host.source_path.is_some());
    // Memory has no device; whatever else is mounted may be the host's.
    let binds = |volume: &wire::types::ecs::Volume| {
        let options = volume.docker_volume_configuration.as_ref().and_then(|docker| docker.driver_opts.as_ref());
        options.is_some_and(|options| options.get("type").is_none_or(|kind| kind != "tmpfs") && !options.is_empty())
    };
    let found = [
        (is_host(&input.network_mode), "networkMode host"),
        (is_host(&input.pid_mode), "pidMode host"),
        (is_host(&input.ipc_mode), "ipcMode host"),
        (input.volumes.iter().flatten().any(of_host), "a volume with a sourcePath"),
        (input.volumes.iter().flatten().any(binds), "a volume whose driverOpts name a device of the host"),
    ];
    found.into_iter().find_map(|(is, what)| is.then_some(what))
}

fn of_container(container: &ContainerDefinition) -> Option<&'static str> {
    let linux = container.linux_parameters.as_ref();
    let mut added = linux.and_then(|linux| linux.capabilities.as_ref()?.add.as_ref()).into_iter().flatten();
    // All others say what confines the container, or what does not.
    let confined = |option: &String| option.split([':', '=']).next() == Some("no-new-privileges");
    let mut options = container.docker_security_options.iter().flatten();
    let found = [
        (container.privileged == Some(true), "privileged"),
        (!options.all(confined), "dockerSecurityOptions beyond no-new-privileges"),
        (linux.is_some_and(|linux| linux.devices.iter().flatten().next().is_some()), "linuxParameters.devices"),
        (added.any(|name| name != HARMLESS_CAPABILITY), "linuxParameters.capabilities.add beyond SYS_PTRACE"),
    ];
    found.into_iter().find_map(|(is, what)| is.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::check;
    use serde_json::{Value, json};

    fn said(member: &str, value: Value, of_container: bool) -> String {
        let mut container = json!({ "name": "app", "image": "web", "memory": 8 });
        let mut input = json!({ "family": "web" });
        let target = if of_container { &mut container } else { &mut input };
        target[member] = value;
        input["containerDefinitions"] = json!([container]);
        check(&serde_json::from_value(input).expect("a request"))
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn what_reaches_the_host_is_named() {
        let refused = |member, value, of_container, what: &str| {
            let said = said(member, value, of_container);
            assert!(said.starts_with(what) && said.contains("--no-auth-allow-host"), "{said}");
        };
        refused("networkMode", json!("host"), false, "networkMode host");
        refused("pidMode", json!("host"), false, "pidMode host");
        refused("ipcMode", json!("host"), false, "ipcMode host");
        refused(
            "volumes",
            json!([{ "name": "v", "host": { "sourcePath": "/" } }]),
            false,
            "a volume with a sourcePath",
        );
        refused("privileged", json!(true), true, "privileged");
        refused("linuxParameters", json!({ "devices": [{ "hostPath": "/dev/sda" }] }), true, "linuxParameters.devices");
        let added = json!({ "capabilities": { "add": ["SYS_PTRACE", "SYS_ADMIN"] } });
        refused("linuxParameters", added, true, "linuxParameters.capabilities.add");
        for option in ["seccomp:unconfined", "apparmor=unconfined", "label:disable", "credentialspec:file://a"] {
            let options = json!(["no-new-privileges", option]);
            refused("dockerSecurityOptions", options, true, "dockerSecurityOptions beyond");
        }
        assert_eq!(said("dockerSecurityOptions", json!(["no-new-privileges:true"]), true), "");
        assert_eq!(said("networkMode", json!("bridge"), false), "");
        assert_eq!(said("pidMode", json!("task"), false), "");
        assert_eq!(said("volumes", json!([{ "name": "v", "host": {} }]), false), "");
        let docker = |options| json!([{ "name": "v", "dockerVolumeConfiguration": { "driverOpts": options } }]);
        let bind = docker(json!({ "type": "none", "o": "bind", "device": "/" }));
        refused("volumes", bind, false, "a volume whose driverOpts name a device");
        assert_eq!(said("volumes", docker(json!({ "type": "tmpfs", "device": "tmpfs" })), false), "");
        assert_eq!(said("linuxParameters", json!({ "capabilities": { "add": ["SYS_PTRACE"] } }), true), "");
    }
}
