//! Docker's network modes: bridge, with addresses, published ports and NAT; none; host.
//!
//! A bridged container has a pinned namespace under `<data>/netns`, a veth pair to the node's bridge, and a
//! lease, kept under `<data>/leases`, of its address and host ports. A published port is reached at every IPv4
//! address of the host, 127.0.0.1 included, and from containers. What is not here: IPv6 and awsvpc. Flows of UDP that the kernel remembers go to a stopped container's address
//! until they have been silent for its timeout; addresses are therefore given out in turn.

mod address;
mod bridge;
pub(crate) mod files;
mod namespace;
mod nat;
mod netlink;
mod ports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;

use super::Error;
use super::files::{Durable, absent_is_fine, read_json, replace_json};
use super::spec::{ContainerId, NetworkMode, PortMapping};
pub use address::Subnet;
use bridge::Bridge;
pub use files::FALLBACK_SERVERS;
use namespace::Plug;
use nat::Table;
pub use ports::Binding;
use ports::Ports;

/// How this node's bridge is to be.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The bridge's and the firewall table's name, at most 15 characters.
    pub bridge: String,
    /// None for the first of [`bridge::SUBNETS`] that the host does not use.
    pub subnet: Option<Subnet>,
    /// Name servers for containers of a host that names none they could reach.
    pub fallback_dns: Vec<Ipv4Addr>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { bridge: "longshore0".into(), subnet: None, fallback_dns: FALLBACK_SERVERS.into() }
    }
}

/// A container's place on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The pinned namespace, and the address in it; none in modes none and host.
    pub netns: Option<PathBuf>,
    pub address: Option<Ipv4Addr>,
    pub bindings: Vec<Binding>,
}

/// What a container holds until it is detached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    address: Ipv4Addr,
    bindings: Vec<Binding>,
}

/// All that is taken.
#[derive(Default)]
struct Taken {
    leases: BTreeMap<ContainerId, Lease>,
    ports: Ports,
    last_address: Option<Ipv4Addr>,
    /// Counts changes of published ports: which state of the firewall table a caller needs.
    version: u64,
}

/// The node's network.
pub struct Network {
    config: NetworkConfig,
    data: PathBuf,
    taken: Mutex<Taken>,
    bridge: AsyncMutex<Option<Bridge>>,
    /// The version that the firewall table shows.
    loaded: AsyncMutex<u64>,
}

impl Network {
    /// Reads what containers of a former life hold. Touches nothing outside `data`.
    pub(crate) fn open(data: &Path, config: NetworkConfig) -> io::Result<Self> {
        for dir in ["netns", "leases"] {
            fs::create_dir_all(data.join(dir))?;
        }
        let mut taken = Taken { version: 1, ..Taken::default() };
        for entry in fs::read_dir(data.join("leases"))? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some(id), Some(lease)) = (id, read_json::<Lease>(&path)?) {
                taken.take(&id, lease);
            }
        }
        let (bridge, loaded) = (AsyncMutex::new(None), AsyncMutex::new(0));
        Ok(Self { config, data: data.to_owned(), taken: Mutex::new(taken), bridge, loaded })
    }

    pub(crate) fn fallback_dns(&self) -> &[Ipv4Addr] {
        &self.config.fallback_dns
    }

    /// Makes the bridge and the firewall table, unless they are there. [`Network::attach`] does so itself; called
    /// early, it takes the time out of the first container's start.
    ///
    /// # Errors
    /// [`Error::Network`]; containers in modes none and host can do without.
    pub async fn prepare(&self) -> Result<Subnet, Error> {
        let bridge = self.bridge().await?;
        self.load_table(&bridge).await?;
        Ok(bridge.subnet)
    }

    /// Gives a container its place, on a new bridge if someone removed the one that was known.
    pub(crate) async fn attach(&self, id: &ContainerId, mode: &NetworkMode) -> Result<Attachment, Error> {
        let NetworkMode::Bridge { ports } = mode else { return Ok(Attachment::default()) };
        let bridge = self.bridge().await?;
        match self.attach_or_undo(&bridge, id, ports).await {
            Err(error) if self.has_lost(&bridge).await => {
                tracing::warn!(%error, "bridge {} was removed by someone; it is made again", self.config.bridge);
                self.attach_or_undo(&self.bridge().await?, id, ports).await
            }
            attached => attached,
        }
    }

    async fn attach_or_undo(
        &self,
        bridge: &Bridge,
        id: &ContainerId,
        ports: &[PortMapping],
    ) -> Result<Attachment, Error> {
        let attached = self.attach_to_bridge(bridge, id, ports).await;
        if attached.is_err()
            && let Err(error) = self.detach(id).await
        {
            tracing::warn!(container = %id, %error, "a failed attachment could not be undone");
        }
        attached
    }

    async fn attach_to_bridge(
        &self,
        bridge: &Bridge,
        id: &ContainerId,
        wanted: &[PortMapping],
    ) -> Result<Attachment, Error> {
        let lease = self.taken.lock().allocate(id, bridge.subnet, wanted)?;
        let kept = replace_json(&self.lease_path(id), &lease, Durable::No);
        kept.map_err(|error| Error::network("keep the lease", error))?;
        // The table changes only for published ports; without any, it is as it was.
        let (wired, loaded) = tokio::join!(self.wire(id, bridge, lease.address), self.load_table(bridge));
        wired.and(loaded)?;
        Ok(Attachment { netns: Some(self.pin(id)), address: Some(lease.address), bindings: lease.bindings })
    }

    /// True when the bridge is not there any more, and the next caller makes another. The kernel says EINVAL to
    /// a link that is to be put on it.
    async fn has_lost(&self, bridge: &Bridge) -> bool {
        let (used, name) = (bridge.clone(), self.config.bridge.clone());
        let there = blocking("look for the bridge", move || used.is_there(&name)).await;
        let lost = there.is_ok_and(|there| !there);
        let mut known = self.bridge.lock().await;
        if lost && known.as_ref().is_some_and(|known| known.index == bridge.index) {
            *known = None;
        }
        lost
    }

    async fn wire(&self, id: &ContainerId, bridge: &Bridge, address: Ipv4Addr) -> Result<(), Error> {
        let (bridge_index, mtu, subnet, pin) = (bridge.index, bridge.mtu, bridge.subnet, self.pin(id));
        let plug = Plug { bridge_index, mtu, subnet, address, pin };
        blocking("wire the container's network namespace", move || plug.wire()).await
    }

    /// A container's address on the bridge.
    pub(crate) fn address(&self, id: &ContainerId) -> Option<Ipv4Addr> {
        self.taken.lock().leases.get(id).map(|lease| lease.address)
    }

    /// Frees a container's host ports. No error when it has none.
    pub(crate) async fn unpublish(&self, id: &ContainerId) -> Result<(), Error> {
        if !self.taken.lock().unpublish(id) {
            return Ok(());
        }
        // Should this fail, the next load leads nobody there any more: the ports are free all the same.
        let loaded = match self.bridge().await {
            Ok(bridge) => self.load_table(&bridge).await,
            Err(error) => Err(error),
        };
        self.taken.lock().ports.release(id);
        loaded
    }

    /// Takes a container off the network and frees its address and ports. No error when it is not on it.
    pub(crate) async fn detach(&self, id: &ContainerId) -> Result<(), Error> {
        let Some(address) = self.taken.lock().leases.get(id).map(|lease| lease.address) else { return Ok(()) };
        let unpublished = self.unpublish(id).await;
        let pin = self.pin(id);
        blocking("unwire the container's network namespace", move || namespace::unwire(address, &pin)).await?;
        let forgotten = absent_is_fine(fs::remove_file(self.lease_path(id)));
        forgotten.map_err(|error| Error::network("forget the lease", error))?;
        self.taken.lock().leases.remove(id);
        unpublished
    }

    /// After a restart: frees what containers that are not in `living` held, and shows the firewall the rest.
    pub(crate) async fn keep_only(&self, living: &BTreeSet<ContainerId>) -> Result<(), Error> {
        let gone: Vec<ContainerId> =
            self.taken.lock().leases.keys().filter(|id| !living.contains(*id)).cloned().collect();
        for id in &gone {
            self.detach(id).await?;
        }
        let held: BTreeSet<String> = self.taken.lock().leases.keys().map(ContainerId::to_string).collect();
        let netns = self.data.join("netns");
        blocking("clear away network namespaces", move || {
            for entry in fs::read_dir(netns)? {
                let entry = entry?;
                if !held.contains(entry.file_name().to_string_lossy().as_ref()) {
                    namespace::unpin(&entry.path())?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes bridge and table, for a node that is given up.
    ///
    /// # Errors
    /// [`Error::Network`]
    pub async fn dismantle(&self) -> Result<(), Error> {
        *self.bridge.lock().await = None;
        remove(&self.config.bridge).await
    }

    async fn bridge(&self) -> Result<Bridge, Error> {
        let mut known = self.bridge.lock().await;
        if let Some(bridge) = &*known {
            return Ok(bridge.clone());
        }
        let (config, data) = (self.config.clone(), self.data.clone());
        let made = blocking("make the bridge", move || Bridge::ensure(&config, &data)).await?;
        *self.loaded.lock().await = 0;
        *known = Some(made.clone());
        Ok(made)
    }

    /// Loads the firewall table unless it shows all that was published when this was called. Callers that come
    /// while one loads are served together by the next load.
    async fn load_table(&self, bridge: &Bridge) -> Result<(), Error> {
        let needed = self.taken.lock().version;
        let mut loaded = self.loaded.lock().await;
        if *loaded >= needed {
            return Ok(());
        }
        let (version, published) = self.taken.lock().published();
        let guards_forwarding = bridge.guards_forwarding;
        Table { bridge: &self.config.bridge, subnet: bridge.subnet, published, guards_forwarding }.load().await?;
        *loaded = version;
        Ok(())
    }

    fn pin(&self, id: &ContainerId) -> PathBuf {
        self.data.join("netns").join(id.as_str())
    }

    fn lease_path(&self, id: &ContainerId) -> PathBuf {
        // Not with_extension: an id may hold dots.
        self.data.join("leases").join(format!("{id}.json"))
    }
}

impl Taken {
    fn allocate(&mut self, id: &ContainerId, subnet: Subnet, wanted: &[PortMapping]) -> Result<Lease, Error> {
        if self.leases.contains_key(id) {
            return Err(Error::Exists(id.clone()));
        }
        let used: BTreeSet<Ipv4Addr> = self.leases.values().map(|lease| lease.address).collect();
        let address = subnet.addresses_after(self.last_address).find(|address| !used.contains(address));
        let address = address.ok_or_else(|| Error::NoAddressLeft { subnet: subnet.to_string() })?;
        let bindings = self.ports.allocate(id, wanted)?;
        let lease = Lease { address, bindings };
        self.take(id, lease.clone());
        Ok(lease)
    }

    fn take(&mut self, id: &ContainerId, lease: Lease) {
        self.ports.hold(id, &lease.bindings);
        self.last_address = Some(lease.address);
        self.version += u64::from(!lease.bindings.is_empty());
        self.leases.insert(id.clone(), lease);
    }

    /// The next table leads nobody to `id` any more; true when one before did.
    fn unpublish(&mut self, id: &ContainerId) -> bool {
        let Some(lease) = self.leases.get_mut(id).filter(|lease| !lease.bindings.is_empty()) else { return false };
        lease.bindings.clear();
        self.version += 1;
        true
    }

    fn published(&self) -> (u64, Vec<(Ipv4Addr, Vec<Binding>)>) {
        let with_ports = self.leases.values().filter(|lease| !lease.bindings.is_empty());
        (self.version, with_ports.map(|lease| (lease.address, lease.bindings.clone())).collect())
    }
}

/// Removes bridge and table of that name; it is no error when there is none.
pub(crate) async fn remove(name: &str) -> Result<(), Error> {
    nat::remove(name).await?;
    let name = name.to_owned();
    blocking("remove the bridge", move || netlink::Netlink::open()?.delete_link(&name)).await
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|error| Error::network(doing, error))
}
