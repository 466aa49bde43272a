//! From an order and an image to what the drivers are asked for. Pure.

use crate::drivers::network::Binding as Published;
use crate::drivers::{
    ContainerSpec, Device, Dns, Limits, NetworkMode, PortMapping, Protocol, Security, SharedGroup, Sharing, Tmpfs,
    Ulimit,
};
use crate::images::Image;
use crate::order::{self, ContainerOrder, Network, TaskOrder};
use crate::task::Binding;
use oci::image_config::ContainerConfig;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

mod links;
mod output;
mod volumes;

pub use links::Linked;

/// The weight of a container that asks for none: the least that Linux has, as the ECS agent gives it
/// (Amazon ECS API Reference, ContainerDefinition, "cpu").
const CPU_SHARES_DEFAULT: u64 = 2;
/// Processes and threads of a container: half of the pids of a usual Linux host (32,768), so that no
/// single one takes them all.
const PIDS_LIMIT: u64 = 16_384;
/// Docker's host name for a container is the beginning of its id.
const HOSTNAME_CHARS: usize = 12;
/// Where published ports are reached.
const ANY_ADDRESS: &str = "0.0.0.0";

/// What is launched, on a host of that name.
pub struct Launch<'a> {
    pub task: &'a TaskOrder,
    pub container: &'a ContainerOrder,
    pub runtime_id: &'a str,
    pub image: &'a Image,
    pub host_name: &'a str,
    /// What it links to.
    pub linked: &'a [Linked<'a>],
    /// Those whose volumes it has, with their images.
    pub sources: Vec<(&'a ContainerOrder, &'a ContainerConfig)>,
}

impl Launch<'_> {
    pub fn spec(&self) -> ContainerSpec {
        let Self { container, image, .. } = self;
        let volumes::Placed { mounts, volumes } = self.placed();
        let or_image = |own: &String, image: &String| if own.is_empty() { image.clone() } else { own.clone() };
        ContainerSpec {
            args: self.args(),
            env: self.environment(),
            cwd: or_image(&container.working_dir, &image.config.working_dir),
            user: or_image(&container.user, &image.config.user),
            hostname: self.hostname(),
            layers: image.layers.clone(),
            network: self.network(),
            dns: Dns {
                servers: container.dns.clone(),
                search: container.dns_search.clone(),
                extra_hosts: self.extra_hosts(),
            },
            group: self.group(),
            cpu_shares: Some(shares_of(container)),
            memory_limit_bytes: container.memory_mib.map(|mib| mib << 20),
            memory_reservation_bytes: container.memory_reservation_bytes,
            pids_limit: Some(PIDS_LIMIT),
            readonly_rootfs: container.readonly_rootfs,
            cap_add: container.cap_add.clone(),
            cap_drop: container.cap_drop.clone(),
            privileged: container.privileged,
            security: security(&container.security),
            devices: container.devices.iter().map(device).collect(),
            pid: sharing(self.task.pid),
            ipc: sharing(self.task.ipc),
            memory_swap_bytes: container.memory_swap_bytes,
            swappiness: container.swappiness,
            terminal: container.terminal,
            stdin_open: container.stdin_open,
            ulimits: container.ulimits.iter().map(ulimit).collect(),
            init: container.init,
            tmpfs: container.tmpfs.iter().map(tmpfs).collect(),
            shm_bytes: container.shm_bytes,
            mounts,
            volumes,
            sysctls: container.sysctls.clone(),
            stop_signal: image.config.stop_signal.clone().unwrap_or_default(),
            output: self.output(),
            restartable: container.restart.is_some(),
        }
    }

    /// What the task's containers have together: none for a task without limits or namespaces of its own, which saves
    /// the time. Its shared memory has room for what the one that asks for most asks for.
    fn group(&self) -> Option<SharedGroup> {
        let task = self.task;
        let limits = self.limits();
        if limits.is_none() && ![task.pid, task.ipc].contains(&order::Sharing::Task) {
            return None;
        }
        let shm_bytes = task.containers.iter().filter_map(|container| container.shm_bytes).max();
        Some(SharedGroup { name: task.id().to_owned(), limits, shm_bytes })
    }

    /// Among the machine's groups the task weighs as much as what it may have, or else as its containers would
    /// without it.
    fn limits(&self) -> Option<Limits> {
        let task = self.task;
        if task.cpu_units.is_none() && task.memory_mib.is_none() {
            return None;
        }
        let cpu_shares = task.cpu_units.unwrap_or_else(|| task.containers.iter().map(shares_of).sum());
        Some(Limits { cpu_units: task.cpu_units, cpu_shares, memory_bytes: task.memory_mib.map(|mib| mib << 20) })
    }

    fn extra_hosts(&self) -> Vec<(String, IpAddr)> {
        self.container.extra_hosts.iter().cloned().chain(self.linked.iter().map(Linked::host)).collect()
    }

    /// As Docker merges them: a container's own entry point also does away with the image's command.
    fn args(&self) -> Vec<String> {
        let own = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
        let image = &self.image.config;
        let (entry_point, command) = (own(&self.container.entry_point), own(&self.container.command));
        let command = match (&entry_point, command) {
            (_, Some(command)) => command,
            (Some(_), None) => Vec::new(),
            (None, None) => image.cmd.clone(),
        };
        let mut args = entry_point.unwrap_or_else(|| image.entrypoint.clone());
        args.extend(command);
        args
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let image = self.image.config.env.iter().filter_map(|pair| pair.split_once('='));
        let mut environment: BTreeMap<String, String> =
            self.linked.iter().flat_map(|linked| linked.variables(&self.container.name)).collect();
        environment.extend(image.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment.extend(self.container.environment.clone());
        environment
    }

    fn hostname(&self) -> String {
        hostname(self.task, self.container, self.runtime_id, self.host_name)
    }

    fn network(&self) -> NetworkMode {
        match self.task.network {
            _ if self.container.network_disabled => NetworkMode::None,
            Network::None => NetworkMode::None,
            Network::Host => NetworkMode::Host,
            Network::Bridge => NetworkMode::Bridge {
                ports: self
                    .container
                    .ports
                    .iter()
                    .map(|port| PortMapping {
                        container_port: port.container_port,
                        host_port: port.host_port,
                        protocol: if port.udp { Protocol::Udp } else { Protocol::Tcp },
                        range_end: port.range_end,
                    })
                    .collect(),
            },
        }
    }

    /// Where the container's ports are reached, once the drivers have published them.
    pub fn bindings(&self, published: &[Published]) -> Vec<Binding> {
        let ports = self.container.ports.iter();
        let bindings = ports.filter_map(|port| {
            let protocol = if port.udp { Protocol::Udp } else { Protocol::Tcp };
            let host_port = match self.task.network {
                // In the host's own network a port is simply there.
                Network::Host => port.container_port,
                Network::None | Network::Bridge => {
                    let found = |it: &&Published| (it.container_port, it.protocol) == (port.container_port, protocol);
                    published.iter().find(found)?.host_port
                }
            };
            let further = port.range_end.map(|last| (last, host_port + (last - port.container_port)));
            Some(Binding {
                bind_ip: ANY_ADDRESS.to_owned(),
                container_port: port.container_port,
                host_port,
                protocol: protocol.to_string(),
                range_ends: further,
            })
        });
        bindings.collect()
    }
}

/// What a container calls itself.
pub fn hostname(task: &TaskOrder, container: &ContainerOrder, runtime_id: &str, host_name: &str) -> String {
    match task.network {
        _ if !container.hostname.is_empty() => container.hostname.clone(),
        Network::Host => host_name.to_owned(),
        Network::None | Network::Bridge => runtime_id.chars().take(HOSTNAME_CHARS).collect(),
    }
}

fn sharing(ordered: order::Sharing) -> Sharing {
    match ordered {
        order::Sharing::Own => Sharing::Own,
        order::Sharing::Task => Sharing::Group,
        order::Sharing::Host => Sharing::Host,
        order::Sharing::Closed => Sharing::Closed,
    }
}

fn security(ordered: &order::Security) -> Security {
    let order::Security { no_new_privileges, apparmor, without_seccomp } = ordered.clone();
    Security { no_new_privileges, apparmor, without_seccomp }
}

fn device(ordered: &order::Device) -> Device {
    let order::Device { host_path, container_path, access } = ordered.clone();
    Device { source: host_path.into(), target: container_path, access }
}

fn shares_of(container: &ContainerOrder) -> u64 {
    container.cpu_shares.unwrap_or(CPU_SHARES_DEFAULT)
}

fn ulimit(limit: &crate::order::Ulimit) -> Ulimit {
    Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard }
}

fn tmpfs(mount: &crate::order::Tmpfs) -> Tmpfs {
    Tmpfs { target: mount.path.clone(), size_bytes: mount.size_bytes, options: mount.options.clone() }
}

/// Where an image's layers lie, lowest first, without those that a later layer hides altogether.
pub fn visible_layers(layers: Vec<(PathBuf, bool)>) -> Vec<PathBuf> {
    let lowest = layers.iter().rposition(|(_, hides)| *hides).unwrap_or(0);
    layers.into_iter().skip(lowest).map(|(path, _)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Port;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    pub(super) fn image() -> Image {
        let config = ContainerConfig {
            entrypoint: texts(&["/entry"]),
            cmd: texts(&["image-arg"]),
            env: texts(&["PATH=/bin", "A=image", "odd"]),
            user: "www".to_owned(),
            working_dir: "/srv".to_owned(),
            stop_signal: Some("SIGQUIT".to_owned()),
            ..ContainerConfig::default()
        };
        Image { digest: oci::Digest::of(b""), config, layers: vec!["/layers/1".into()] }
    }

    pub(super) fn with<T>(task: &TaskOrder, container: &ContainerOrder, look: impl FnOnce(&Launch<'_>) -> T) -> T {
        let (image, runtime_id) = (image(), "0123456789abcdef");
        look(&Launch {
            task,
            container,
            runtime_id,
            image: &image,
            host_name: "host",
            linked: &[],
            sources: Vec::new(),
        })
    }

    #[test]
    fn entry_point_and_command_are_merged_as_docker_does() {
        fn check(entry_point: Option<&[&str]>, command: Option<&[&str]>, expect: &[&str]) {
            let (entry_point, command) = (entry_point.map(texts), command.map(texts));
            let container = ContainerOrder { entry_point, command, ..ContainerOrder::default() };
            assert_eq!(with(&TaskOrder::default(), &container, |launch| launch.spec().args), expect);
        }
        check(None, None, &["/entry", "image-arg"]);
        check(None, Some(&["own"]), &["/entry", "own"]);
        check(Some(&["/own"]), None, &["/own"]);
        check(Some(&["/own"]), Some(&["arg"]), &["/own", "arg"]);
        check(Some(&[]), Some(&[]), &["/entry", "image-arg"]);
    }

    #[test]
    fn what_the_order_leaves_open_comes_from_the_image() {
        let task = TaskOrder { memory_mib: Some(64), ..TaskOrder::default() };
        let environment = [("A".to_owned(), "own".to_owned())].into();
        let container = ContainerOrder { environment, user: "0".to_owned(), ..ContainerOrder::default() };
        let spec = with(&task, &container, |launch| launch.spec());
        assert_eq!(
            spec.env,
            BTreeMap::from([("A", "own"), ("PATH", "/bin")].map(|(k, v)| (k.to_owned(), v.to_owned())))
        );
        assert_eq!((spec.user.as_str(), spec.cwd.as_str(), spec.stop_signal.as_str()), ("0", "/srv", "SIGQUIT"));
        assert_eq!((spec.memory_limit_bytes, spec.cpu_shares), (None, Some(2)));
        assert_eq!(spec.hostname.as_str(), "0123456789ab");
    }

    #[test]
    fn a_task_with_limits_has_a_group_for_its_containers() {
        fn check(cpu_units: Option<u64>, memory_mib: Option<u64>, expect: Option<Limits>) {
            let weighty = ContainerOrder { cpu_shares: Some(256), memory_mib: Some(32), ..ContainerOrder::default() };
            let arn = "arn:aws:ecs:r:1:task/c/0a1b".to_owned();
            let containers = vec![weighty.clone(), ContainerOrder::default()];
            let task = TaskOrder { arn, cpu_units, memory_mib, containers, ..TaskOrder::default() };
            let spec = with(&task, &weighty, |launch| launch.spec());
            assert_eq!((spec.cpu_shares, spec.memory_limit_bytes), (Some(256), Some(32 << 20)), "its own");
            let group =
                expect.map(|limits| SharedGroup { name: "0a1b".to_owned(), limits: Some(limits), shm_bytes: None });
            assert_eq!(spec.group, group);
        }
        check(None, None, None);
        let limits = Limits { cpu_units: Some(512), cpu_shares: 512, memory_bytes: None };
        check(Some(512), None, Some(limits));
        let limits = Limits { cpu_units: None, cpu_shares: 258, memory_bytes: Some(64 << 20) };
        check(None, Some(64), Some(limits));
    }

    #[test]
    fn ports_are_published_by_network_mode() {
        fn check(network: Network, network_disabled: bool, expect: NetworkMode, bindings: &[(u16, u16)]) {
            let task = TaskOrder { network, ..TaskOrder::default() };
            let ports = vec![Port { container_port: 80, host_port: None, udp: false, range_end: None }];
            let container = ContainerOrder { ports, network_disabled, ..ContainerOrder::default() };
            let published = match expect {
                NetworkMode::Bridge { .. } => {
                    vec![Published { container_port: 80, host_port: 49_153, protocol: Protocol::Tcp }]
                }
                _ => Vec::new(),
            };
            with(&task, &container, |launch| {
                assert_eq!(launch.spec().network, expect);
                let told = launch.bindings(&published);
                let told: Vec<_> = told.iter().map(|it| (it.container_port, it.host_port)).collect();
                assert_eq!(told, bindings);
            });
        }
        let port = PortMapping { container_port: 80, host_port: None, protocol: Protocol::Tcp, range_end: None };
        check(Network::Bridge, false, NetworkMode::Bridge { ports: vec![port] }, &[(80, 49_153)]);
        check(Network::Bridge, true, NetworkMode::None, &[]);
        check(Network::Host, false, NetworkMode::Host, &[(80, 80)]);
        check(Network::None, false, NetworkMode::None, &[]);
    }

    #[test]
    fn a_range_is_one_binding_of_its_ends() {
        let ports = vec![Port { container_port: 90, host_port: None, udp: true, range_end: Some(92) }];
        let container = ContainerOrder { ports, ..ContainerOrder::default() };
        let published =
            |at: u16| Published { container_port: 90 + at, host_port: 50_000 + at, protocol: Protocol::Udp };
        let told =
            with(&TaskOrder::default(), &container, |launch| launch.bindings(&[0, 1, 2].map(published))).remove(0);
        assert_eq!((told.container_port, told.host_port, told.range_ends), (90, 50_000, Some((92, 50_002))));
    }

    #[test]
    fn containers_that_share_namespaces_have_a_group_without_limits() {
        let container = ContainerOrder { shm_bytes: Some(7), ..ContainerOrder::default() };
        let task = TaskOrder { ipc: order::Sharing::Task, containers: vec![container.clone()], ..TaskOrder::default() };
        let spec = with(&task, &container, |launch| launch.spec());
        assert_eq!((spec.pid, spec.ipc), (Sharing::Own, Sharing::Group));
        assert_eq!(spec.group.map(|group| (group.limits, group.shm_bytes)), Some((None, Some(7))));
    }

    #[test]
    fn layers_beneath_one_that_hides_them_are_left_out() {
        fn check(hides: &[bool], expect: &[&str]) {
            let layers = hides.iter().enumerate().map(|(at, hides)| (PathBuf::from(at.to_string()), *hides)).collect();
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(visible_layers(layers), expect);
        }
        check(&[], &[]);
        check(&[false, false], &["0", "1"]);
        check(&[false, true, false], &["1", "2"]);
        check(&[true, true], &["1"]);
    }
}
