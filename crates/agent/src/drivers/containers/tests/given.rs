//! What a container is given of the machine, by either runtime.

use super::node::{Node, id, patiently, sh, texts, until, until_said, wait};
use crate::drivers::{
    Backing, BindMount, ContainerSpec, Device, Outcome, Security, SharedGroup, Sharing, Signal, Volume, VolumeMount,
    VolumeScope,
};

const RUNTIMES: [&str; 2] = ["crun", "runc"];

#[tokio::test(flavor = "multi_thread")]
async fn an_init_process_hands_on_signals_reaps_and_ends_as_the_command_did() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let with_init = |script: &str| ContainerSpec { init: true, readonly_rootfs: true, ..node.shell(script) };
        let script = "busybox tr '\\0' ' ' </proc/1/cmdline; echo; echo $$; exit 7";
        let (exit, out, _) = node.run(&containers, &with_init(script)).await;
        assert_eq!(exit.outcome, Outcome::Exited { code: 7 }, "{runtime}");
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("/sbin/docker-init /bin/sh -c "), "{runtime}: {out}");
        assert_ne!(lines[1], "1", "{runtime}: {out}");

        // A process whose parent is gone becomes the init's child, and does not stay a zombie.
        let script = "(sh -c 'sleep 0.1' & ); sleep 0.4; busybox ps -o stat | grep -c Z";
        let (_, out, _) = node.run(&containers, &with_init(script)).await;
        assert_eq!(out, "0\n", "{runtime}");

        let (exit, _, err) = node.run(&containers, &ContainerSpec { args: vec!["gone".into()], ..with_init("") }).await;
        assert_eq!((exit.outcome, err.as_str()), (Outcome::Exited { code: 127 }, "init: cannot execute gone\n"));

        let signalled = with_init("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
        containers.create(&id("s"), &signalled).await.expect("create");
        containers.start(&id("s")).await.expect("start");
        until_said(&containers, &id("s"), "ready").await;
        containers.signal(&id("s"), Signal::TERM).await.expect("signal");
        assert_eq!(wait(&containers, &id("s")).await.outcome, Outcome::Exited { code: 3 }, "{runtime}");
        containers.remove(&id("s")).await.expect("remove");
        node.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_one_stream_and_an_open_input_stays_open() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let script = "busybox tty; echo $TERM; echo to stderr >&2; exit 4";
        let (exit, out, err) =
            node.run(&containers, &ContainerSpec { terminal: true, init: true, ..node.shell(script) }).await;
        assert_eq!((out.as_str(), err.as_str()), ("/dev/pts/0\r\nxterm\r\nto stderr\r\n", ""), "{runtime}");
        assert_eq!(exit.outcome, Outcome::Exited { code: 4 }, "{runtime}");

        let script = "busybox timeout 0.2 cat && echo closed || echo open";
        let (_, out, _) = node.run(&containers, &ContainerSpec { stdin_open: true, ..node.shell(script) }).await;
        assert_eq!(out, "open\n", "{runtime}");
        assert_eq!(node.run(&containers, &node.shell(script)).await.1, "closed\n", "{runtime}");
        node.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_and_privileges() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        // One that no container has of itself.
        let source = "/dev/loop-control".into();
        let one = Device { source, target: "/dev/one".into(), access: "r".into() };
        let script = "(exec 3</dev/one) && echo read; (exec 3>/dev/one) || echo shut; ls -l /dev/one | busybox cut -c1";
        let spec = ContainerSpec { devices: vec![one], ..node.shell(script) };
        assert_eq!(node.run(&containers, &spec).await.1, "read\nshut\nc\n", "{runtime}");

        let look = "grep -c Seccomp.*0 /proc/self/status; busybox awk '/CapEff/ {print $2}' /proc/self/status; \
            grep -c '/sys sysfs rw' /proc/mounts; mount -t tmpfs t /tmp && echo mounted; ls /dev | busybox wc -l";
        let (_, out, err) = node.run(&containers, &ContainerSpec { privileged: true, ..node.shell(look) }).await;
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!((lines[2], lines[3]), ("1", "mounted"), "{runtime}: {out}{err}");
        let caps = sh("awk '/CapBnd/ {print $2}' /proc/self/status");
        assert!(lines[1] == caps.trim() && lines[4].parse::<u32>().expect("count") > 15, "{runtime}: {out}");

        let security = Security { no_new_privileges: true, without_seccomp: true, apparmor: None };
        let look = "busybox awk '/NoNewPrivs|Seccomp:/ {print $2}' /proc/self/status";
        let (_, out, _) = node.run(&containers, &ContainerSpec { security, ..node.shell(look) }).await;
        assert_eq!(out, "1\n0\n", "{runtime}");
        node.assert_clean();
    }
}

/// A container of the group `task` that shares its pid and IPC namespaces.
fn sharing(node: &Node, script: &str) -> ContainerSpec {
    let group = SharedGroup { name: "task".into(), limits: None, shm_bytes: Some(1 << 20) };
    ContainerSpec { group: Some(group), pid: Sharing::Group, ipc: Sharing::Group, ..node.shell(script) }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_namespaces_outlive_every_container_and_the_agent_and_go_with_the_last() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let (first, second) = (id("first"), id("second"));
        // What it leaves behind ends with it, though the namespace goes on.
        let brief = sharing(&node, "echo note >/dev/shm/note; busybox sleep 6543 & echo ready; sleep 0.2");
        let waits = "while busybox ps -o args | grep -q '^busybox sleep 6543'; do sleep 0.05; done; \
            cat /dev/shm/note; cat /proc/1/comm; busybox df -k /dev/shm | tail -n1 | busybox awk '{print $2}'; \
            echo waiting; while :; do sleep 0.05; done";
        containers.create(&first, &brief).await.expect("create");
        containers.start(&first).await.expect("start");
        until_said(&containers, &first, "ready").await;
        containers.create(&second, &sharing(&node, waits)).await.expect("create");
        containers.start(&second).await.expect("start");
        assert_eq!(wait(&containers, &first).await.outcome, Outcome::Exited { code: 0 }, "{runtime}");
        until_said(&containers, &second, "waiting").await;
        containers.remove(&first).await.expect("remove");
        drop(containers);

        let containers = node.open();
        containers.adopt().await.expect("adopt");
        // The namespace of the second is there for a third.
        let third = id("third");
        containers
            .create(&third, &sharing(&node, "cat /dev/shm/note; busybox ps -o args | grep -c '^/bin/sh -c while'"))
            .await
            .expect("create");
        containers.start(&third).await.expect("start");
        wait(&containers, &third).await;
        let said = texts(&super::node::all_output(&containers, &third).await).0;
        assert!(said.starts_with("note\n") && said.ends_with("\n1\n"), "{runtime}: {said}");
        containers.remove(&third).await.expect("remove");
        containers.signal(&second, Signal::KILL).await.expect("kill");
        wait(&containers, &second).await;
        let (out, _) = texts(&super::node::all_output(&containers, &second).await);
        assert_eq!(out, "note\ninit\n1024\nwaiting\n", "{runtime}");
        containers.remove(&second).await.expect("remove");
        let sandboxes = node.config.data.join("sandboxes");
        assert_eq!(std::fs::read_dir(&sandboxes).expect("sandboxes").count(), 0, "{runtime}");
        node.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_of_nobody_is_cleared_away() {
    let node = Node::new();
    let containers = node.open();
    containers.create(&id("c"), &sharing(&node, "true")).await.expect("create");
    let lock = node.container_dir(&id("c")).join("shim.lock");
    until("the shim is there", || std::fs::metadata(&lock).is_ok_and(|lock| lock.len() > 0)).await;
    let holder = node.config.data.join("sandboxes/task/init.pid");
    let pid = std::fs::read_to_string(holder).expect("a holder");
    let shim = std::fs::read_to_string(&lock).expect("a shim");
    let shim: serde_json::Value = serde_json::from_str(&shim).expect("its name");
    drop(containers);
    // Without a word to start it goes away; what it still writes would be in the way of removing the directory.
    let stat = format!("/proc/{}/stat", shim["pid"]);
    until("the shim ends", || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))).await;
    // As if the agent had died before the container was complete.
    let record = node.container_dir(&id("c")).join("container.json");
    std::fs::remove_file(record).expect("remove the record");
    patiently("adopt", node.open().adopt()).await.expect("adopt");
    until("the holder ends", || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists()).await;
    node.assert_clean();
    assert_eq!(sh(&format!("ls {}/sandboxes", node.config.data.display())), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_s_namespaces_and_none_at_all() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let spec = ContainerSpec {
            pid: Sharing::Host,
            ipc: Sharing::Closed,
            ..node.shell("test -d /dev/shm || echo no shm; test $$ = 1 || echo not first")
        };
        assert_eq!(node.run(&containers, &spec).await.1, "no shm\nnot first\n", "{runtime}");
        let spec = ContainerSpec { ipc: Sharing::Host, ..node.shell("busybox readlink /proc/self/ns/ipc") };
        assert_eq!(node.run(&containers, &spec).await.1, sh("readlink /proc/self/ns/ipc"), "{runtime}");
        node.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_filled_shared_and_read_only_with_all_beneath() {
    for runtime in RUNTIMES {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let task = || VolumeScope::Task("t".into());
        let at = |target: &str, scope, backing, read_only| {
            let volume = Volume { name: "v".into(), scope, backing, labels: Default::default() };
            VolumeMount { volume, target: target.into(), read_only, filled: true }
        };
        let writes = |target: &str, scope, backing| ContainerSpec {
            volumes: vec![at(target, scope, backing, false)],
            ..node.shell(&format!("ls {target} | head -n1; echo 1 >{target}/new"))
        };
        let said = node.run(&containers, &writes("/bin", task(), Backing::Directory)).await.1;
        assert_eq!(said, "busybox\n", "{runtime}: the image's files are in the volume, and it runs from there");
        let reads = ContainerSpec {
            volumes: vec![at("/else", task(), Backing::Directory, true)],
            ..node.shell("cat /else/new; (echo 2 >/else/new) 2>/dev/null || echo read-only")
        };
        assert_eq!(node.run(&containers, &reads).await.1, "1\nread-only\n", "{runtime}");

        // A file system that is mounted beneath is the container's to see, and as little to write to.
        let memory = Backing::Tmpfs("size=1m".into());
        let below = node.config.data.join("volumes");
        let mount = BindMount { source: below, target: "/all".into(), read_only: true };
        let shared = VolumeScope::Shared { made: true };
        let look = "grep -c '/all/shared/v/data tmpfs ro' /proc/mounts; (echo 2 >/all/shared/v/data/new) 2>/dev/null || echo read-only";
        let spec = ContainerSpec {
            volumes: vec![at("/memory", shared, memory, false)],
            mounts: vec![mount],
            ..node.shell(look)
        };
        assert_eq!(node.run(&containers, &spec).await.1, "1\nread-only\n", "{runtime}");
        containers.volumes().remove_of_task("t").expect("removed");
        node.assert_clean();
    }
}
