//! The node's bridge: its link, its network, and the kernel's settings that it needs.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::NetworkConfig;
use super::address::Subnet;
use super::namespace::mac_of;
use super::netlink::{Netlink, Route, mtu_of};

/// Networks that a bridge may take, the preferred first: Docker's and the cloud's usual ones are not among them.
pub const SUBNETS: [&str; 6] =
    ["172.29.0.0/16", "172.30.0.0/16", "172.28.0.0/16", "10.229.0.0/16", "10.230.0.0/16", "192.168.229.0/24"];
/// Ethernet's, for a host without a default route.
const MTU_DEFAULT: u32 = 1500;
/// Names the boot in which forwarding was off before we turned it on. Remove it to have the host forward all.
const GUARD_FILE: &str = "forwarding-was-off";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Clone, Debug)]
pub(super) struct Bridge {
    pub index: u32,
    pub subnet: Subnet,
    pub mtu: u32,
    pub guards_forwarding: bool,
}

impl Bridge {
    /// Makes the bridge, or finds it as a former life left it. Blocking.
    pub fn ensure(config: &NetworkConfig, data: &Path) -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let name = config.bridge.as_str();
        // Two nodes that start on one host at once may choose the same network: each may yield to all others.
        for _ in 0..=SUBNETS.len() {
            let (index, subnet, mtu) = make(&mut netlink, config)?;
            if yields(&netlink.addresses()?, index, subnet) {
                netlink.delete_link(name)?;
                continue;
            }
            // Lets 127.0.0.1 reach containers; the firewall table keeps containers from reaching 127.0.0.1.
            fs::write(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1")?;
            let guards_forwarding = turn_forwarding_on(data)?;
            return Ok(Self { index, subnet, mtu, guards_forwarding });
        }
        Err(io::Error::other(format!("other bridges take the network of {name} again and again; configure one for it")))
    }
}

/// The bridge's index, network and MTU, once it is up and has its address.
fn make(netlink: &mut Netlink, config: &NetworkConfig) -> io::Result<(u32, Subnet, u32)> {
    let name = config.bridge.as_str();
    let link = netlink.link(name)?;
    let subnet = choose_subnet(netlink, config, link.as_ref().map(|link| link.header.index))?;
    let mtu = match link.as_ref().and_then(mtu_of) {
        Some(mtu) => mtu,
        None => uplink_mtu(netlink)?,
    };
    if link.is_none() {
        netlink.add_bridge(name, mac_of(subnet.gateway()), mtu)?;
    }
    let link = netlink.link(name)?.ok_or_else(|| io::Error::other(format!("bridge {name} is gone")))?;
    let index = link.header.index;
    netlink.set_up(index)?;
    netlink.add_address(index, subnet.gateway(), subnet)?;
    Ok((index, subnet, mtu))
}

/// Of two links with one network, the later gives way; an earlier one's containers may run already.
fn yields(addresses: &[(u32, Ipv4Addr, Subnet)], own: u32, subnet: Subnet) -> bool {
    addresses.iter().any(|(index, _, other)| *index < own && other.overlaps(subnet))
}

/// The configured network, else the one that the bridge has, else the first that the host does not use.
fn choose_subnet(netlink: &mut Netlink, config: &NetworkConfig, bridge: Option<u32>) -> io::Result<Subnet> {
    let addresses = netlink.addresses()?;
    let own = addresses.iter().find(|(index, _, _)| Some(*index) == bridge).map(|(_, _, subnet)| *subnet);
    if let (None, Some(subnet)) = (config.subnet, own) {
        return Ok(subnet);
    }
    let mut used: Vec<Subnet> =
        addresses.iter().filter(|(index, _, _)| Some(*index) != bridge).map(|(_, _, subnet)| *subnet).collect();
    let routes = netlink.routes()?;
    used.extend(routes.iter().filter(|route| is_other_network(route, bridge)).map(|route| route.to));
    pick_subnet(config.subnet, &used)
}

fn is_other_network(route: &Route, bridge: Option<u32>) -> bool {
    Some(route.link_index) != bridge && route.to.prefix_length() > 0
}

fn pick_subnet(configured: Option<Subnet>, used: &[Subnet]) -> io::Result<Subnet> {
    let known = SUBNETS.iter().filter_map(|text| text.parse().ok());
    let mut candidates = configured.map_or_else(|| known.collect(), |subnet| vec![subnet]).into_iter();
    let free = candidates.find(|subnet: &Subnet| !used.iter().any(|other| subnet.overlaps(*other)));
    free.ok_or_else(|| {
        let asked = configured.map_or_else(|| SUBNETS.join(", "), |subnet| subnet.to_string());
        io::Error::other(format!("the host uses {asked} already; configure a free network for the bridge"))
    })
}

/// As large as the way out, so that what containers send need not be cut.
fn uplink_mtu(netlink: &mut Netlink) -> io::Result<u32> {
    let Some(uplink) = netlink.routes()?.into_iter().find(|route| route.to.prefix_length() == 0) else {
        return Ok(MTU_DEFAULT);
    };
    let link = netlink.link_by_index(uplink.link_index)?;
    Ok(link.as_ref().and_then(mtu_of).unwrap_or(MTU_DEFAULT))
}

/// Turns IPv4 forwarding on; true when the host did not forward before, even if we were another process then.
fn turn_forwarding_on(data: &Path) -> io::Result<bool> {
    let (guard, boot) = (data.join(GUARD_FILE), fs::read(BOOT_ID)?);
    if fs::read_to_string(FORWARDING)?.trim() == "0" {
        fs::write(&guard, &boot)?;
        fs::write(FORWARDING, "1")?;
    }
    Ok(fs::read(&guard).is_ok_and(|noted| noted == boot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_network_is_passed_over_and_a_configured_one_insisted_on() {
        fn check(configured: Option<&str>, used: &[&str], expect: Option<&str>) {
            let parse = |text: &str| text.parse::<Subnet>().expect(text);
            let used: Vec<Subnet> = used.iter().map(|text| parse(text)).collect();
            let picked = pick_subnet(configured.map(parse), &used).ok();
            assert_eq!(picked, expect.map(parse), "{configured:?} {used:?}");
        }
        check(None, &[], Some("172.29.0.0/16"));
        check(None, &["172.29.4.0/24", "172.30.0.0/15"], Some("172.28.0.0/16"));
        check(None, &["172.16.0.0/12"], Some("10.229.0.0/16"));
        check(None, &["172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"], None);
        check(Some("10.5.0.0/24"), &["172.29.0.0/16"], Some("10.5.0.0/24"));
        check(Some("10.5.0.0/24"), &["10.5.0.0/30"], None);
    }

    #[test]
    fn the_later_of_two_bridges_gives_way() {
        let subnet: Subnet = "172.29.0.0/16".parse().expect("subnet");
        let addresses = [(3, subnet.gateway(), subnet), (5, subnet.gateway(), subnet)];
        assert!(!yields(&addresses, 3, subnet));
        assert!(yields(&addresses, 5, subnet));
    }
}
