//! Port mappings: which host port a container port has in each network mode.

use super::limits::{PORT_NAME_CHARS_MAX, PORT_RANGES_MAX};
use crate::errors::{DefinitionError, EcsError};
use crate::supported;
use state::{ContainerSpec, NetworkMode, PortMapping, PortProtocol};
use std::collections::{BTreeMap, BTreeSet};
use wire::types::ecs::{ContainerDefinition, PortMapping as Given};

/// Members of a port mapping that mean something here.
const SUPPORTED: [&str; 5] = ["containerPort", "containerPortRange", "hostPort", "protocol", "name"];

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
    check_ranges(name, &ports)?;
    Ok((filled, ports))
}

fn one(container: &str, given: Given, mode: NetworkMode) -> Result<(Given, PortMapping), EcsError> {
    if let Some(range) = given.container_port_range.clone().filter(|range| !range.is_empty()) {
        return ranged(container, given, &range, mode);
    }
    let invalid = |member| DefinitionError::Port { container: container.to_owned(), member };
    let container_port = given.container_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let container_port = container_port.ok_or_else(|| invalid("containerPort"))?;
    let host_port = given.host_port.map(u16::try_from).transpose().map_err(|_| invalid("hostPort"))?;
    check_name(given.name.as_deref())?;
    let mapping = PortMapping {
        container_port,
        host_port: host_port_in(mode, container_port, host_port)?,
        protocol: protocol(&given),
        range_end: None,
    };
    let filled = Given {
        container_port: Some(container_port.into()),
        host_port: Some(mapping.host_port.into()),
        protocol: Some(mapping.protocol.as_str().to_owned()),
        ..given
    };
    Ok((filled, mapping))
}

fn protocol(given: &Given) -> PortProtocol {
    if given.protocol.as_deref() == Some("udp") { PortProtocol::Udp } else { PortProtocol::Tcp }
}

/// A range has no host ports of its own choosing: the node finds as many beside one another.
fn ranged(container: &str, given: Given, range: &str, mode: NetworkMode) -> Result<(Given, PortMapping), EcsError> {
    let container = || container.to_owned();
    if given.container_port.or(given.host_port).is_some_and(|port| port != 0) {
        return Err(DefinitionError::PortAndRange { container: container() }.into());
    }
    if !matches!(mode, NetworkMode::Bridge | NetworkMode::Awsvpc) {
        return Err(DefinitionError::PortRangeInMode(mode.as_str()).into());
    }
    check_name(given.name.as_deref())?;
    let ends = range.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let ends = ends.filter(|(first, last): &(u16, u16)| *first > 0 && first < last);
    let (container_port, last) = ends.ok_or_else(|| DefinitionError::PortRange { container: container() })?;
    let mapping = PortMapping { container_port, host_port: 0, protocol: protocol(&given), range_end: Some(last) };
    let filled = Given {
        container_port: None,
        host_port: None,
        container_port_range: mapping.range(),
        protocol: Some(mapping.protocol.as_str().to_owned()),
        ..given
    };
    Ok((filled, mapping))
}

/// A port of a range is in no other mapping.
fn check_ranges(container: &str, ports: &[PortMapping]) -> Result<(), EcsError> {
    let container = || container.to_owned();
    if ports.iter().filter(|port| port.range_end.is_some()).count() > PORT_RANGES_MAX {
        return Err(DefinitionError::PortRanges { container: container() }.into());
    }
    let last = |port: &PortMapping| port.range_end.unwrap_or(port.container_port);
    let mut sorted: Vec<&PortMapping> = ports.iter().collect();
    sorted.sort_by_key(|port| port.container_port);
    // Only a range can reach beyond what begins after it; the furthest so far is compared.
    let mut reached: Option<&PortMapping> = None;
    for port in sorted {
        if let Some(before) = reached
            && (before.range_end.is_some() || port.range_end.is_some())
            && port.container_port <= last(before)
        {
            return Err(DefinitionError::PortRangesOverlap { container: container(), port: port.container_port }.into());
        }
        reached = reached.filter(|before| last(before) >= last(port)).or(Some(port));
    }
    Ok(())
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

/// A service means a port by its name alone, whichever container's it is.
pub(super) fn check_names(containers: &[ContainerDefinition]) -> Result<(), EcsError> {
    let mappings = containers.iter().flat_map(|container| container.port_mappings.iter().flatten());
    let mut seen = BTreeSet::new();
    for name in mappings.filter_map(|mapping| mapping.name.as_ref()).filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            return Err(DefinitionError::PortNameTwice(name.clone()).into());
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
