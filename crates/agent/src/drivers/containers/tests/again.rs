//! Commands in containers, and containers that are started again.

use std::time::{Duration, Instant};

use super::node::{Node, all_output, id, patiently, texts, until_said, wait};
use crate::drivers::{ContainerSpec, Error, Executed, Outcome, Status};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn commands_run_in_the_container_with_either_runtime() {
    for runtime in ["crun", "runc"] {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let name = id("exec");
        let spec = ContainerSpec {
            user: "web".into(),
            cwd: "/tmp".into(),
            env: [("A".to_owned(), "b".to_owned())].into(),
            ..node.shell("echo up; while :; do busybox sleep 1; done")
        };
        containers.create(&name, &spec).await.expect("create");
        containers.start(&name).await.expect("start");
        until_said(&containers, &name, "up").await;
        let exec = async |script: &str, limit, bytes| {
            let args = ["/bin/sh", "-c", script].map(str::to_owned);
            patiently("exec", containers.exec(&name, &args, limit, bytes)).await.expect("exec")
        };
        let executed = exec("pwd; echo $A; id -u; exit 3", LIMIT, 100).await;
        assert_eq!(executed, Executed { code: Some(3), output: "/tmp\nb\n33\n".into() }, "{runtime}");
        assert_eq!(exec("echo 123456789 >&2", LIMIT, 4).await.output, "1234");
        let begun = Instant::now();
        let executed = exec("echo slow; exec busybox sleep 60", Duration::from_millis(500), 100).await;
        assert_eq!(executed, Executed { code: None, output: "slow\n".into() }, "{runtime}");
        assert!(begun.elapsed() < LIMIT, "killed in time");
        assert_eq!(exec("busybox ps | busybox grep -c '[s]leep 60'", LIMIT, 100).await.output.trim(), "0", "{runtime}");
        let cut = containers.exec(&name, &["/bin/sh".into(), "a\0b".into()], LIMIT, 1).await.expect_err("refused");
        assert_eq!(cut.to_string(), "could not run a command in the container: the command has a zero byte");
        let missing = containers.exec(&name, &["/no/such".to_owned()], LIMIT, 200).await.expect("called");
        assert!(missing.code.is_some_and(|code| code != 0) && missing.output.contains("no/such"), "{missing:?}");
        containers.stop(&name, Duration::ZERO).await.expect("stop");
        let over = containers.exec(&name, &["/bin/true".to_owned()], LIMIT, 1).await;
        assert!(matches!(over, Err(Error::NotRunning(_))), "{over:?}");
        containers.remove(&name).await.expect("remove");
        node.assert_clean();
    }
}

#[tokio::test]
async fn a_held_container_is_started_again_as_it_was() {
    let node = Node::new();
    let containers = node.open();
    let name = id("again");
    let script = "busybox cat /tmp/runs 2>/dev/null; echo run >> /tmp/runs; exit 3";
    let spec = ContainerSpec { restartable: true, ..node.shell(script) };
    containers.create(&name, &spec).await.expect("create");
    let early = containers.restart(&name).await;
    assert!(matches!(early, Err(Error::NotHeld(_))), "{early:?}");
    containers.start(&name).await.expect("start");
    for _ in 0..2 {
        assert_eq!(wait(&containers, &name).await.code(), Some(3));
        patiently("the restart", containers.restart(&name)).await.expect("started again");
    }
    let exit = wait(&containers, &name).await;
    assert_eq!(exit.outcome, Outcome::Exited { code: 3 });
    assert!(matches!(*containers.status(&name).expect("status").borrow(), Status::Halted(_)));

    // Another agent finds it held, and lets it go.
    let successor = node.open();
    let adopted = successor.adopt().await.expect("adopt");
    assert!(matches!(adopted[..], [(_, Status::Halted(_))]), "{adopted:?}");
    patiently("letting go", successor.let_go(&name)).await.expect("let go");
    assert_eq!(texts(&all_output(&successor, &name).await).0, "run\nrun\nrun\n", "one output for all runs");
    successor.let_go(&name).await.expect("no error when it is over");
    successor.remove(&name).await.expect("remove");
    node.assert_clean();
}
