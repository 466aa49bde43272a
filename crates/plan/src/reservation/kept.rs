//! The kept sum of what tasks hold of an instance, against a scan of the tasks.

use crate::testing::{ports, task};
use proptest::collection::vec;
use proptest::prelude::*;
use state::{Held, LastStatus, NetworkBinding, PortProtocol, Resources, TASKS, Task};
use std::collections::BTreeSet;
use store::{Engine, FjallEngine, MemoryEngine, Store, Tx, View, key};

/// What happens to one of a few tasks.
#[derive(Clone, Debug)]
enum Step {
    Place {
        instance: u8,
        task: Box<Task>,
    },
    Run {
        host_port: u16,
    },
    Stop,
    /// Swept, or placed elsewhere under the same id.
    Forget,
}

fn any_task() -> impl Strategy<Value = Box<Task>> {
    let mapped =
        prop_oneof![Just(""), Just("tcp:80"), Just("udp:53 tcp:80"), Just("tcp:0 tcp:81"), Just("tcp:80 tcp:80")];
    // Sums may exceed a node's 32 bits.
    let size = || prop_oneof![0..300_u32, Just(u32::MAX)];
    (size(), size(), mapped, 0..3_u8).prop_map(|(cpu, memory, mapped, group)| {
        Box::new(Task { group: format!("family:{group}"), ..task("", cpu, memory, ports(mapped)) })
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_u8, any_task()).prop_map(|(instance, task)| Step::Place { instance, task }),
        2 => (80..84_u16).prop_map(|host_port| Step::Run { host_port }),
        2 => Just(Step::Stop),
        1 => Just(Step::Forget),
    ]
}

fn take(tx: &mut Tx, id: u8, step: Step) {
    let place = task("", 0, 0, vec![]);
    let key = key![place.account, place.region, place.cluster, id.to_string()];
    match step {
        Step::Place { instance, task } => {
            tx.put(TASKS, Task { id: id.to_string(), instance: Some(format!("i{instance}")), ..*task });
        }
        Step::Run { host_port } => drop(tx.update(TASKS, &key, |task| {
            task.last = LastStatus::Running;
            task.containers[0].bindings = vec![binding(host_port)];
        })),
        Step::Stop => drop(tx.update(TASKS, &key, |task| task.last = LastStatus::Stopped)),
        Step::Forget => drop(tx.delete(TASKS, &key)),
    }
}

/// A range of two ports.
fn binding(host_port: u16) -> NetworkBinding {
    NetworkBinding {
        bind_ip: String::new(),
        container_port: 1,
        host_port,
        protocol: PortProtocol::Tcp,
        range_ends: Some((2, host_port + 1)),
    }
}

/// What the tasks take, told one by one, in words of its own.
fn scanned(tasks: &[&Task]) -> Resources {
    let of = |protocol: PortProtocol| {
        let containers = || tasks.iter().flat_map(|task| &task.containers);
        let fixed = containers().flat_map(|container| &container.ports).filter(|port| port.protocol == protocol);
        let fixed = fixed.map(|port| port.host_port).filter(|port| *port != 0);
        let bound = containers().flat_map(|container| &container.bindings).filter(|bound| bound.protocol == protocol);
        fixed.chain(bound.flat_map(NetworkBinding::host_ports)).collect::<BTreeSet<u16>>()
    };
    Resources {
        cpu: tasks.iter().fold(0, |sum, task| sum.saturating_add(task.cpu)),
        memory_mib: tasks.iter().fold(0, |sum, task| sum.saturating_add(task.memory_mib)),
        ports_tcp: of(PortProtocol::Tcp),
        ports_udp: of(PortProtocol::Udp),
    }
}

fn check(view: &View) {
    let place = task("", 0, 0, vec![]);
    for instance in ["i0", "i1"] {
        let key = key![place.account, place.region, place.cluster, instance];
        let holding = |task: &&Task| task.instance.as_deref() == Some(instance) && task.last != LastStatus::Stopped;
        let tasks: Vec<&Task> = view.scan(TASKS, &key![]).filter(holding).collect();
        let held = view.sum(TASKS::HELD_BY_INSTANCE, &key).cloned().unwrap_or_default();
        assert_eq!(held, tasks.iter().copied().collect::<Held>());
        assert_eq!(held.resources(), scanned(&tasks));
        let running = tasks.iter().filter(|task| task.last == LastStatus::Running).count();
        assert_eq!((held.tasks(), held.running(), held.pending()), (tasks.len(), running, tasks.len() - running));
        let fixed = tasks.iter().flat_map(|task| &task.containers[0].ports).filter(|port| port.host_port != 0);
        assert_eq!(held.fixed_ports(), fixed.count());
        let groups: BTreeSet<&str> = tasks.iter().map(|task| task.group.as_str()).collect();
        assert_eq!(held.groups().collect::<BTreeSet<_>>(), groups);
    }
}

type History = Vec<(Vec<(u8, Step)>, bool)>;

/// Transactions of some steps each, and whether each ends well.
fn any_history() -> impl Strategy<Value = History> {
    vec((vec((0..4_u8, any_step()), 0..5), proptest::bool::weighted(0.8)), 0..12)
}

/// Runs the history and looks after each transaction, within it too, and after a restart.
fn replay<N: Engine>(history: History, engine: impl Fn() -> N) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = Store::open(state::schema(), engine()).expect("it opens");
    for (steps, ends_well) in history {
        let transaction = store.transact(move |tx| {
            steps.into_iter().for_each(|(id, step)| {
                take(tx, id, step);
                check(tx);
            });
            if ends_well { Ok(()) } else { Err("refused") }
        });
        assert_eq!(runtime.block_on(transaction).is_ok(), ends_well);
        check(&store.view());
    }
    drop(store);
    check(&Store::open(state::schema(), engine()).expect("it opens again").view());
}

proptest! {
    #[test]
    fn what_is_held_is_what_a_scan_finds(history in any_history()) {
        let engine = MemoryEngine::default();
        replay(history, || engine.clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn also_after_a_restart_from_disk(history in any_history()) {
        let folder = tempfile::tempdir().expect("a folder");
        replay(history, || FjallEngine::open(folder.path().join("state")).expect("it opens"));
    }
}

async fn run(store: &Store, id: u8, step: Step) {
    let run = move |tx: &mut Tx| {
        take(tx, id, step);
        Ok::<_, ()>(())
    };
    store.transact(run).await.expect("it leads");
}

/// Two servers, of which one takes over.
#[test]
fn also_in_a_server_that_follows_and_takes_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = MemoryEngine::default();
        let leader = Store::open(state::schema(), engine.standby()).expect("it opens");
        let follower = Store::open(state::schema(), engine.standby()).expect("it opens");
        let mut feed = follower.subscribe();
        let place = |id| Step::Place { instance: 0, task: Box::new(task("", 7, 8, ports(id))) };
        for step in [(0, place("tcp:80")), (1, place("udp:53")), (0, Step::Run { host_port: 90 }), (1, Step::Stop)] {
            run(&leader, step.0, step.1).await;
            feed.next().await.expect("it keeps up");
            check(&follower.view());
        }
        drop(leader);
        follower.wait_role(|role| matches!(role, store::Role::Leading { .. })).await;
        run(&follower, 0, Step::Stop).await;
        check(&follower.view());
        assert_eq!(follower.view().count(TASKS, &key![]), 2);
    });
}
