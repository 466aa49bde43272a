//! A container's network namespace: made, wired to the bridge and pinned by a bind mount, so that it lives
//! until it is unpinned, whoever dies.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::mount_bind;

use super::address::Subnet;
use super::netlink::{Netlink, Veth, is};
use crate::drivers::files::absent_is_fine;
use crate::drivers::rootfs::unmount_at;

/// What a container's place on the bridge is.
#[derive(Clone, Debug)]
pub(super) struct Plug {
    pub bridge_index: u32,
    pub mtu: u32,
    pub subnet: Subnet,
    pub address: Ipv4Addr,
    pub pin: std::path::PathBuf,
}

impl Plug {
    /// Makes the namespace and wires it. Blocking, some 3 ms.
    pub fn wire(self) -> io::Result<()> {
        // A thread of its own, since it moves into the namespace and does not come back.
        let thread = thread::Builder::new().name("netns".into()).spawn(move || self.wire_here())?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }

    fn wire_here(&self) -> io::Result<()> {
        let mut host = Netlink::open()?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::create(&self.pin)?;
        mount_bind("/proc/thread-self/ns/net", &self.pin).map_err(step("pin the namespace"))?;
        // The bridge speaks IPv4 alone: an IPv6 link address would only delay programs. Absent where IPv6 is off.
        absent_is_fine(fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"))?;
        self.connect(&mut host)?;
        self.configure(&mut Netlink::open()?)
    }

    fn connect(&self, host: &mut Netlink) -> io::Result<()> {
        let netns = File::open("/proc/thread-self/ns/net")?;
        let name = veth_name(self.address);
        let veth = Veth {
            name: &name,
            bridge_index: self.bridge_index,
            mtu: self.mtu,
            peer_mac: mac_of(self.address),
            peer_netns: netns.as_raw_fd(),
        };
        match host.add_veth(&veth) {
            Err(error) if is(&error, Errno::EXIST) => {
                host.delete_link(&name).map_err(step("remove an older link"))?;
                host.add_veth(&veth).map_err(step("add the link again"))?;
            }
            other => other.map_err(step("add the link"))?,
        }
        let index = index_of(host, &name)?;
        host.set_hairpin(index).map_err(step("set hairpin on the bridge's port"))
    }

    fn configure(&self, inside: &mut Netlink) -> io::Result<()> {
        let lo = index_of(inside, "lo")?;
        inside.set_up(lo).map_err(step("bring loopback up"))?;
        let eth0 = index_of(inside, "eth0")?;
        inside.add_address(eth0, self.address, self.subnet).map_err(step("set the address"))?;
        inside.set_up(eth0).map_err(step("bring the link up"))?;
        inside.add_default_route(self.subnet.gateway()).map_err(step("set the route"))
    }
}

/// Says at which step an error came; the kernel's own text seldom does.
fn step<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{doing}: {error}"))
    }
}

fn index_of(netlink: &mut Netlink, name: &str) -> io::Result<u32> {
    let link = netlink.link(name)?.ok_or_else(|| io::Error::other(format!("link {name} is gone")))?;
    Ok(link.header.index)
}

/// Undoes [`Plug::wire`], as far as it came; no error when there is nothing left. Blocking.
pub(super) fn unwire(address: Ipv4Addr, pin: &Path) -> io::Result<()> {
    // Deleting one end deletes both at once; the namespace alone would take the kernel its time.
    Netlink::open()?.delete_link(&veth_name(address))?;
    unpin(pin)
}

pub(super) fn unpin(pin: &Path) -> io::Result<()> {
    unmount_at(pin)?;
    absent_is_fine(fs::remove_file(pin))
}

/// Of the host's end; unique, as addresses of one host are, and within the 15 characters of a link's name.
fn veth_name(address: Ipv4Addr) -> String {
    format!("ls{:08x}", address.to_bits())
}

/// An address has one hardware address for good, so that neighbours' memories of it stay true.
pub(super) fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    // 02: locally administered, one receiver.
    [0x02, 0x42, a, b, c, d]
}
