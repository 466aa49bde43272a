//! rtnetlink(7) in short, blocking requests. A socket belongs to the network namespace of the thread that
//! opens it, which is why threads, not tasks, use this.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::RawFd;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use rustix::io::Errno;

use super::address::Subnet;

/// A conversation with the kernel about one network namespace.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// One end of a veth pair stays here on a bridge, the other goes into a namespace as `eth0`.
pub(super) struct Veth<'a> {
    pub name: &'a str,
    pub bridge_index: u32,
    pub mtu: u32,
    pub peer_mac: [u8; 6],
    pub peer_netns: RawFd,
}

/// A network that a route leads to; the default route has prefix length 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub to: Subnet,
    pub link_index: u32,
}

impl Netlink {
    /// Speaks about the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    pub fn link(&mut self, name: &str) -> io::Result<Option<LinkMessage>> {
        let wanted = LinkMessageBuilder::<LinkUnspec>::new().name(name).build();
        let answers = match self.request(RouteNetlinkMessage::GetLink(wanted), 0) {
            Err(error) if is(&error, Errno::NODEV) => return Ok(None),
            other => other?,
        };
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }))
    }

    pub fn link_by_index(&mut self, index: u32) -> io::Result<Option<LinkMessage>> {
        let wanted = LinkMessageBuilder::<LinkUnspec>::new().index(index).build();
        let answers = self.request(RouteNetlinkMessage::GetLink(wanted), 0)?;
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }))
    }

    /// Makes a bridge; its address is given, since a bridge otherwise takes one of its ports'.
    pub fn add_bridge(&mut self, name: &str, mac: [u8; 6], mtu: u32) -> io::Result<()> {
        let link = LinkBridge::new(name).address(mac.to_vec()).mtu(mtu).up().build();
        self.create(RouteNetlinkMessage::NewLink(link))
    }

    pub fn add_veth(&mut self, veth: &Veth<'_>) -> io::Result<()> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name("eth0")
            .mtu(veth.mtu)
            .address(veth.peer_mac.to_vec())
            .setns_by_fd(veth.peer_netns)
            .build();
        let link = LinkVeth::new(veth.name, "eth0")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .mtu(veth.mtu)
            .controller(veth.bridge_index)
            .up()
            .build();
        self.create(RouteNetlinkMessage::NewLink(link))
    }

    /// Lets a bridge port send back what came from it: a container to its own published port.
    pub fn set_hairpin(&mut self, index: u32) -> io::Result<()> {
        let link = LinkBridgePort::new(index).hairpin(true).build();
        self.request(RouteNetlinkMessage::NewLink(link), NLM_F_ACK).map(|_| ())
    }

    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let link = LinkUnspec::new_with_index(index).up().build();
        self.request(RouteNetlinkMessage::SetLink(link), NLM_F_ACK).map(|_| ())
    }

    /// It is no error when there is no such link.
    pub fn delete_link(&mut self, name: &str) -> io::Result<()> {
        let link = LinkUnspec::new_with_name(name).build();
        match self.request(RouteNetlinkMessage::DelLink(link), NLM_F_ACK) {
            Err(error) if !is(&error, Errno::NODEV) => Err(error),
            _ => Ok(()),
        }
    }

    /// It is no error when the link has the address.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, subnet: Subnet) -> io::Result<()> {
        let broadcast = AddressAttribute::Broadcast(subnet.broadcast());
        let mut message =
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, subnet.prefix_length()).build();
        message.attributes.push(broadcast);
        existing_is_fine(self.create(RouteNetlinkMessage::NewAddress(message)))
    }

    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        existing_is_fine(self.create(RouteNetlinkMessage::NewRoute(route)))
    }

    /// The networks of all IPv4 addresses, with the links that have them.
    pub fn addresses(&mut self) -> io::Result<Vec<(u32, Subnet)>> {
        let mut all = AddressMessage::default();
        all.header.family = AddressFamily::Inet;
        let answers = self.request(RouteNetlinkMessage::GetAddress(all), NLM_F_DUMP)?;
        let address = |answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => {
                let (index, length) = (message.header.index, message.header.prefix_len);
                message.attributes.into_iter().find_map(|attribute| match attribute {
                    AddressAttribute::Address(IpAddr::V4(ip)) => Some((index, Subnet::containing(ip, length))),
                    _ => None,
                })
            }
            _ => None,
        };
        Ok(answers.into_iter().filter_map(address).collect())
    }

    /// All IPv4 routes that lead out through a link.
    pub fn routes(&mut self) -> io::Result<Vec<Route>> {
        let mut all = RouteMessage::default();
        all.header.address_family = AddressFamily::Inet;
        let answers = self.request(RouteNetlinkMessage::GetRoute(all), NLM_F_DUMP)?;
        let route = |answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => route_of(message),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(route).collect())
    }

    fn create(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL).map(|_| ())
    }

    /// Sends one request and gathers its answers, up to the acknowledgement or the end of the dump.
    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        while !self.receive(flags, &mut answers)? {}
        Ok(answers)
    }

    /// Reads one datagram; true when it held the end of the answer.
    fn receive(&mut self, flags: u16, answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
        let (bytes, _) = self.socket.recv_from_full()?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let packet = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            // Messages begin at multiples of four bytes (netlink(7), NLMSG_ALIGN).
            let length = (packet.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
            if packet.header.sequence_number != self.sequence {
                continue;
            }
            match packet.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::InnerMessage(message) => answers.push(message),
                _ => {}
            }
        }
        Ok(flags & (NLM_F_ACK | NLM_F_DUMP) == 0)
    }
}

pub(super) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn existing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if !is(&error, Errno::EXIST) => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn mtu_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

fn route_of(message: RouteMessage) -> Option<Route> {
    let (mut link, mut address) = (None, Ipv4Addr::UNSPECIFIED);
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(index),
            RouteAttribute::Destination(RouteAddress::Inet(to)) => address = to,
            _ => {}
        }
    }
    let to = Subnet::containing(address, message.header.destination_prefix_length);
    link.map(|link_index| Route { to, link_index })
}
