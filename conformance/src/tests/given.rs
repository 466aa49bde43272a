//! What containers are given of the machine: they print what they see.

use super::{Stage, log_configuration, text};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `name=value` lines that the task's container logged.
pub(super) fn said(stage: &Stage, task: &Value) -> Result<BTreeMap<String, String>> {
    let log = stage.log(task)?;
    let pairs = log.iter().filter_map(|line| line.trim_end().split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

pub(super) fn expect(said: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(said.get(*name).map(String::as_str), Some(*value), "{name} in {said:#?}");
    }
}

const LOOK: &str = r#"
echo "nofile=$(ulimit -Sn)/$(ulimit -Hn)"
echo "root=$(echo x 2>/dev/null >/x && echo writable || echo read-only)"
echo "tmpfs=$(busybox grep ' /scratch ' /proc/mounts | busybox cut -d' ' -f3,4)"
echo "shm=$(busybox df -k /dev/shm | busybox tail -n1 | busybox awk '{print $2}')"
echo "caps=$(busybox grep CapEff /proc/self/status | busybox awk '{print $2}')"
echo "newprivs=$(busybox grep NoNewPrivs /proc/self/status | busybox awk '{print $2}')"
echo "seccomp=$(busybox grep Seccomp: /proc/self/status | busybox awk '{print $2}')"
echo "somaxconn=$(cat /proc/sys/net/core/somaxconn) msgmax=$(cat /proc/sys/kernel/msgmax)"
echo "hostname=$(busybox hostname)"
echo "hosts=$(busybox grep db6 /etc/hosts | busybox tr '\t' ' ')"
echo "dns=$(busybox tr '\n' ' ' </etc/resolv.conf)"
echo "device=$(echo x >/dev/nothing && ls -l /dev/nothing | busybox cut -c1)"
echo "init=$(busybox tr '\0' '\n' </proc/1/cmdline | busybox head -n1) pid=$$"
echo "input=$(busybox timeout 0.2 cat && echo closed || echo open)"
echo "terminal=$(busybox tty <&1)"
exit 5
"#;

#[test]
fn a_container_sees_what_its_definition_gives_it() -> Result<()> {
    let stage = Stage::new()?;
    let container = json!({
        "command": ["sh", "-c", LOOK],
        "ulimits": [{ "name": "nofile", "softLimit": 100, "hardLimit": 200 }],
        "readonlyRootFilesystem": true,
        "hostname": "given",
        "dockerLabels": { "a": "b" },
        "extraHosts": [{ "hostname": "db6", "ipAddress": "fd00::1" }],
        "dnsServers": ["192.0.2.1", "fd00::53"],
        "dnsSearchDomains": ["corp.example"],
        "dockerSecurityOptions": ["no-new-privileges", "seccomp:unconfined"],
        "systemControls": [
            { "namespace": "net.core.somaxconn", "value": "321" }, { "namespace": "kernel.msgmax", "value": "4321" },
        ],
        "interactive": true,
        "linuxParameters": {
            "capabilities": { "drop": ["ALL"], "add": ["CHOWN"] },
            "devices": [{ "hostPath": "/dev/null", "containerPath": "/dev/nothing", "permissions": ["read", "write"] }],
            "initProcessEnabled": true,
            "maxSwap": 0,
            "swappiness": 10,
            "sharedMemorySize": 8,
            "tmpfs": [{ "containerPath": "/scratch", "size": 2, "mountOptions": ["mode=0700"] }],
        },
    });
    let task = stage.run_to_end("bridge", container)?;
    assert_eq!(task["containers"][0]["exitCode"], 5, "{task:#}");
    let said = said(&stage, &task)?;
    expect(
        &said,
        &[
            ("nofile", "100/200"),
            ("root", "read-only"),
            ("shm", "8192"),
            ("caps", "0000000000000001"),
            ("newprivs", "1"),
            ("seccomp", "0"),
            ("somaxconn", "321 msgmax=4321"),
            ("hostname", "given"),
            ("hosts", "fd00::1 db6"),
            ("dns", "nameserver 192.0.2.1 nameserver fd00::53 search corp.example"),
            ("device", "c"),
            ("input", "open"),
            ("terminal", "not a tty"),
        ],
    );
    assert!(said["init"].starts_with("/sbin/docker-init pid="), "{said:#?}");
    assert!(said["tmpfs"].starts_with("tmpfs rw,") && said["tmpfs"].contains("size=2048k,mode=700"), "{said:#?}");
    Ok(())
}

const LOOK_PRIVILEGED: &str = r#"
echo "caps=$(busybox grep CapEff /proc/self/status | busybox awk '{print $2}')"
echo "seccomp=$(busybox grep Seccomp: /proc/self/status | busybox awk '{print $2}')"
echo "devices=$(ls /dev | busybox grep -c .)"
echo "sys=$(busybox grep ' /sys sysfs' /proc/mounts | busybox cut -d' ' -f4 | busybox cut -d, -f1)"
echo "terminal=$(busybox tty) $TERM"
"#;

#[test]
fn a_privileged_container_with_a_terminal_has_both() -> Result<()> {
    let stage = Stage::new()?;
    let look = json!({ "command": ["sh", "-c", LOOK_PRIVILEGED], "privileged": true, "pseudoTerminal": true });
    let said = said(&stage, &stage.run_to_end("none", look)?)?;
    expect(&said, &[("seccomp", "0"), ("sys", "rw"), ("terminal", "/dev/pts/0 xterm")]);
    // All that this machine's root has itself.
    let status = std::fs::read_to_string("/proc/self/status")?;
    let own = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap_or_default();
    assert_eq!(said["caps"], own.trim());
    assert!(said["devices"].parse::<u32>()? > 15, "{said:#?}");
    Ok(())
}

/// Registers and runs several containers, and answers the task once `app`, the only essential one, ended.
pub(super) fn run_together(stage: &Stage, task: Value, containers: &[Value]) -> Result<Value> {
    let container = |given: &Value| {
        let mut container = json!({ "image": stage.image, "memory": 32, "essential": false, "stopTimeout": 2, "logConfiguration": log_configuration() });
        for (name, value) in given.as_object().into_iter().flatten() {
            container[name] = value.clone();
        }
        container
    };
    let mut input =
        json!({ "family": "together", "containerDefinitions": containers.iter().map(container).collect::<Vec<_>>() });
    for (name, value) in task.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    let answer = stage.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
    let task = stage.run(text(&answer["taskDefinition"]["taskDefinitionArn"]), &[])?;
    stage.until(&task, "STOPPED")
}

#[test]
fn linked_containers_know_each_other_and_ranges_of_ports_are_bound() -> Result<()> {
    let stage = Stage::new()?;
    let server = json!({
        "name": "web-server",
        "command": ["sh", "-c", "while :; do echo hello | nc -l -p 8080; done"],
        "environment": [{ "name": "MODE", "value": "fast" }],
        "portMappings": [{ "containerPortRange": "8080-8084" }],
        "entryPoint": [],
    });
    let app = json!({
        "name": "app", "essential": true, "links": ["web-server:my-web"],
        "command": ["sh", "-c", "echo port=$MY_WEB_PORT_8080_TCP_PORT; echo name=$MY_WEB_NAME; echo mode=$MY_WEB_ENV_MODE; \
            echo hosts=$(busybox grep -c 'my-web.*web-server' /etc/hosts); \
            until nc my-web 8080 </dev/null >/tmp/got && busybox test -s /tmp/got; do sleep 0.1; done; echo got=$(cat /tmp/got)"],
    });
    let task = run_together(&stage, json!({ "networkMode": "bridge" }), &[app, server])?;
    expect(
        &said(&stage, &task)?,
        &[("port", "8080"), ("name", "/app/my-web"), ("mode", "fast"), ("hosts", "1"), ("got", "hello")],
    );
    let containers = task["containers"].as_array().cloned().unwrap_or_default();
    let server = containers.iter().find(|container| container["name"] == "web-server").cloned().unwrap_or_default();
    let binding = &server["networkBindings"][0];
    assert_eq!(binding["containerPortRange"], "8080-8084", "{server:#}");
    let ends = text(&binding["hostPortRange"]).split_once('-').map(|(a, b)| (a.parse::<u16>(), b.parse::<u16>()));
    assert!(matches!(ends, Some((Ok(first), Ok(last))) if last - first == 4), "{binding}");
    assert_eq!(binding["hostPort"], Value::Null, "{binding}");
    Ok(())
}

#[test]
fn containers_of_a_task_share_processes_and_memory_and_outlive_one_another() -> Result<()> {
    let stage = Stage::new()?;
    // It leaves a process behind, which ends with its container though the namespace goes on.
    let brief =
        json!({ "name": "brief", "command": ["sh", "-c", "echo shared >/dev/shm/note; sleep 7777 & sleep 0.5"] });
    let app = json!({
        "name": "app", "essential": true,
        "command": ["sh", "-c", "until busybox grep -q shared /dev/shm/note; do sleep 0.1; done; \
            until busybox ps -o args | busybox grep -q '^sleep 7777'; do sleep 0.1; done; echo seen=yes; \
            while busybox ps -o args | busybox grep -q '^sleep 7777'; do sleep 0.1; done; \
            echo first=$(busybox cat /proc/1/comm) own=$(test $$ = 1 && echo yes || echo no)"],
    });
    let task =
        run_together(&stage, json!({ "networkMode": "none", "pidMode": "task", "ipcMode": "task" }), &[app, brief])?;
    expect(&said(&stage, &task)?, &[("seen", "yes"), ("first", "init own=no")]);
    let exits: Vec<_> = task["containers"].as_array().into_iter().flatten().map(|it| it["exitCode"].clone()).collect();
    assert_eq!(exits, [json!(0), json!(0)], "{task:#}");

    let host = run_together(
        &stage,
        json!({ "networkMode": "none", "pidMode": "host", "ipcMode": "none" }),
        &[
            json!({ "name": "app", "essential": true, "command": ["sh", "-c", "echo shm=$(test -d /dev/shm && echo there || echo none); \
            echo own=$(test $$ = 1 && echo yes || echo no)"] }),
        ],
    )?;
    expect(&said(&stage, &host)?, &[("shm", "none"), ("own", "no")]);
    Ok(())
}
