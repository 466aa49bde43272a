use super::{Candidate, NoInstances, Placement, RESERVED_PORTS_MAX, Request, Wants, place};
use crate::query::Query;
use crate::testing::{instance, ports, task};
use insta::assert_snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use state::{ContainerInstance, InstanceStatus, LastStatus, Resources, Task};
use std::collections::BTreeMap;

/// One `key=value` of a line such as `node a cpu=1024 memory=512 draining`.
fn number(line: &str, key: &str, otherwise: u32) -> u32 {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.map_or(otherwise, |value| value.parse().expect("a number"))
}

fn node(line: &str) -> ContainerInstance {
    let id = line.split_whitespace().nth(1).expect("a node's id");
    let mut node = instance(id, number(line, "cpu", 1024), number(line, "memory", 1024));
    node.agent_connected = !line.contains("disconnected");
    if line.contains("draining") {
        node.status = InstanceStatus::Draining;
    }
    node
}

fn demanding(line: &str) -> Task {
    let words: Vec<&str> =
        line.split_whitespace().filter(|word| word.starts_with("tcp:") || word.starts_with("udp:")).collect();
    let mut task = task("t", number(line, "cpu", 0), number(line, "memory", 0), ports(&words.join(" ")));
    if line.contains("stopped") {
        task.last = LastStatus::Stopped;
    }
    task
}

/// Nodes, the tasks on them, and `run COUNT …`; answers where they go and why not.
fn placed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let nodes: Vec<ContainerInstance> =
        lines.iter().filter(|line| line.starts_with("node")).map(|line| node(line)).collect();
    let mut tasks: BTreeMap<&str, Vec<Task>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.starts_with("on ")) {
        tasks.entry(line.split_whitespace().nth(1).expect("a node")).or_default().push(demanding(line));
    }
    let here = |node: &ContainerInstance| tasks.get(node.id.as_str()).into_iter().flatten().collect();
    let candidates: Vec<Candidate> = nodes.iter().map(|node| Candidate { instance: node, held: here(node) }).collect();
    let run = lines.iter().find(|line| line.starts_with("run")).expect("a run line");
    let count = run.split_whitespace().nth(1).expect("a count").parse().expect("a count");
    let demand = crate::reservation::demand(&demanding(run));
    match place(&candidates, &Request { count, demand, wants: Wants::default() }) {
        Ok(placement) => show(&placement),
        Err(error) => error.to_string(),
    }
}

fn show(placement: &Placement) -> String {
    let refusals = placement.refusals.iter().map(|refusal| {
        let id = refusal.instance.rsplit('/').next().unwrap_or_default();
        format!("{id}: {}", refusal.reason.as_str())
    });
    std::iter::once(placement.placed.join(" "))
        .chain(refusals)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(placed(text), expect, "{text}");
}

#[test]
fn tasks_spread_to_the_least_loaded_node_and_then_by_id() {
    check("node a\n node b\n run 3 cpu=100", "a b a");
    check("node a\n node b\n on a cpu=512\n run 3 cpu=100", "b b b");
    check("node a cpu=4096\n node b cpu=1024\n run 3 cpu=512", "a b a");
    check("node a\n node b\n on a\n run 2", "b a");
    check("node a memory=1000\n node b memory=1000\n on b memory=900 stopped\n on a memory=1\n run 1 memory=100", "b");
}

#[test]
fn a_node_takes_what_fits_exactly_and_nothing_more() {
    check("node a cpu=100 memory=64\n run 1 cpu=100 memory=64", "a");
    check("node a cpu=100\n run 2 cpu=51", "a, a: RESOURCE:CPU");
    check("node a memory=63\n run 1 memory=64", "a: RESOURCE:MEMORY");
    check(
        "node a cpu=1 memory=1\n node b cpu=9 memory=1\n run 1 cpu=2 memory=2",
        "a: RESOURCE:CPU, b: RESOURCE:MEMORY",
    );
    check("node a\n run 0", "");
}

#[test]
fn a_host_port_is_given_once_a_node_and_protocol() {
    check("node a\n node b\n run 3 tcp:80", "a b, a: RESOURCE:PORTS, b: RESOURCE:PORTS");
    check("node a\n on a udp:80\n run 1 tcp:80", "a");
    check("node a\n on a tcp:80 stopped\n run 1 tcp:80", "a");
    check("node a\n run 1 tcp:22", "a: RESOURCE:PORTS");
    check("node a\n run 3 tcp:0", "a a a");
}

#[test]
fn reserved_ports_have_a_limit_that_chosen_ones_do_not_count_towards() {
    let taken: String = (0..RESERVED_PORTS_MAX - 1).map(|i| format!("on a tcp:{}\n", 1000 + i)).collect();
    check(&format!("node a\n {taken} run 1 tcp:80"), "a: RESOURCE:PORTS");
    check(&format!("node a\n {taken} run 1 tcp:0"), "a");
}

#[test]
fn only_connected_active_nodes_take_tasks() {
    check("node a disconnected\n node b\n run 2", "b b");
    check("node a disconnected\n run 1", "a: AGENT");
    check("node a draining\n node b cpu=1\n run 1 cpu=2", "b: RESOURCE:CPU");
    check("node a draining\n run 1", "No Container Instances were found in your cluster.");
    check("run 1", "No Container Instances were found in your cluster.");
}

#[test]
fn a_refusal_names_the_instance_by_arn() {
    let node = ContainerInstance { agent_connected: false, ..instance("0123", 1, 1) };
    let candidates = [Candidate { instance: &node, held: state::Held::default() }];
    let placement = place(&candidates, &Request { count: 1, demand: Resources::default(), wants: Wants::default() })
        .expect("an instance");
    assert_snapshot!(placement.refusals[0].instance, @"arn:aws:ecs:us-east-1:000000000000:container-instance/default/0123");
}

#[test]
fn attributes_and_constraints_are_wanted_of_an_instance() {
    let mut nodes = [instance("a", 100, 100), instance("b", 100, 100)];
    nodes[0].agent_attributes = vec![("gpu".into(), None), ("arch".into(), Some("arm64".into()))];
    nodes[1].custom_attributes.insert("arch".into(), Some("x86_64".into()));
    let candidates: Vec<Candidate> =
        nodes.iter().map(|instance| Candidate { instance, held: state::Held::default() }).collect();
    let check = |attributes: &[(&str, Option<&str>)], constraint: &str, expect: &str| {
        let attributes: Vec<_> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        let constraints = Query::parse(constraint).into_iter().collect();
        let wants = Wants { attributes: &attributes, constraints, group: "family:web" };
        let placement = place(&candidates, &Request { count: 2, demand: Resources::default(), wants }).expect("nodes");
        let refusals = placement.refusals.iter().map(|refusal| refusal.reason.as_str().to_owned());
        assert_eq!(placement.placed.into_iter().chain(refusals).collect::<Vec<_>>().join(" "), expect);
    };
    check(&[("gpu", None)], "", "a a");
    check(&[("arch", Some("x86_64"))], "", "b b");
    check(&[("arch", None)], "", "a b");
    check(&[("none", None)], "", "ATTRIBUTE ATTRIBUTE");
    let attributes =
        [("gpu".into(), None), ("arch".into(), Some("riscv64".into())), ("os".into(), Some("linux".into()))];
    let wants = Wants { attributes: &attributes, ..Wants::default() };
    let placement = place(&candidates, &Request { count: 1, demand: Resources::default(), wants }).expect("nodes");
    let details: Vec<_> = placement.refusals.into_iter().filter_map(|refusal| refusal.detail).collect();
    assert_eq!(
        details,
        ["It has not: arch riscv64 (it is arm64), os linux", "It has not: gpu, arch riscv64 (it is x86_64), os linux",]
    );
    check(&[], "attribute:arch == arm64", "a a");
    check(&[], "not(task:group == family:web)", "a b");
    let no = "MemberOf placement constraint unsatisfied.";
    check(&[("gpu", None)], "attribute:arch == x86_64", &format!("{no} ATTRIBUTE"));
    check(&[("gpu", None)], "not(task:group == family:web)", &format!("a {no} ATTRIBUTE"));
}

prop_compose! {
    fn any_demand()(cpu in 0u32..600, memory in 0u32..600, tcp in vec(79u16..83, 0..2), udp in vec(52u16..54, 0..2)) -> Resources {
        Resources { cpu, memory_mib: memory, ports_tcp: tcp.into_iter().collect(), ports_udp: udp.into_iter().collect() }
    }
}

fn as_task(demand: &Resources) -> Task {
    let tcp = demand.ports_tcp.iter().map(|port| format!("tcp:{port} "));
    let udp = demand.ports_udp.iter().map(|port| format!("udp:{port} "));
    task("t", demand.cpu, demand.memory_mib, ports(&tcp.chain(udp).collect::<String>()))
}

/// What a node holds, port by port, so that a port given twice is seen.
#[derive(Default)]
struct Held {
    cpu: u32,
    memory_mib: u32,
    ports: BTreeMap<(&'static str, u16), u32>,
}

impl Held {
    fn of<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Self {
        let mut held = Self::default();
        for task in tasks {
            held.cpu += task.cpu;
            held.memory_mib += task.memory_mib;
            for port in &task.containers[0].ports {
                *held.ports.entry((port.protocol.as_str(), port.host_port)).or_default() += 1;
            }
        }
        held
    }
}

proptest! {
    /// Request after request on the same nodes: never over capacity, never a port twice, and every
    /// request is either placed in full or refused by every node.
    #[test]
    fn capacity_and_ports_are_never_exceeded(
        sizes in vec((100u32..2000, 100u32..2000), 1..5),
        requests in vec((0usize..6, any_demand()), 0..12),
    ) {
        let nodes: Vec<ContainerInstance> =
            sizes.iter().enumerate().map(|(i, (cpu, memory))| instance(&format!("n{i}"), *cpu, *memory)).collect();
        let mut tasks: BTreeMap<String, Vec<Task>> = BTreeMap::new();
        for (count, demand) in requests {
            let here = |node: &ContainerInstance| tasks.get(&node.id).into_iter().flatten().collect();
            let candidates: Vec<Candidate> = nodes.iter().map(|node| Candidate { instance: node, held: here(node) }).collect();
            let placement = place(&candidates, &Request { count, demand: demand.clone(), wants: Wants::default() });
            prop_assert_ne!(&placement, &Err(NoInstances));
            let placement = placement.expect("there are instances");
            let full = placement.placed.len() == count;
            prop_assert_eq!(placement.refusals.len(), if full { 0 } else { nodes.len() });
            for id in placement.placed {
                tasks.entry(id).or_default().push(as_task(&demand));
            }
        }
        for node in &nodes {
            let held = Held::of(tasks.get(&node.id).into_iter().flatten());
            prop_assert!(held.cpu <= node.registered.cpu && held.memory_mib <= node.registered.memory_mib);
            prop_assert!(held.ports.values().all(|times| *times == 1));
        }
    }
}

#[test]
fn why_a_node_was_chosen_is_told_in_words() {
    let node = node("node a cpu=1000 memory=1000");
    let busy = demanding("on a cpu=250 memory=100");
    let candidates = [Candidate { instance: &node, held: [&busy].into_iter().collect() }];
    let demand = crate::reservation::demand(&demanding("run 2 cpu=250 memory=100"));
    let placement = place(&candidates, &Request { count: 2, demand, wants: Wants::default() }).expect("an instance");
    let taken = "it alone has room, of 1 active";
    let expect = [
        format!("{taken}: 25 % of its cpu and 10 % of its memory were taken by 1 task"),
        format!("{taken}: 50 % of its cpu and 20 % of its memory were taken by 2 tasks"),
    ];
    assert_eq!(placement.because, expect);
}
