//! The node's bridge: its link, its network, and the kernel's settings that it needs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::NetworkConfig;
use super::address::Subnet;
use super::namespace::mac_of;
use super::netlink::{Netlink, Route, mtu_of};

/// Networks that a bridge may take, the preferred first: Docker's and the cloud's usual ones are not among them.
/// The small ones are for a host of many nodes, such as one that runs tests side by side.
pub const SUBNETS: [&str; 14] = [
    "172.29.0.0/16",
    "172.30.0.0/16",
    "172.28.0.0/16",
    "10.229.0.0/16",
    "10.230.0.0/16",
    "192.168.229.0/24",
    "192.168.230.0/24",
    "192.168.231.0/24",
    "192.168.232.0/24",
    "192.168.233.0/24",
    "192.168.234.0/24",
    "192.168.235.0/24",
    "192.168.236.0/24",
    "192.168.237.0/24",
];
/// Ethernet's, for a host without a default route.
const MTU_DEFAULT: u32 = 1500;
/// Names the boot in which forwarding was off before we turned it on. Remove it to have the host forward all.
const GUARD_FILE: &str = "forwarding-was-off";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Held while a node chooses its network; empty, and left for the next one.
const CHOOSING: &str = "/run/longshore-bridges.lock";
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
        let (index, subnet, mtu) = make(&mut Netlink::open()?, config)?;
        // Lets 127.0.0.1 reach containers; the firewall table keeps containers from reaching 127.0.0.1.
        fs::write(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", config.bridge), "1")?;
        let guards_forwarding = turn_forwarding_on(data)?;
        Ok(Self { index, subnet, mtu, guards_forwarding })
    }

    /// False when the bridge of that name is gone, or another one. Blocking.
    pub fn is_there(&self, name: &str) -> io::Result<bool> {
        let link = Netlink::open()?.link(name)?;
        Ok(link.is_some_and(|link| link.header.index == self.index))
    }
}

/// Until the file is closed, no other node of this host chooses a network: of two that did so at once, each would
/// take away links that are the other's, since links are named after addresses.
fn choosing_alone() -> io::Result<File> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("lock {CHOOSING}: {error}"));
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(CHOOSING).map_err(failed)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    Ok(file)
}

/// The bridge's index, network and MTU, once it is up and has its address.
fn make(netlink: &mut Netlink, config: &NetworkConfig) -> io::Result<(u32, Subnet, u32)> {
    let name = config.bridge.as_str();
    let _alone = choosing_alone()?;
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

/// The configured network, else the one that the bridge has, else the first that the host does not use.
fn choose_subnet(netlink: &mut Netlink, config: &NetworkConfig, bridge: Option<u32>) -> io::Result<Subnet> {
    let addresses = netlink.addresses()?;
    let own = addresses.iter().find(|(index, _)| Some(*index) == bridge).map(|(_, subnet)| *subnet);
    if let (None, Some(subnet)) = (config.subnet, own) {
        return Ok(subnet);
    }
    let mut used: Vec<Subnet> =
        addresses.iter().filter(|(index, _)| Some(*index) != bridge).map(|(_, subnet)| *subnet).collect();
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
    use nix::sched::{CloneFlags, unshare};
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

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

    /// In a network namespace of the test's own.
    #[test]
    fn nodes_that_start_at_once_take_networks_of_their_own() {
        const NODES: usize = 5;
        let host = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
            let data = tempfile::tempdir().expect("temp dir");
            let start = Barrier::new(NODES);
            let ensure = &|index: usize| {
                let config = NetworkConfig { bridge: format!("lsnode{index}"), ..NetworkConfig::default() };
                start.wait();
                Bridge::ensure(&config, data.path()).expect("a bridge").subnet.to_string()
            };
            thread::scope(|scope| {
                let nodes: Vec<_> = (0..NODES).map(|index| scope.spawn(move || ensure(index))).collect();
                nodes.into_iter().map(|node| node.join().expect("a node")).collect::<BTreeSet<_>>()
            })
        };
        let subnets = thread::spawn(host).join().expect("the host");
        assert_eq!(subnets.len(), NODES, "{subnets:?}");
    }
}
