//! Bridge mode. Each test's host is a network namespace of its own, with a neighbour on a link to the outside.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use super::node::{Node, id, patiently, sh, until, until_said, wait};
use crate::drivers::network::Binding;
use crate::drivers::{ContainerSpec, Containers, Error, NetworkMode, PortMapping, Protocol, Status};

const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const NEIGHBOUR: &str = "198.51.100.2";
const TRY: Duration = Duration::from_secs(1);

/// Another machine: a process in a namespace of its own, linked to the host.
struct Neighbour(Child);

impl Neighbour {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        let mut child = command.args(["--net", "sh", "-c", "echo; read wait"]);
        child = child.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().expect("unshare");
        child.stdout.as_mut().expect("stdout").read_exact(&mut [0]).expect("it is in its namespace");
        let pid = child.id();
        sh(&format!(
            "ip link set lo up; ip link add up0 type veth peer name eth0 netns {pid}; ip addr add {HOST}/24 dev up0; \
             ip link set up0 up; ip route add default via {NEIGHBOUR}"
        ));
        let neighbour = Self(child);
        neighbour.sh(&format!("ip link set lo up; ip addr add {NEIGHBOUR}/24 dev eth0; ip link set eth0 up"));
        neighbour
    }

    fn sh(&self, script: &str) -> String {
        sh(&format!("nsenter --target {} --net sh -ec '{script}'", self.0.id()))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test in a network namespace, which its threads and processes inherit.
fn on_a_host_of_its_own(test: impl AsyncFnOnce(Neighbour) + Send + 'static) {
    let host = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(test(Neighbour::new()));
    });
    host.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn port(container_port: u16, host_port: Option<u16>, protocol: Protocol) -> PortMapping {
    PortMapping { container_port, host_port, protocol, range_end: None }
}

/// A container that answers its host name to whoever connects to port 80.
fn server(node: &Node, hostname: &str, ports: &[PortMapping]) -> ContainerSpec {
    let network = NetworkMode::Bridge { ports: ports.into() };
    ContainerSpec { hostname: hostname.into(), network, ..node.shell("exec nc -ll -p 80 -e hostname") }
}

/// Answers datagrams at that port of a container with themselves, from within its network namespace.
fn echo_datagrams(pin: PathBuf, port: u16) {
    let bind = move || {
        let netns = File::open(pin).expect("the pinned namespace");
        setns(netns, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind")
    };
    let socket = std::thread::spawn(bind).join().expect("a socket in the namespace");
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..count], from);
        }
    });
}

async fn start(containers: &Containers, name: &str, spec: &ContainerSpec) -> (Ipv4Addr, Vec<Binding>) {
    let created = containers.create(&id(name), spec).await.expect("create");
    containers.start(&id(name)).await.expect("start");
    (created.address.expect("an address"), created.bindings)
}

async fn kill(containers: &Containers, name: &str) {
    containers.stop(&id(name), Duration::ZERO).await.expect("stop");
}

fn ask(address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), TRY)?;
    stream.set_read_timeout(Some(TRY))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}

async fn until_answered(address: Ipv4Addr, port: u16, expect: &str) {
    until(&format!("an answer from {address}:{port}"), || ask(address, port).is_ok_and(|answer| answer == expect))
        .await;
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    on_a_host_of_its_own(async |neighbour| {
        let node = Node::new();
        let containers = node.open();
        let wanted =
            [port(80, Some(8080), Protocol::Tcp), port(80, None, Protocol::Tcp), port(53, None, Protocol::Udp)];
        let (address, bindings) = start(&containers, "web", &server(&node, "web", &wanted)).await;
        until_answered(address, 80, "web").await;
        let host_port = |container_port, index| {
            bindings.iter().filter(|b| b.container_port == container_port).nth(index).expect("bound").host_port
        };
        assert_eq!(bindings.len(), 3);
        let pin = node.config.data.join("netns/web");
        echo_datagrams(pin.clone(), 53);
        for host in [Ipv4Addr::LOCALHOST, HOST] {
            for published in [host_port(80, 0), host_port(80, 1)] {
                assert_eq!(ask(host, published).expect("reached from the host"), "web");
            }
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("socket");
            socket.set_read_timeout(Some(TRY)).expect("timeout");
            let mut bytes = [0; 8];
            until("an echo", || {
                socket.send_to(b"echo", (host, host_port(53, 0))).expect("send");
                socket.recv(&mut bytes).is_ok_and(|count| &bytes[..count] == b"echo")
            })
            .await;
        }
        assert_eq!(neighbour.sh(&format!("busybox nc {HOST} 8080")), "web\n");
        let client = node.shell(&format!("nc {HOST} 8080; nc {address} 80; echo | nc 127.0.0.1 80 || echo alone"));
        let network = NetworkMode::Bridge { ports: Vec::new() };
        let (_, out, _) = node.run(&containers, &ContainerSpec { network, ..client }).await;
        assert_eq!(out, "web\nweb\nalone\n");
        let own = sh(&format!("nsenter --net={} busybox nc {HOST} 8080", pin.display()));
        assert_eq!(own, "web\n", "a container reaches its own published port");
        kill(&containers, "web").await;
        assert!(ask(Ipv4Addr::LOCALHOST, 8080).is_err());
        containers.remove(&id("web")).await.expect("remove");
        containers.dismantle().await.expect("dismantle");
        assert_eq!(sh("ip -o link | grep -c lstest0 || true; nft list tables"), "0\n");
        node.assert_clean();
    });
}

#[test]
fn containers_reach_the_outside_and_the_outside_does_not_reach_them_unasked() {
    on_a_host_of_its_own(async |neighbour| {
        let node = Node::new();
        let containers = node.open();
        let subnet = containers.network().prepare().await.expect("bridge");
        let mut outside = Command::new("nsenter");
        let pid = neighbour.0.id().to_string();
        outside.args(["--target", &pid, "--net", "busybox", "nc", "-ll", "-p", "7", "-e", "echo", "hello"]);
        let outside = Neighbour(outside.spawn().expect("nc"));
        let network = NetworkMode::Bridge { ports: Vec::new() };
        let script = format!("until nc {NEIGHBOUR} 7; do sleep 0.05; done");
        let (_, out, _) = node.run(&containers, &ContainerSpec { network, ..node.shell(&script) }).await;
        assert_eq!(out, "hello\n", "the neighbour knows no way to containers: they were masqueraded");
        drop(outside);

        let (address, _) = start(&containers, "web", &server(&node, "web", &[])).await;
        until_answered(address, 80, "web").await;
        neighbour.sh(&format!("ip route add {subnet} via {HOST}"));
        let reached = neighbour.sh(&format!("busybox nc -w 1 {address} 80 </dev/null 2>/dev/null || echo no"));
        assert_eq!(reached, "no\n");
        kill(&containers, "web").await;
        containers.remove(&id("web")).await.expect("remove");
        node.assert_clean();
    });
}

#[test]
fn containers_do_not_reach_the_host_s_loopback() {
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let containers = node.open();
        let (address, _) = start(&containers, "web", &server(&node, "web", &[])).await;
        until_answered(address, 80, "web").await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("address").port();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(b"host only\n");
            }
        });
        assert_eq!(ask(Ipv4Addr::LOCALHOST, port).expect("from the host"), "host only");
        let gateway = containers.network().prepare().await.expect("bridge").gateway();
        let pin = node.config.data.join("netns/web");
        let sneak = format!(
            "nsenter --net={} sh -c 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip addr flush dev lo; \
             ip route flush table local dev lo 2>/dev/null; ip route add 127.0.0.1 via {gateway} src {address}; \
             busybox nc -w 1 127.0.0.1 {port} </dev/null 2>/dev/null || echo kept out'",
            pin.display()
        );
        assert_eq!(sh(&sneak), "kept out\n");
        kill(&containers, "web").await;
        containers.remove(&id("web")).await.expect("remove");
        node.assert_clean();
    });
}

#[test]
fn a_taken_port_is_refused_and_a_container_that_ended_holds_none() {
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let containers = node.open();
        let spec = server(&node, "web", &[port(80, Some(8080), Protocol::Tcp)]);
        let listener = TcpListener::bind((HOST, 8080)).expect("listen");
        let error = containers.create(&id("a"), &spec).await.expect_err("taken");
        assert_eq!(error.ecs_name(), "CannotStartContainerError");
        assert!(matches!(error, Error::PortTaken { port: 8080, .. }), "{error}");
        drop(listener);
        start(&containers, "a", &spec).await;
        assert!(matches!(containers.create(&id("b"), &spec).await, Err(Error::PortTaken { .. })));
        kill(&containers, "a").await;
        let (_, bindings) = start(&containers, "b", &spec).await;
        assert_eq!(bindings[0].host_port, 8080);
        until_answered(Ipv4Addr::LOCALHOST, 8080, "web").await;
        kill(&containers, "b").await;
        for name in ["a", "b"] {
            containers.remove(&id(name)).await.expect("remove");
        }
        node.assert_clean();
    });
}

#[test]
fn ports_outlive_the_agent_and_a_flushed_firewall() {
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let wanted = [port(80, Some(8080), Protocol::Tcp)];
        let first = node.open();
        start(&first, "web", &server(&node, "web", &wanted)).await;
        let (gone, _) = start(&first, "gone", &server(&node, "gone", &[])).await;
        until_answered(Ipv4Addr::LOCALHOST, 8080, "web").await;
        until_answered(gone, 80, "gone").await;
        sh("nft flush ruleset");
        let second = node.open();
        let adopted = second.adopt().await.expect("adopt");
        assert!(adopted.iter().all(|(_, status)| matches!(status, Status::Running { .. })), "{adopted:?}");
        second.network().prepare().await.expect("prepare");
        until_answered(Ipv4Addr::LOCALHOST, 8080, "web").await;
        let taken = second.create(&id("next"), &server(&node, "next", &wanted)).await;
        assert!(matches!(taken, Err(Error::PortTaken { .. })), "{taken:?}");
        for name in ["web", "gone"] {
            kill(&second, name).await;
            wait(&second, &id(name)).await;
            second.remove(&id(name)).await.expect("remove");
        }
        node.assert_clean();
    });
}

/// Links, addresses and namespaces of some are made while those of others are taken away.
#[test]
fn many_come_and_go_at_once() {
    const AT_ONCE: usize = 16;
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let containers = node.open();
        let network = NetworkMode::Bridge { ports: vec![port(80, None, Protocol::Tcp)] };
        let spec = ContainerSpec { network, ..node.shell("sleep 1000") };
        let lives = (0..AT_ONCE).map(async |i| {
            let name = id(&format!("c{i}"));
            containers.create(&name, &spec).await.expect("create");
            containers.start(&name).await.expect("start");
            containers.stop(&name, Duration::ZERO).await.expect("stop");
            containers.remove(&name).await.expect("remove");
        });
        futures_util::future::join_all(lives).await;
        node.assert_clean();
    });
}

#[test]
fn a_bridge_that_someone_removed_is_made_again() {
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let containers = node.open();
        containers.network().prepare().await.expect("bridge");
        sh("ip link del lstest0");
        let names = ["a", "b", "c"];
        let starts = names.map(async |name| start(&containers, name, &server(&node, name, &[])).await.0);
        for (address, name) in futures_util::future::join_all(starts).await.into_iter().zip(names) {
            until_answered(address, 80, name).await;
            kill(&containers, name).await;
            containers.remove(&id(name)).await.expect("remove");
        }
        node.assert_clean();
    });
}

#[test]
fn names_are_resolved_as_on_the_host() {
    on_a_host_of_its_own(async |_neighbour| {
        let node = Node::new();
        let containers = node.open();
        let script = "cat /etc/resolv.conf; tail -n1 /etc/hosts; echo ready; exec sleep 1000";
        let network = NetworkMode::Bridge { ports: Vec::new() };
        let spec = ContainerSpec { network, ..node.shell(script) };
        let (address, _) = start(&containers, "names", &spec).await;
        until_said(&containers, &id("names"), &format!("{address}\ttester")).await;
        kill(&containers, "names").await;
        patiently("remove", containers.remove(&id("names"))).await.expect("remove");
        node.assert_clean();
    });
}
