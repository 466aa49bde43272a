//! Which host ports a container's published ports get.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use serde::{Deserialize, Serialize};

use crate::drivers::Error;
use crate::drivers::spec::{ContainerId, PortMapping, Protocol};

/// Dynamic ports where the kernel does not tell its own range:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html>, "hostPort".
const DYNAMIC_DEFAULT: (u16, u16) = (49_153, 65_535);

/// A container port and the host port at which it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: Protocol,
}

/// Who holds which host port, of all containers of this node.
#[derive(Debug, Default)]
pub(super) struct Ports {
    held: BTreeMap<(Protocol, u16), ContainerId>,
    /// The dynamic port given last: the search goes on after it, so that a freed port rests a while.
    last: u16,
}

impl Ports {
    pub fn hold(&mut self, id: &ContainerId, bindings: &[Binding]) {
        self.held.extend(bindings.iter().map(|binding| ((binding.protocol, binding.host_port), id.clone())));
    }

    pub fn release(&mut self, id: &ContainerId) {
        self.held.retain(|_, holder| holder != id);
    }

    /// Gives `id` a host port for each of `wanted`, all or none.
    pub fn allocate(&mut self, id: &ContainerId, wanted: &[PortMapping]) -> Result<Vec<Binding>, Error> {
        let mut bindings = Vec::new();
        // Fixed ports first, lest a dynamic one takes the port that a later mapping names.
        let (fixed, dynamic): (Vec<&PortMapping>, Vec<&PortMapping>) =
            wanted.iter().partition(|mapping| mapping.host_port.is_some());
        for mapping in fixed.into_iter().chain(dynamic) {
            match self.pick(mapping) {
                Ok(first) => {
                    let (inside, protocol) = (mapping.container_port, mapping.protocol);
                    for at in 0..mapping.count() {
                        let (container_port, host_port) = (inside.saturating_add(at), first + at);
                        bindings.push(Binding { container_port, host_port, protocol });
                        self.held.insert((protocol, host_port), id.clone());
                    }
                }
                Err(error) => {
                    self.release(id);
                    return Err(error);
                }
            }
        }
        bindings.sort();
        Ok(bindings)
    }

    fn pick(&mut self, mapping: &PortMapping) -> Result<u16, Error> {
        let protocol = mapping.protocol;
        let Some(port) = mapping.host_port else { return self.pick_dynamic(protocol, mapping.count()) };
        let holder = match self.held.get(&(protocol, port)) {
            Some(holder) => format!("container {holder}"),
            None if is_free(protocol, port)? => return Ok(port),
            None => "another process of the host".to_owned(),
        };
        Err(Error::PortTaken { port, protocol, holder })
    }

    /// The first of `count` free ports beside one another, which is not searched for before the port given last.
    fn pick_dynamic(&mut self, protocol: Protocol, count: u16) -> Result<u16, Error> {
        let (first, last) = dynamic_range();
        let after = if (first..last).contains(&self.last) { self.last + 1 } else { first };
        let mut free = 0;
        for port in (after..=last).chain(first..after) {
            // Where the search begins anew at the lowest port, so does a row of free ones.
            free = if port == first { 0 } else { free };
            let is_free = !self.held.contains_key(&(protocol, port)) && is_free(protocol, port)?;
            free = if is_free { free + 1 } else { 0 };
            if free == count {
                self.last = port;
                return Ok(port - (count - 1));
            }
        }
        Err(Error::NoPortLeft { protocol, first, last, count })
    }
}

/// The kernel's range of ephemeral ports, from which Docker and so ECS give dynamic host ports.
fn dynamic_range() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(DYNAMIC_DEFAULT)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (first <= last).then_some((first, last))
}

/// Whether no process of the host listens there: a port that NAT takes away would be lost to it unsaid.
fn is_free(protocol: Protocol, port: u16) -> Result<bool, Error> {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
    };
    match bound {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(Error::network(format!("try port {port}/{protocol}"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ContainerId {
        text.parse().expect(text)
    }

    fn wanted(container_port: u16, host_port: Option<u16>, protocol: Protocol) -> PortMapping {
        PortMapping { container_port, host_port, protocol, range_end: None }
    }

    #[test]
    fn a_port_of_another_process_is_refused_and_free_again_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("address").port();
        let mut ports = Ports::default();
        let mapping = [wanted(80, Some(port), Protocol::Tcp)];
        let error = ports.allocate(&id("a"), &mapping).expect_err("taken");
        let text =
            format!("Bind for 0.0.0.0:{port}/tcp failed: port is already allocated to another process of the host");
        assert_eq!(error.to_string(), text);
        assert_eq!(error.ecs_name(), "CannotStartContainerError");
        drop(listener);
        assert_eq!(ports.allocate(&id("a"), &mapping).expect("free")[0].host_port, port);
        let error = ports.allocate(&id("b"), &mapping).expect_err("taken");
        assert!(error.to_string().ends_with("already allocated to container a"), "{error}");
        ports.release(&id("a"));
        ports.allocate(&id("b"), &mapping).expect("released");
    }

    #[test]
    fn one_refusal_gives_all_back() {
        let mut ports = Ports::default();
        let held = ports.allocate(&id("a"), &[wanted(80, None, Protocol::Udp)]).expect("dynamic")[0];
        let both = [wanted(53, None, Protocol::Tcp), wanted(53, Some(held.host_port), Protocol::Udp)];
        ports.allocate(&id("b"), &both).expect_err("taken by a");
        assert!(ports.held.values().all(|holder| *holder == id("a")));
    }

    #[test]
    fn dynamic_ports_differ_and_lie_in_the_kernels_range() {
        let mut ports = Ports::default();
        let mappings = [wanted(80, None, Protocol::Tcp), wanted(81, None, Protocol::Tcp)];
        let given = ports.allocate(&id("a"), &mappings).expect("dynamic");
        let (first, last) = dynamic_range();
        assert!(given.iter().all(|binding| (first..=last).contains(&binding.host_port)));
        assert_ne!(given[0].host_port, given[1].host_port);
    }

    #[test]
    fn a_range_lies_beside_itself_and_is_given_back_whole() {
        let mut ports = Ports::default();
        let range = PortMapping { range_end: Some(8004), ..wanted(8000, None, Protocol::Tcp) };
        let given = ports.allocate(&id("a"), &[range, wanted(80, None, Protocol::Tcp)]).expect("dynamic");
        let inside: Vec<u16> = given.iter().map(|binding| binding.container_port).collect();
        assert_eq!(inside, [80, 8000, 8001, 8002, 8003, 8004]);
        assert!(given[1..].windows(2).all(|pair| pair[0].host_port + 1 == pair[1].host_port), "{given:?}");
        ports.release(&id("a"));
        assert!(ports.held.is_empty());
        let all = PortMapping { range_end: Some(u16::MAX), ..wanted(1, None, Protocol::Tcp) };
        let error = ports.allocate(&id("a"), &[all]).expect_err("more than there are").to_string();
        assert!(error.starts_with("no 65535 free tcp ports beside one another in "), "{error}");
    }

    #[test]
    fn ranges() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_range("5 1"), None);
        assert_eq!(parse_range(""), None);
    }
}
