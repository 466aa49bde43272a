//! Port mappings: which host port a container port has in each network mode.

use super::limits::PORT_NAME_CHARS_MAX;
use crate::errors::{DefinitionError, EcsError};
use crate::supported;
use state::{ContainerSpec, NetworkMode, PortMapping, PortProtocol};
use std::collections::{BTreeMap, BTreeSet};
use wire::types::ecs::PortMapping as Given;

/// Members of a port mapping that mean something here.
const SUPPORTED: [&str; 4] = ["containerPort", "hostPort", "protocol", "name"];

/// Checks the mappings of container `name` and fills in host ports and protocols.
pub(super) fn normalise(
    name: &str,
    path: &str,
    given: Vec<Given>,
    mode: NetworkMode,
) -> Result<(Vec<Given>, Vec<PortMapping>), EcsError> {
    if mode == NetworkMode::None && !given.is_empty() {
        return Err(DefinitionError::PortsInNone.into());
    }
    let mut filled = Vec::new();
    for (at, mapping) in given.into_iter().enumerate() {
        supported::only(&mapping, &SUPPORTED, &format!("{path}portMappings[{at}]."))?;
        filled.push(one(name, mapping, mode)?);
    }
    let (filled, ports): (Vec<Given>, Vec<PortMapping>) = filled.into_iter().unzip();
    check_protocols(name, &ports)?;
    Ok((filled, ports))
}

fn one(container: &str, given: Given, mode: NetworkMode) -> Result<(Given, PortMapping), EcsError> {
    let invalid = |member| DefinitionError::Port { container: container.to_owned(), member };
    let container_port = given.container_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let container_port = container_port.ok_or_else(|| invalid("containerPort"))?;
    let host_port = given.host_port.map(u16::try_from).transpose().map_err(|_| invalid("hostPort"))?;
    check_name(given.name.as_deref())?;
    let mapping = PortMapping {
        container_port,
        host_port: host_port_in(mode, container_port, host_port)?,
        protocol: if given.protocol.as_deref() == Some("udp") { PortProtocol::Udp } else { PortProtocol::Tcp },
    };
    let filled = Given {
        container_port: Some(container_port.into()),
        host_port: Some(mapping.host_port.into()),
        protocol: Some(mapping.protocol.as_str().to_owned()),
        ..given
    };
    Ok((filled, mapping))
}

/// In bridge mode 0 lets the node choose; where the container has the host's or a network interface's
/// own ports, the two are one.
fn host_port_in(mode: NetworkMode, container_port: u16, host_port: Option<u16>) -> Result<u16, EcsError> {
    match (mode, host_port) {
        (NetworkMode::Bridge | NetworkMode::None, host_port) => Ok(host_port.unwrap_or_default()),
        (_, None) => Ok(container_port),
        (_, Some(host_port)) if host_port == container_port => Ok(container_port),
        (mode, Some(_)) => Err(DefinitionError::PortsDiffer(mode.as_str()).into()),
    }
}

fn check_name(name: Option<&str>) -> Result<(), EcsError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(()) };
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    match plain && name.len() <= PORT_NAME_CHARS_MAX && !name.starts_with('-') {
        true => Ok(()),
        false => Err(DefinitionError::PortName(name.to_owned()).into()),
    }
}

/// A container port has one protocol.
fn check_protocols(container: &str, ports: &[PortMapping]) -> Result<(), EcsError> {
    let mut protocols = BTreeMap::new();
    for port in ports {
        if *protocols.entry(port.container_port).or_insert(port.protocol) != port.protocol {
            let (container, port) = (container.to_owned(), port.container_port);
            return Err(DefinitionError::PortProtocols { container, port }.into());
        }
    }
    Ok(())
}

/// No host port can be given to a task twice.
pub(super) fn check_host_ports(containers: &[ContainerSpec]) -> Result<(), EcsError> {
    let mut taken = BTreeSet::new();
    for container in containers {
        for port in container.ports.iter().filter(|port| port.host_port != 0) {
            if !taken.insert((port.protocol, port.host_port)) {
                let (container, port) = (container.name.clone(), port.host_port);
                return Err(DefinitionError::HostPortTwice { container, port }.into());
            }
        }
    }
    Ok(())
}
