//! Limits that the kernel keeps.

use std::path::Path;
use std::time::Duration;

use super::node::{Node, id, until_said, wait};
use crate::drivers::{ContainerSpec, Limits, SharedGroup, Status, Ulimit, cgroup};

fn group(node: &Node, limits: Limits) -> (SharedGroup, String) {
    (
        SharedGroup { name: "task".into(), limits: Some(limits), shm_bytes: None },
        format!("{}/task", node.config.cgroup_root),
    )
}

/// A file of the first hierarchy that has it: `<v1 controller>/<group>/<v1 name>`, or `<group>/<v2 name>`.
fn setting(group: &str, controller: &str, names: [&str; 2]) -> String {
    let mount = Path::new("/sys/fs/cgroup");
    let file = mount.join(controller).join(&group[1..]).join(names[0]);
    let text =
        std::fs::read_to_string(file).or_else(|_| std::fs::read_to_string(mount.join(&group[1..]).join(names[1])));
    text.expect(names[0]).trim().to_owned()
}

#[tokio::test]
async fn what_containers_have_together_is_limited_and_who_exceeds_it_is_flagged() {
    for runtime in ["crun", "runc"] {
        are_limited_together(&Node::with_runtimes(&[runtime])).await;
    }
}

async fn are_limited_together(node: &Node) {
    let containers = node.open();
    let limits = Limits { cpu_units: Some(512), cpu_shares: 512, memory_bytes: Some(24 << 20) };
    let (shared, path) = group(node, limits);
    let spec = |script: &str| ContainerSpec { group: Some(shared.clone()), ..node.shell(script) };
    let (modest, greedy) = (id("modest"), id("greedy"));
    let stranger = ContainerSpec { user: "stranger".into(), ..spec("true") };
    containers.create(&id("stranger"), &stranger).await.expect_err("no such user");
    assert!(cgroup::children(&node.config.cgroup_root).expect("groups").is_empty(), "nobody came to be in it");
    containers.create(&modest, &spec("echo here; exec sleep 1000")).await.expect("create");
    containers.start(&modest).await.expect("start");
    until_said(&containers, &modest, "here").await;
    let quota = setting(&path, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota.split(' ').next(), Some("50000"));
    assert_eq!(setting(&path, "memory", ["memory.limit_in_bytes", "memory.max"]), (24 << 20).to_string());

    containers.create(&greedy, &spec("x=0123456789abcdef; while true; do x=$x$x; done")).await.expect("create");
    containers.start(&greedy).await.expect("start");
    let exit = wait(&containers, &greedy).await;
    assert_eq!((exit.code(), exit.oom_killed), (Some(137), true));
    containers.remove(&greedy).await.expect("remove");
    assert!(matches!(*containers.status(&modest).expect("status").borrow(), Status::Running { .. }));
    assert!(cgroup::children(&node.config.cgroup_root).expect("groups").contains("task"), "it has a member");
    let exit = containers.stop(&modest, Duration::ZERO).await.expect("stop");
    assert_eq!((exit.code(), exit.oom_killed), (Some(137), false), "the other one was not killed for memory");
    containers.remove(&modest).await.expect("remove");
    assert!(cgroup::children(&node.config.cgroup_root).expect("groups").is_empty(), "the last one takes it along");
    node.assert_clean();
}

#[tokio::test]
async fn a_shared_group_outlives_the_agent_and_no_longer_than_its_containers() {
    let node = Node::new();
    let first = node.open();
    let (shared, path) = group(&node, Limits { memory_bytes: Some(24 << 20), ..Limits::default() });
    let name = id("held");
    let spec = ContainerSpec { group: Some(shared), ..node.shell("exec sleep 1000") };
    first.create(&name, &spec).await.expect("create");
    first.start(&name).await.expect("start");
    // A creation that was cut off after its group was made.
    let cut_off = format!("{}/cut-off", node.config.cgroup_root);
    cgroup::limits::make(cgroup::Layout::detect(), &cut_off, &Limits::default()).expect("make");
    let second = node.open();
    second.adopt().await.expect("adopt");
    let left = cgroup::children(&node.config.cgroup_root).expect("groups");
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["task"]);
    assert_eq!(setting(&path, "memory", ["memory.limit_in_bytes", "memory.max"]), (24 << 20).to_string());
    second.stop(&name, Duration::ZERO).await.expect("stop");
    second.remove(&name).await.expect("remove");
    assert!(cgroup::children(&node.config.cgroup_root).expect("groups").is_empty());
    node.assert_clean();
}

#[tokio::test]
async fn a_container_that_takes_too_much_memory_is_killed_and_flagged() {
    let node = Node::new();
    let containers = node.open();
    // The shell itself grows, so that it is the container's first process that is killed.
    let spec = ContainerSpec {
        memory_limit_bytes: Some(16 << 20),
        memory_reservation_bytes: Some(8 << 20),
        ..node.shell("x=0123456789abcdef; while true; do x=$x$x; done")
    };
    let (exit, _, _) = node.run(&containers, &spec).await;
    assert_eq!((exit.code(), exit.oom_killed), (Some(137), true));
    node.assert_clean();
}

#[tokio::test]
async fn processes_are_limited() {
    let node = Node::new();
    let containers = node.open();
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 30 & done; echo unreachable";
    let spec = ContainerSpec { pids_limit: Some(5), ..node.shell(script) };
    let (exit, out, err) = node.run(&containers, &spec).await;
    assert_eq!(out, "");
    assert!(err.contains("fork"), "{err}");
    assert_ne!(exit.code(), Some(0));
    node.assert_clean();
}

#[tokio::test]
async fn limits_are_set_as_asked() {
    let node = Node::new();
    let containers = node.open();
    let cgroup = "/sys/fs/cgroup";
    let script = format!(
        "ulimit -n; ulimit -Hn; ulimit -u; cd {cgroup}; \
         cat cpu/cpu.shares memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes pids/pids.max 2>/dev/null \
         || cat cpu.weight memory.max memory.low pids.max"
    );
    let spec = ContainerSpec {
        cpu_shares: Some(512),
        memory_limit_bytes: Some(64 << 20),
        memory_reservation_bytes: Some(32 << 20),
        pids_limit: Some(77),
        ulimits: vec![Ulimit { name: "nproc".into(), soft: 111, hard: 222 }],
        ..node.shell(&script)
    };
    let (_, out, err) = node.run(&containers, &spec).await;
    let lines: Vec<&str> = out.lines().collect();
    let nofile = crate::drivers::bundle::nofile_max().min(65_535).to_string();
    assert_eq!(lines[..3], [&nofile, &nofile, "111"], "{out}{err}");
    assert_eq!(lines[4..], ["67108864", "33554432", "77"], "{out}{err}");
    node.assert_clean();
}
