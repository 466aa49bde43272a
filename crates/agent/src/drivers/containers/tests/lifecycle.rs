//! From creation to removal, and what survives whom.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::node::{Node, PATIENCE, all_output, id, patiently, running_pid, sh, texts, until, until_said, wait};
use crate::drivers::records::{LOCK, Outcome};
use crate::drivers::{
    BindMount, ContainerId, ContainerSpec, Containers, Error, NetworkMode, Status, Tmpfs, cgroup, rootfs,
};

#[tokio::test]
async fn a_container_runs_to_its_exit_code_with_either_runtime() {
    for runtime in ["crun", "runc"] {
        let node = Node::with_runtimes(&[runtime]);
        let containers = node.open();
        let spec = node.shell("echo out one; echo err one >&2; echo out two; echo -n no newline; exit 7");
        let (exit, out, err) = node.run(&containers, &spec).await;
        assert_eq!((exit.code(), exit.oom_killed), (Some(7), false), "{runtime}");
        assert_eq!((out.as_str(), err.as_str()), ("out one\nout two\nno newline\n", "err one\n"), "{runtime}");
        assert!(exit.started_at.expect("it ran") <= exit.ended_at);
        node.assert_clean();
    }
}

#[tokio::test]
async fn environment_directory_user_and_files_are_as_asked() {
    let node = Node::new();
    let containers = node.open();
    fs::write(node.path().join("shared"), "from the host\n").expect("write");
    let mount = |target: &str, read_only| BindMount {
        source: node.path().join("shared"),
        target: target.to_owned(),
        read_only,
    };
    let spec = ContainerSpec {
        env: BTreeMap::from([("GREETING".to_owned(), "hello = you".to_owned())]),
        cwd: "/srv/made/for/it".into(),
        user: "web".into(),
        readonly_rootfs: true,
        mounts: vec![mount("/mnt/a", true), mount("/mnt/b", false)],
        tmpfs: vec![Tmpfs { target: "/scratch".into(), size_bytes: 1 << 20, options: vec!["mode=1777".into()] }],
        ..node.shell(
            "env | grep -E '^(GREETING|HOME|HOSTNAME|PATH)=' | sort; pwd; id; hostname; cat /mnt/a /etc/hostname; \
             touch /scratch/x && echo scratch; touch /tmp/x || echo read-only; echo x > /mnt/a || echo mount read-only; \
             echo err > /dev/stderr; head -n1 /etc/hosts",
        )
    };
    let (exit, out, err) = node.run(&containers, &spec).await;
    insta::assert_snapshot!(out, @r"
    GREETING=hello = you
    HOME=/srv
    HOSTNAME=tester
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    /srv/made/for/it
    uid=33(web) gid=34(www) groups=34(www),90(logs)
    tester
    from the host
    tester
    scratch
    read-only
    mount read-only
    127.0.0.1	localhost
    ");
    assert!(err.contains("Read-only file system") && err.ends_with("err\n"), "{err}");
    assert_eq!(exit.code(), Some(0));
    node.assert_clean();
}

#[tokio::test]
async fn docker_s_privileges_and_no_others() {
    let node = Node::new();
    let containers = node.open();
    let script = "grep -E '^(CapEff|CapInh|NoNewPrivs|Seccomp):' /proc/self/status; \
                  mount -t tmpfs x /tmp 2>/dev/null || echo no mount; ls /proc/acpi /sys/firmware; \
                  touch /proc/sys/kernel/x 2>/dev/null || echo no sysctl; cat /proc/self/oom_score_adj; \
                  ls /dev | grep -v core; cd /sys/fs/cgroup; for group in . *; do test -e $group/cgroup.procs || continue; \
                  mkdir $group/x 2>/dev/null && echo $group is writable; done; true";
    let (_, compiled, _) = node.run(&containers, &node.shell(script)).await;
    let (_, out, _) = node.run(&containers, &node.shell(script)).await;
    assert_eq!(compiled, out, "the second one is given the first one's compiled seccomp filter");
    let kept = fs::read_dir(node.config.data.join("filters")).expect("filters").count();
    assert_eq!(kept, usize::from(node.config.runtime.name == "crun"));
    insta::assert_snapshot!(out, @r"
    CapInh:	0000000000000000
    CapEff:	00000000a80425fb
    NoNewPrivs:	0
    Seccomp:	2
    no mount
    /proc/acpi:

    /sys/firmware:
    no sysctl
    0
    fd
    full
    mqueue
    null
    ptmx
    pts
    random
    shm
    stderr
    stdin
    stdout
    tty
    urandom
    zero
    ");
    let few = ContainerSpec { cap_drop: vec!["ALL".into()], ..node.shell("grep CapEff /proc/self/status") };
    assert_eq!(node.run(&containers, &few).await.1, "CapEff:\t0000000000000000\n");
    node.assert_clean();
}

#[tokio::test]
async fn sigterm_then_sigkill() {
    let node = Node::new();
    let containers = node.open();
    let willing = node.shell("trap 'echo bye; exit 3' TERM; echo ready; while true; do sleep 0.05; done");
    let obeys_quit = ContainerSpec {
        stop_signal: "SIGQUIT".into(),
        ..node.shell("trap 'exit 4' QUIT; trap '' TERM; echo ready; while true; do sleep 0.05; done")
    };
    let obeys_real_time = ContainerSpec {
        stop_signal: "SIGRTMIN+3".into(),
        ..node.shell("trap 'exit 5' 37; echo ready; while true; do sleep 0.05; done")
    };
    for (name, spec, grace, expect) in [
        ("willing", willing, Duration::from_secs(60), Some(3)),
        ("quit", obeys_quit, Duration::from_secs(60), Some(4)),
        ("rt", obeys_real_time, Duration::from_secs(60), Some(5)),
        ("deaf", node.shell("trap '' TERM; echo ready; while true; do sleep 1; done"), Duration::ZERO, Some(137)),
    ] {
        let id = id(name);
        containers.create(&id, &spec).await.expect("create");
        containers.start(&id).await.expect("start");
        until_said(&containers, &id, "ready").await;
        assert!(matches!(containers.remove(&id).await, Err(Error::Running(_))));
        let exit = patiently("stop", containers.stop(&id, grace)).await.expect("stop");
        assert_eq!(exit.code(), expect, "{name}");
        assert_eq!(containers.stop(&id, grace).await.expect("stopped already"), exit);
        assert!(matches!(containers.signal(&id, crate::drivers::Signal::TERM).await, Err(Error::NotRunning(_))));
        containers.remove(&id).await.expect("remove");
    }
    node.assert_clean();
}

#[tokio::test]
async fn what_cannot_run_says_why_and_leaves_nothing() {
    let node = Node::new();
    let containers = node.open();
    let missing = ContainerSpec { args: vec!["/no/such/program".into()], ..node.shell("") };
    let name = id("missing");
    containers.create(&name, &missing).await.expect("create");
    let error = containers.start(&name).await.expect_err("there is no such program");
    assert_eq!(error.ecs_name(), "CannotStartContainerError");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert_eq!(wait(&containers, &name).await.code(), None);
    assert_eq!(all_output(&containers, &name).await, [], "the runtime's complaint is not the container's output");
    containers.remove(&name).await.expect("remove");

    let stranger = ContainerSpec { user: "stranger".into(), ..node.shell("true") };
    let error = containers.create(&id("stranger"), &stranger).await.expect_err("no such user");
    assert_eq!(error.ecs_name(), "CannotStartContainerError");
    containers.create(&name, &node.shell("true")).await.expect("create");
    assert!(matches!(containers.create(&name, &node.shell("true")).await, Err(Error::Exists(_))));
    containers.remove(&name).await.expect("a container that was never started");
    assert!(matches!(containers.wait(&name).await, Err(Error::Unknown(_))));
    node.assert_clean();
}

#[tokio::test]
async fn none_has_only_loopback_and_host_is_the_host() {
    let node = Node::new();
    let containers = node.open();
    let script = "ls /sys/class/net; ip -o addr show up | grep -c 127.0.0.1";
    let (_, out, _) = node.run(&containers, &node.shell(script)).await;
    assert_eq!(out, "lo\n1\n");
    let host = ContainerSpec { network: NetworkMode::Host, ..node.shell("ls /sys/class/net; hostname") };
    let (_, out, _) = node.run(&containers, &host).await;
    assert_eq!(out, sh("ls /sys/class/net; echo tester"));
    node.assert_clean();
}

#[test]
fn containers_outlive_their_agent() {
    let node = Node::new();
    let agent = tokio::runtime::Runtime::new().expect("runtime");
    let (running, ended, idle) = (id("running"), id("ended"), id("idle"));
    let kept = agent.block_on(async {
        let containers = node.open();
        let script = "echo before; while ! test -e /mnt/go; do sleep 0.02; done; echo after; exit 5";
        let mount = BindMount { source: node.path().to_owned(), target: "/mnt".into(), read_only: true };
        let spec = ContainerSpec { mounts: vec![mount], ..node.shell(script) };
        for (name, spec) in [(&running, &spec), (&ended, &spec), (&idle, &spec)] {
            containers.create(name, spec).await.expect("create");
        }
        containers.start(&running).await.expect("start");
        containers.start(&ended).await.expect("start");
        let mut output = containers.output(&running, 0).expect("output");
        output.next().await.expect("read").expect("before");
        fs::create_dir(node.container_dir(&id("cut-off"))).expect("a creation that was cut off");
        let pid = running_pid(&containers, &ended).expect("running");
        (output.offset(), pid)
    });
    // The agent dies: nothing of it goes on.
    agent.shutdown_timeout(PATIENCE);
    let pid = Pid::from_raw(kept.1).expect("pid");
    kill_process(pid, Signal::KILL).expect("kill");
    let next = tokio::runtime::Runtime::new().expect("runtime");
    next.block_on(async {
        until("the shim records the end", || node.container_dir(&ended).join("exit.json").exists()).await;
        let containers = node.open();
        let adopted = containers.adopt().await.expect("adopt");
        let names: Vec<&str> = adopted.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ended", "idle", "running"]);
        assert!(matches!(adopted[2].1, Status::Running { .. }), "{adopted:?}");
        assert_eq!(containers.count_running().expect("counted"), 1, "{adopted:?}");
        assert_eq!(wait(&containers, &ended).await.code(), Some(137));
        let never = wait(&containers, &idle).await;
        assert!(matches!(never.outcome, Outcome::NotStarted { .. }), "{never:?}");
        fs::write(node.path().join("go"), "").expect("go");
        assert_eq!(wait(&containers, &running).await.code(), Some(5));
        let mut rest = containers.output(&running, kept.0).expect("output");
        let said = [rest.next().await.expect("read").expect("a line")];
        assert_eq!(texts(&said).0, "after\n");
        assert_eq!(rest.next().await.expect("read"), None);
        assert_eq!(containers.adopt().await.expect("adopt again").len(), 3);
        for name in [&running, &ended, &idle] {
            containers.remove(name).await.expect("remove");
        }
        node.assert_clean();
    });
}

/// Many at once, so that processes end while the runtime that started them still waits for its turn.
#[tokio::test]
async fn however_quickly_a_process_ends_its_exit_code_is_known() {
    const AT_ONCE: usize = 24;
    let node = Node::new();
    let containers = node.open();
    let names: Vec<_> = (0..AT_ONCE).map(|i| id(&format!("quick{i}"))).collect();
    for name in &names {
        containers.create(name, &node.shell("exit 7")).await.expect("create");
    }
    let starts = names.iter().map(|name| containers.start(name));
    futures_util::future::join_all(starts).await.into_iter().for_each(|started| drop(started.expect("start")));
    for name in &names {
        assert_eq!(wait(&containers, name).await.outcome, Outcome::Exited { code: 7 });
        containers.remove(name).await.expect("remove");
    }
    node.assert_clean();
}

/// The first process and the shim of a running container.
fn processes(node: &Node, containers: &Containers, name: &ContainerId) -> [Pid; 2] {
    let lock = fs::read_to_string(node.container_dir(name).join(LOCK)).expect("lock");
    let shim: serde_json::Value = serde_json::from_str(&lock).expect("json");
    let shim = Pid::from_raw(shim["pid"].as_i64().expect("pid") as i32).expect("pid");
    [Pid::from_raw(running_pid(containers, name).expect("running")).expect("pid"), shim]
}

#[test]
fn nothing_but_the_directories_outlives_the_host() {
    let node = Node::new();
    let agent = tokio::runtime::Runtime::new().expect("runtime");
    let name = id("rebooted");
    let processes = agent.block_on(async {
        let containers = node.open();
        containers.create(&name, &node.shell("echo before; sleep 1000")).await.expect("create");
        containers.start(&name).await.expect("start");
        until_said(&containers, &name, "before").await;
        processes(&node, &containers, &name)
    });
    agent.shutdown_timeout(PATIENCE);
    // A power failure, as far as one can be had: processes, mounts and control groups are gone.
    let [init, shim] = processes;
    for process in [shim, init] {
        kill_process(process, Signal::KILL).expect("kill");
    }
    let next = tokio::runtime::Runtime::new().expect("runtime");
    next.block_on(async {
        until("the container is gone", || test_kill_process(init).is_err()).await;
        rootfs::unmount_at(&node.container_dir(&name).join("rootfs")).expect("unmount");
        until("the control group is empty", || cgroup::remove(&node.config.cgroup_root).is_ok()).await;
        let containers = node.open();
        containers.adopt().await.expect("adopt");
        let exit = wait(&containers, &name).await;
        assert!(matches!(exit.outcome, Outcome::Lost { .. }), "{exit:?}");
        containers.remove(&name).await.expect("remove");
        node.assert_clean();
    });
}

#[tokio::test]
async fn a_container_whose_shim_is_killed_is_lost_and_does_not_run_on() {
    let node = Node::new();
    let containers = node.open();
    let name = id("lost");
    containers.create(&name, &node.shell("echo here; sleep 1000")).await.expect("create");
    containers.start(&name).await.expect("start");
    until_said(&containers, &name, "here").await;
    let [container, shim] = processes(&node, &containers, &name);
    kill_process(shim, Signal::KILL).expect("kill the shim");
    let exit = wait(&containers, &name).await;
    let Outcome::Lost { message } = &exit.outcome else { panic!("{exit:?}") };
    assert!(message.contains("shim process died"), "{message}");
    assert_eq!(exit.code(), None);
    assert!(exit.started_at.is_some());
    until("the container is gone", || test_kill_process(container).is_err()).await;
    assert_eq!(texts(&all_output(&containers, &name).await).0, "here\n", "what it said is kept");
    containers.remove(&name).await.expect("remove");
    node.assert_clean();
}

#[tokio::test]
async fn what_is_left_of_a_container_that_ran_is_kept_and_holds_nothing() {
    let mut node = Node::new();
    node.config.keeps_remains = true;
    let containers = node.open();
    let (_, out, _) = node.run(&containers, &node.shell("echo said; echo changed > /file")).await;
    assert_eq!(out, "said\n");
    let kept: Vec<_> = fs::read_dir(node.config.data.join("stopped")).expect("remains").flatten().collect();
    let kept = kept.first().expect("one").path();
    assert_eq!(fs::read_to_string(kept.join("upper/file")).expect("its file"), "changed\n");
    assert!(kept.join("spool").exists() && kept.join("config.json").exists());
    assert_eq!(rootfs::mounts_below(&kept).expect("mounts"), Vec::<std::path::PathBuf>::new());
    node.assert_clean();
    let unstarted = id("never");
    containers.create(&unstarted, &node.shell("true")).await.expect("created");
    containers.remove(&unstarted).await.expect("removed");
    assert_eq!(fs::read_dir(node.config.data.join("stopped")).expect("remains").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_started_is_named() {
    for runtime in ["crun", "runc"] {
        let node = Node::with_runtimes(&[runtime]);
        let (containers, name) = (node.open(), id("c"));
        let cases = [
            ("/nope", "stat /nope: no such file or directory"),
            ("nope", "executable file not found in $PATH"),
            ("/bin", "permission denied"),
        ];
        for (command, cause) in cases {
            let spec = ContainerSpec { args: vec![command.into()], ..node.shell("") };
            containers.create(&name, &spec).await.expect("create");
            let error = containers.start(&name).await.expect_err("no such command").to_string();
            let expect = format!(
                "OCI runtime create failed: {runtime} create failed: unable to start container process: \
                 exec: \"{command}\": {cause}"
            );
            assert_eq!(error, expect);
            containers.remove(&name).await.expect("remove");
        }
        node.assert_clean();
    }
}
