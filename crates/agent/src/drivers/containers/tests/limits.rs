//! Limits that the kernel keeps.

use super::node::Node;
use crate::drivers::{ContainerSpec, Ulimit};

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
