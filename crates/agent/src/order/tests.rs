use super::*;
use crate::task::Desired;
use serde_json::{Value, json};

fn read(task: Value) -> Result<(TaskOrder, Desired), OrderError> {
    let task = serde_json::from_value(task).expect("an acs task");
    Reader { region: "eu-west-1".to_owned() }.read(task)
}

fn task_with(container: Value) -> Value {
    let mut full = json!({ "name": "web", "image": "here/web:1", "essential": true });
    let Value::Object(more) = container else { panic!("a container is an object") };
    full.as_object_mut().expect("an object").extend(more);
    json!({ "arn": "arn:aws:ecs:eu-west-1:1:task/c/0a1b", "taskClusterArn": "arn:aws:ecs:eu-west-1:1:cluster/c", "containers": [full] })
}

/// A task that says something in each place: its own fields, docker's config and docker's host config.
fn full_task() -> Value {
    let config = json!({ "User": "www", "WorkingDir": "/srv", "Labels": { "k": "v" } }).to_string();
    let host_config = json!({
        "NetworkMode": "host", "MemoryReservation": 1048576, "ReadonlyRootfs": true, "CapDrop": ["ALL"],
        "Ulimits": [{ "Name": "nofile", "Soft": 10, "Hard": -1 }], "Dns": ["10.0.0.2"], "ExtraHosts": ["db:10.0.0.3"], "Tmpfs": { "/tmp": "rw,size=64m,noexec" },
        "LogConfig": { "Type": "awslogs", "Config": { "awslogs-group": "g", "awslogs-region": "eu-west-1", "mode": "blocking" } }
    })
    .to_string();
    task_with(json!({
        "command": ["serve"], "environment": { "A": "b" }, "cpu": 256, "memory": 64, "stopTimeout": 5,
        "portMappings": [{ "containerPort": 80, "hostPort": 0, "protocol": "tcp" }, { "containerPort": 53, "hostPort": 5353, "protocol": "udp" }],
        "dockerConfig": { "version": "1.24", "config": config, "hostConfig": host_config }
    }))
}

#[test]
fn a_task_is_read_with_what_is_wanted_of_it() {
    let (order, desired) = read(full_task()).expect("an order");
    assert_eq!((order.id(), order.network), ("0a1b", Network::Host));
    assert_eq!((order.refusal.as_deref(), desired), (None, Desired::Running));
}

#[test]
fn a_task_s_limits_are_its_own_and_not_its_containers() {
    let mut task = task_with(json!({}));
    (task["cpu"], task["memory"]) = (json!(0.25), json!(512));
    let (order, _) = read(task.clone()).expect("an order");
    assert_eq!((order.cpu_units, order.memory_mib), (Some(256), Some(512)));
    assert_eq!((order.containers[0].cpu_shares, order.containers[0].memory_mib), (None, None));
    (task["cpu"], task["memory"]) = (json!(0.0), json!(0));
    let (order, _) = read(task).expect("an order");
    assert_eq!((order.cpu_units, order.memory_mib), (None, None));
}

#[test]
fn a_container_is_read_from_all_three_places() {
    let (order, _) = read(full_task()).expect("an order");
    insta::assert_json_snapshot!(order.containers[0]);
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    fn check(container: Value, expect: &str) {
        let (order, _) = read(task_with(container)).expect("an order");
        let refusal = order.refusal.unwrap_or_default();
        assert!(refusal.contains(expect) && expect.is_empty() == refusal.is_empty(), "{refusal:?} lacks {expect:?}");
        assert_eq!(order.containers[0].name, "web");
    }
    fn host(config: Value) -> Value {
        json!({ "dockerConfig": { "hostConfig": config.to_string() } })
    }
    fn log(driver: &str, option: &str, value: &str) -> Value {
        host(json!({ "LogConfig": { "Type": driver, "Config": { "awslogs-group": "g", option: value } } }))
    }
    check(json!({}), "");
    check(json!({ "links": [], "mountPoints": [] }), "");
    check(json!({ "dependsOn": [{ "containerName": "x", "condition": "START" }] }), "web: dependsOn is not supported");
    check(json!({ "secrets": [{ "name": "x" }] }), "secrets");
    check(json!({ "healthCheckType": "docker" }), "healthCheck");
    check(json!({ "restartPolicy": { "enabled": true } }), "restartPolicy");
    check(json!({ "restartPolicy": { "enabled": false } }), "");
    check(json!({ "registryAuthentication": { "type": "asm" } }), "repositoryCredentials");
    check(json!({ "portMappings": [{ "containerPort": 70000 }] }), "between 0 and 65535");
    check(json!({ "dockerConfig": { "config": "{" } }), "cannot be read");
    check(host(json!({ "Privileged": true })), "privileged");
    check(host(json!({ "NetworkMode": "awsvpc" })), "network mode awsvpc");
    check(host(json!({ "ExtraHosts": ["db"] })), "name:address");
    check(host(json!({ "Tmpfs": { "/tmp": "rw" } })), "needs a size");
    check(log("fluentd", "mode", "blocking"), "log driver fluentd");
    check(log("awslogs", "awslogs-region", "us-east-1"), "not this node's region");
    check(log("awslogs", "awslogs-multiline-pattern", "^x"), "awslogs-multiline-pattern is not supported");
    check(log("awslogs", "max-buffer-size", "many"), "such as 10m");
    check(log("awslogs", "awslogs-group", ""), "needs the option awslogs-group");
}

#[test]
fn sizes_are_read_as_docker_reads_them() {
    fn check(text: &str, expect: Option<u64>) {
        let options = [("awslogs-group", "g"), ("max-buffer-size", text)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let bytes = AwsLogs::read(&options.into(), "eu-west-1").map(|logs| logs.buffer_bytes).ok();
        assert_eq!(bytes, expect, "{text}");
    }
    check("10m", Some(10 << 20));
    check("25MB", Some(25 << 20));
    check("1g", Some(1 << 30));
    check("4096", Some(4096));
    check("5 k", Some(5 << 10));
    check("", None);
    check("0", None);
    check("99999999999999999999g", None);
    check("-1m", None);
}

#[test]
fn a_task_that_cannot_be_named_is_no_order() {
    let mut task = task_with(json!({}));
    task["arn"] = json!("arn:aws:ecs:eu-west-1:1:task/c/..");
    assert!(matches!(read(task), Err(OrderError::Arn(_))));
    assert_eq!(read(json!({})), Err(OrderError::NoArn));
    let nameless = json!({ "arn": "arn:aws:ecs:r:1:task/c/1", "taskClusterArn": "c", "containers": [{}] });
    assert!(matches!(read(nameless), Err(OrderError::NoName(_))));
}

#[test]
fn what_is_wanted_is_read() {
    let mut task = task_with(json!({}));
    task["desiredStatus"] = json!("STOPPED");
    assert_eq!(read(task).expect("an order").1, Desired::Stopped);
}
