use super::*;
use crate::task::Desired;
use serde_json::{Value, json};

fn read(task: Value) -> Result<(TaskOrder, Desired), OrderError> {
    let task = serde_json::from_value(task).expect("an acs task");
    Reader { region: "eu-west-1".to_owned(), host: "10.0.0.1:4566".to_owned() }.read(task)
}

fn task_with(container: Value) -> Value {
    let mut full = json!({ "name": "web", "image": "here/web:1", "essential": true });
    let Value::Object(more) = container else { panic!("a container is an object") };
    full.as_object_mut().expect("an object").extend(more);
    json!({ "arn": "arn:aws:ecs:eu-west-1:1:task/c/0a1b", "taskClusterArn": "arn:aws:ecs:eu-west-1:1:cluster/c", "containers": [full] })
}

/// A task that says something in each place: its own fields, docker's config and docker's host config.
fn full_task() -> Value {
    let config = json!({ "User": "www", "WorkingDir": "/srv", "Labels": { "k": "v" }, "Tty": true, "OpenStdin": true })
        .to_string();
    let host_config = json!({
        "NetworkMode": "host", "MemoryReservation": 1048576, "ReadonlyRootfs": true, "CapDrop": ["ALL"],
        "Ulimits": [{ "Name": "nofile", "Soft": 10, "Hard": -1 }], "Dns": ["10.0.0.2"], "ExtraHosts": ["db:10.0.0.3"], "Tmpfs": { "/tmp": "rw,size=64m,noexec" },
        "Privileged": true, "SecurityOpt": ["no-new-privileges"], "MemorySwap": 134217728, "MemorySwappiness": 0,
        "LogConfig": { "Type": "awslogs", "Config": { "awslogs-group": "g", "awslogs-region": "eu-west-1", "mode": "blocking" } }
    })
    .to_string();
    task_with(json!({
        "command": ["serve"], "environment": { "A": "b" }, "cpu": 256, "memory": 64, "stopTimeout": 5,
        "portMappings": [{ "containerPort": 80, "hostPort": 0, "protocol": "tcp" }, { "containerPort": 53, "hostPort": 5353, "protocol": "udp" }, { "containerPortRange": "90-99" }],
        "linuxParameters": { "initProcessEnabled": true, "devices": [{ "hostPath": "/dev/fuse", "permissions": ["read"] }] },
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
        assert!(expect.is_empty() || refusal.starts_with(|c: char| c.is_ascii_uppercase()), "{refusal} has no name");
        assert_eq!(order.containers[0].refusal.clone().unwrap_or_default(), refusal);
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
    check(json!({ "dependsOn": [{ "containerName": "x", "condition": "SOON" }] }), "web: the condition SOON");
    check(json!({ "secrets": [{ "name": "x" }] }), "secrets");
    check(json!({ "healthCheckType": "docker" }), "health check is not in its Docker config");
    check(json!({ "restartPolicy": { "enabled": true } }), "");
    check(json!({ "restartPolicy": { "enabled": false } }), "");
    check(json!({ "registryAuthentication": { "type": "asm" } }), "repositoryCredentials");
    check(json!({ "portMappings": [{ "containerPort": 70000 }] }), "HostConfigError: container web: a port of");
    check(json!({ "dockerConfig": { "config": "{" } }), "DockerClientConfigError: container web: Unable to decode");
    check(json!({ "dockerConfig": { "hostConfig": "{" } }), "HostConfigError: container web: Unable to decode");
    check(json!({ "environmentFiles": [{ "type": "s3" }] }), "environmentFiles");
    check(host(json!({ "SecurityOpt": ["label:type:web_t"] })), "dockerSecurityOptions label:type:web_t");
    check(json!({ "portMappings": [{ "containerPortRange": "90-80" }] }), "90-80 of its portMappings");
    check(host(json!({ "NetworkMode": "awsvpc" })), "network mode awsvpc");
    check(host(json!({ "ExtraHosts": ["db"] })), "name:address");
    check(host(json!({ "Tmpfs": { "/tmp": "rw" } })), "needs a size");
    check(log("fluentd", "mode", "blocking"), "log driver fluentd is not supported");
    check(host(json!({ "LogConfig": { "Type": "none", "Config": {} } })), "");
    check(log("json-file", "max-size", "1m"), "unknown log opt 'awslogs-group' for json-file log driver");
    for (name, value, expect) in [
        ("max-size", "1m", ""),
        ("max-size", "much", "must be a size"),
        ("max-file", "0", "max-file cannot be less than 1"),
        ("compress", "true", "compress cannot be true when"),
        ("labels-regex", "(", "no regular expression"),
        ("tag", "{{.Hostname}}", "may have {{.ID}}"),
        ("mode", "fast", "logging mode not supported: fast"),
    ] {
        check(host(json!({ "LogConfig": { "Type": "json-file", "Config": { name: value } } })), expect);
    }
    check(log("awslogs", "awslogs-region", "us-east-1"), "not this node's region");
    check(log("awslogs", "awslogs-multiline-pattern", "("), "could not parse multiline pattern");
    check(log("awslogs", "awslogs-endpoint", "http://x"), "awslogs-endpoint is not supported");
    check(log("awslogs", "awslogs-kind", "x"), "unknown log opt 'awslogs-kind' for awslogs log driver");
    check(log("awslogs", "max-buffer-size", "many"), "such as 10m");
    check(log("awslogs", "awslogs-group", ""), "must specify a value for log opt 'awslogs-group'");
}

#[test]
fn an_order_of_start_that_does_not_exist_is_refused_as_the_tasks() {
    let needs = json!([{ "containerName": "gone", "condition": "START" }]);
    let (order, _) = read(task_with(json!({ "dependsOn": needs }))).expect("an order");
    let refusal = order.refusal.unwrap_or_default();
    assert!(
        refusal.starts_with("TaskDependencyError: Task dependencies cannot be resolved, taskArn: arn:"),
        "{refusal}"
    );
}

#[test]
fn a_refusal_is_told_of_the_container_at_fault() {
    let mut task = task_with(json!({}));
    let asked = json!({ "name": "side", "secrets": [{ "name": "x" }] });
    task["containers"].as_array_mut().expect("containers").push(asked);
    let (order, _) = read(task.clone()).expect("an order");
    let text = "CannotCreateContainerError: container side: secrets is not supported by this agent; remove it from the task definition";
    assert_eq!(order.refusal.as_deref(), Some(text));
    let told: Vec<_> = order.containers.iter().map(|container| container.refusal.as_deref()).collect();
    assert_eq!(told, [None, Some(text)]);
    task["volumes"] = json!([{ "name": "v", "type": "efs" }]);
    let (order, _) = read(task).expect("an order");
    let of_all = order.containers.iter().all(|container| container.refusal == order.refusal);
    assert!(
        of_all
            && order.refusal.is_some_and(|text| text.starts_with("ResourceInitializationError: volume v's type efs"))
    );
}

#[test]
fn a_container_has_volumes_of_the_task_and_of_other_containers() {
    let mut task = task_with(json!({
        "mountPoints": [{ "sourceVolume": "v", "containerPath": "/data", "readOnly": true }],
        "volumesFrom": [{ "sourceContainer": "side" }],
    }));
    task["containers"].as_array_mut().expect("containers").push(json!({ "name": "side" }));
    let unknown = read(task.clone()).expect("an order").0.refusal.unwrap_or_default();
    assert_eq!(unknown, "HostConfigError: Invalid volume referenced: v");
    task["volumes"] = json!([{ "name": "v", "type": "host", "host": { "sourcePath": "/srv" } }]);
    let (order, _) = read(task).expect("an order");
    let point = super::MountPoint { volume: "v".to_owned(), path: "/data".to_owned(), read_only: true };
    let from = super::VolumesFrom { container: "side".to_owned(), read_only: false };
    assert_eq!((&order.containers[0].mount_points, &order.containers[0].volumes_from), (&vec![point], &vec![from]));
    assert_eq!(order.volumes[0].source, super::Source::Host("/srv".to_owned()));
}

#[test]
fn an_image_is_the_control_plane_s_own_when_that_says_so() {
    let at = |endpoint: &str| {
        let data = json!({ "registryId": "1", "region": "eu-west-1", "endpointOverride": endpoint });
        let task = task_with(json!({ "registryAuthentication": { "type": "ecr", "ecrAuthData": data } }));
        let (order, _) = read(task).expect("an order");
        (order.containers[0].own_registry, order.refusal.unwrap_or_default())
    };
    assert_eq!(at("http://10.0.0.1:4566"), (true, String::new()));
    assert_eq!(at(""), (false, String::new()));
    let (own, refusal) = at("https://api.ecr.eu-west-1.amazonaws.com");
    assert!(!own && refusal.contains("is not the node's control plane"), "{refusal}");
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
