use super::{Normal, Place, normalise};
use crate::errors::EcsError;
use insta::{assert_debug_snapshot, assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

fn registered(definition: Value) -> Result<Normal, EcsError> {
    let input = serde_json::from_value(definition).expect("an input");
    let hosts = request::Hosts::new("127.0.0.1:4566".parse().expect("an address"));
    normalise(input, Place { account: "000000000000", region: "us-east-1", hosts: &hosts })
}

fn laid_over(mut under: Value, over: &Value) -> Value {
    for (name, value) in over.as_object().expect("an object") {
        under[name] = value.clone();
    }
    under
}

/// A definition of one container, with members of the task and of the container laid over it.
fn with(task: &Value, container: &Value) -> Value {
    let container = laid_over(json!({ "name": "app", "image": "busybox", "memory": 64 }), container);
    laid_over(json!({ "family": "web", "containerDefinitions": [container] }), task)
}

/// The stored document, read back.
fn document(task: &Value, container: &Value) -> Value {
    let normal = registered(with(task, container)).expect("registered");
    serde_json::from_str(&normal.document).expect("JSON")
}

#[test]
fn defaults_are_filled_in_and_what_was_written_stays() {
    let container = json!({
        "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1",
        "memoryReservation": 32,
        "command": ["sleep", "1"],
        "entryPoint": ["sh", "-c"],
        "environment": [{ "name": "A", "value": "1" }, { "name": "B" }],
        "user": "1000",
        "workingDirectory": "/srv",
        "stopTimeout": 5,
        "portMappings": [{ "containerPort": 80, "name": "http" }, { "containerPort": 53, "hostPort": 5353, "protocol": "udp" }],
        "logConfiguration": { "logDriver": "awslogs", "options": {
            "awslogs-group": "/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
            "awslogs-create-group": "true", "mode": "non-blocking", "max-buffer-size": "4m",
        } },
        "links": [], "privileged": false, "dockerLabels": {}, "linuxParameters": { "tmpfs": [] },
        "versionConsistency": "disabled",
    });
    let task =
        json!({ "taskRoleArn": "app", "executionRoleArn": "pull", "cpu": "1 vCPU", "memory": "1 GB", "volumes": [] });
    let normal = registered(with(&task, &container)).expect("registered");
    let document: Value = serde_json::from_str(&normal.document).expect("JSON");
    assert_json_snapshot!("document", document);
    assert_debug_snapshot!("spec", normal.spec);
}

#[test]
fn host_ports_follow_the_network_mode() {
    for (mode, mapping, expected) in [
        ("bridge", json!({ "containerPort": 80 }), 0),
        ("bridge", json!({ "containerPort": 80, "hostPort": 8080 }), 8080),
        ("host", json!({ "containerPort": 80 }), 80),
        ("host", json!({ "containerPort": 80, "hostPort": 80 }), 80),
        ("awsvpc", json!({ "containerPort": 80 }), 80),
    ] {
        let document = document(&json!({ "networkMode": mode }), &json!({ "portMappings": [mapping] }));
        let filled = json!([{ "containerPort": 80, "hostPort": expected, "protocol": "tcp" }]);
        assert_eq!(document["containerDefinitions"][0]["portMappings"], filled, "{mode}");
    }
}

#[test]
fn compatibilities_and_attributes_follow_what_is_used() {
    let fargate =
        json!({ "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"] });
    let roles = json!({ "networkMode": "host", "taskRoleArn": "app", "executionRoleArn": "pull" });
    let logs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-region": "us-east-1" } });
    let sized = json!({ "networkMode": "awsvpc", "cpu": "256", "memory": "512" });
    let mut shown = Vec::new();
    for (task, container) in [
        (json!({}), json!({})),
        (json!({ "networkMode": "none" }), json!({ "memoryReservation": 32 })),
        (fargate, json!({})),
        (roles.clone(), json!({ "image": "127.0.0.1:4566/web:1", "logConfiguration": logs })),
        (json!({}), json!({ "image": "127.0.0.1:4566/web:1", "logConfiguration": logs })),
        (json!({ "networkMode": "awsvpc" }), json!({ "image": "public.ecr.aws/x/web" })),
        (sized.clone(), log("json-file", json!({ "max-size": "1m", "max-file": "3", "tag": "t" }))),
        (sized, log("splunk", json!({ "splunk-url": "u", "splunk-token": "t", "labels": "a" }))),
        (json!({}), log("none", json!({}))),
        (json!({}), log("awsfirelens", json!({ "Name": "s3" }))),
        (
            json!({ "pidMode": "task", "volumes": [{ "name": "v", "dockerVolumeConfiguration": { "scope": "shared" } }] }),
            laid_over(
                linux(json!({ "initProcessEnabled": true, "maxSwap": 1 })),
                &json!({ "privileged": true, "dockerSecurityOptions": ["apparmor:a", "label:b"], "portMappings": [{ "containerPortRange": "1-2" }] }),
            ),
        ),
    ] {
        let document = document(&task, &container);
        let names = |list: &Value, of: fn(&Value) -> &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(|item| of(item).as_str().map(str::to_owned)).collect()
        };
        let compatibilities = names(&document["compatibilities"], |item| item).join(" ");
        let attributes = names(&document["requiresAttributes"], |item| &item["name"]).join("\n    ");
        shown.push(format!("{task} {container}\n  {compatibilities}\n    {attributes}"));
    }
    assert_snapshot!(shown.join("\n"));
}

/// Members of the task and of the container, and the text that refuses them.
fn refusals(cases: Vec<(Value, Value)>) -> String {
    let refusal = |(task, container): (Value, Value)| {
        let brief: String = format!("{task} {container}").chars().take(100).collect();
        let refusal = registered(with(&task, &container)).expect_err("refused");
        format!("{brief}\n    {refusal}")
    };
    cases.into_iter().map(refusal).collect::<Vec<_>>().join("\n")
}

fn log(driver: &str, options: Value) -> Value {
    json!({ "logConfiguration": { "logDriver": driver, "options": options } })
}

fn awslogs(options: Value) -> Value {
    log("awslogs", options)
}

/// The driver's options with those that it needs.
fn awslogs_with(more: Value) -> Value {
    awslogs(laid_over(json!({ "awslogs-group": "g", "awslogs-region": "us-east-1" }), &more))
}

#[test]
fn tasks_and_containers_that_cannot_be_are_refused() {
    let pair = |first: Value, second: Value| json!({ "containerDefinitions": [first, second] });
    let app = json!({ "name": "a", "image": "i", "memory": 64 });
    let none = json!({});
    assert_snapshot!(refusals(vec![
        (json!({ "family": "" }), none.clone()),
        (json!({ "family": "a b" }), none.clone()),
        (json!({ "family": "x".repeat(256) }), none.clone()),
        (json!({ "containerDefinitions": [] }), none.clone()),
        (json!({ "containerDefinitions": vec![app.clone(); 11] }), none.clone()),
        (pair(app.clone(), app.clone()), none.clone()),
        (none.clone(), json!({ "essential": false })),
        (none.clone(), json!({ "name": null })),
        (none.clone(), json!({ "name": "a b" })),
        (none.clone(), json!({ "name": "x".repeat(256) })),
        (none.clone(), json!({ "image": "" })),
        (none.clone(), json!({ "image": "a b" })),
        (none.clone(), json!({ "image": "x".repeat(256) })),
        (none.clone(), json!({ "memory": null })),
        (none.clone(), json!({ "memory": 5 })),
        (none.clone(), json!({ "memoryReservation": 64 })),
        (none.clone(), json!({ "cpu": -1 })),
        (none.clone(), json!({ "stopTimeout": -1 })),
        (none.clone(), json!({ "environment": [{ "value": "1" }] })),
        (json!({ "cpu": "127" }), none.clone()),
        (json!({ "memory": "much" }), none.clone()),
        (json!({ "cpu": "256" }), json!({ "cpu": 257 })),
        (json!({ "memory": "32" }), none.clone()),
        (json!({ "taskRoleArn": "arn:aws:s3:::role" }), none.clone()),
        (json!({ "executionRoleArn": "not a role" }), none.clone()),
        (none.clone(), json!({ "command": ["a", "a\0b"] })),
        (none.clone(), json!({ "entryPoint": ["\0"] })),
        (none.clone(), json!({ "environment": [{ "name": "A", "value": "secret\0" }] })),
        (none.clone(), json!({ "workingDirectory": "/tmp\0/x" })),
        (none.clone(), json!({ "healthCheck": { "command": ["CMD-SHELL", "true\0"] } })),
        (none.clone(), json!({ "dockerLabels": { "a\0": "b" } })),
    ]));
}

#[test]
fn ports_and_logs_that_cannot_be_are_refused() {
    let port = |mapping: Value| json!({ "portMappings": [mapping] });
    let web = port(json!({ "containerPort": 80, "name": "web" }));
    let named = |name: &str| laid_over(json!({ "name": name, "image": "i", "memory": 8 }), &web);
    let none = json!({});
    assert_snapshot!(refusals(vec![
        (none.clone(), port(json!({ "hostPort": 80 }))),
        (none.clone(), port(json!({ "containerPort": 0 }))),
        (none.clone(), port(json!({ "containerPort": 65536 }))),
        (none.clone(), port(json!({ "containerPort": 80, "hostPort": -1 }))),
        (none.clone(), port(json!({ "containerPort": 80, "name": "-a" }))),
        (none.clone(), port(json!({ "containerPort": 80, "appProtocol": "http" }))),
        (
            none.clone(),
            json!({ "portMappings": [{ "containerPort": 80, "name": "a" }, { "containerPort": 81, "name": "a" }] }),
        ),
        (json!({ "containerDefinitions": [named("b"), named("c")] }), none.clone()),
        (none.clone(), port(json!({ "containerPortRange": "80" }))),
        (none.clone(), port(json!({ "containerPortRange": "90-80" }))),
        (none.clone(), port(json!({ "containerPortRange": "80-65536" }))),
        (none.clone(), port(json!({ "containerPortRange": "80-90", "containerPort": 80 }))),
        (json!({ "networkMode": "host" }), port(json!({ "containerPortRange": "80-90" }))),
        (none.clone(), json!({ "portMappings": [{ "containerPort": 85 }, { "containerPortRange": "80-90" }] })),
        (
            none.clone(),
            json!({ "portMappings": [{ "containerPortRange": "80-90" }, { "containerPort": 81 }, { "containerPortRange": "89-95" }] }),
        ),
        (
            none.clone(),
            json!({ "portMappings": [{ "containerPort": 80 }, { "containerPort": 80, "protocol": "udp" }] }),
        ),
        (
            none.clone(),
            json!({ "portMappings": [{ "containerPort": 80, "hostPort": 1 }, { "containerPort": 81, "hostPort": 1 }] }),
        ),
        (json!({ "networkMode": "none" }), port(json!({ "containerPort": 80 }))),
        (json!({ "networkMode": "host" }), port(json!({ "containerPort": 80, "hostPort": 81 }))),
        (json!({ "networkMode": "awsvpc" }), port(json!({ "containerPort": 80, "hostPort": 81 }))),
        (none.clone(), log("json-file", json!({ "awslogs-group": "g", "max-size": "1m" }))),
        (none.clone(), log("none", json!({ "max-size": "1m" }))),
        (none.clone(), log("splunk", json!({ "splunk-url": "https://splunk" }))),
        (none.clone(), log("fluentd", json!({ "mode": "non-blocking", "tag": "t", "splunk-url": "u" }))),
        (none.clone(), awslogs(json!({ "awslogs-group": "g" }))),
        (none.clone(), awslogs(none.clone())),
        (none.clone(), awslogs_with(json!({ "log_key": "a", "awslogs-endpoint": "http://other" }))),
        (none.clone(), awslogs_with(json!({ "mode": "blocking", "max-buffer-size": "1m" }))),
        (none.clone(), awslogs_with(json!({ "awslogs-region": "eu-west-1" }))),
        (none.clone(), awslogs_with(json!({ "awslogs-datetime-format": "%Y", "awslogs-multiline-pattern": "^a" }))),
        (none.clone(), awslogs_with(json!({ "mode": "fast" }))),
        (none.clone(), awslogs_with(json!({ "awslogs-create-group": "yes" }))),
        (none.clone(), awslogs_with(json!({ "max-buffer-size": "m" }))),
        (
            none.clone(),
            json!({ "logConfiguration": { "logDriver": "awslogs", "secretOptions": [{ "name": "a", "valueFrom": "b" }] } }),
        ),
    ]));
}

#[test]
fn launch_types_that_do_not_fit_and_what_is_not_supported_are_refused() {
    let fargate =
        |more: Value| laid_over(json!({ "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"] }), &more);
    let none = json!({});
    let sized = json!({ "cpu": "256", "memory": "512" });
    assert_snapshot!(refusals(vec![
        (fargate(json!({ "networkMode": "bridge" })), none.clone()),
        (fargate(none.clone()), none.clone()),
        (fargate(json!({ "cpu": "256" })), none.clone()),
        (fargate(json!({ "cpu": "256", "memory": "1536" })), none.clone()),
        (fargate(sized.clone()), json!({ "stopTimeout": 121 })),
        (fargate(sized.clone()), json!({ "stopTimeout": 1 })),
        (fargate(sized.clone()), json!({ "startTimeout": 121 })),
        (fargate(sized.clone()), json!({ "startTimeout": 1 })),
        (fargate(sized), awslogs_with(none.clone())),
        (json!({ "networkMode": "awsvpc", "requiresCompatibilities": ["EXTERNAL"] }), none.clone()),
        (json!({ "requiresCompatibilities": ["MANAGED_INSTANCES"] }), none.clone()),
        (none.clone(), json!({ "environmentFiles": [{ "value": "arn:aws:s3:::b/a.env", "type": "s3" }] })),
        (none.clone(), json!({ "secrets": [{ "name": "A", "valueFrom": "a" }] })),
        (none.clone(), json!({ "repositoryCredentials": { "credentialsParameter": "a" } })),
        (none.clone(), json!({ "resourceRequirements": [{ "type": "GPU", "value": "1" }] })),
        (none.clone(), json!({ "firelensConfiguration": { "type": "fluentbit" } })),
        (none.clone(), json!({ "credentialSpecs": ["credentialspec:a"] })),
        (json!({ "volumes": [{ "name": "v", "configuredAtLaunch": true }] }), none.clone()),
        (
            fargate(
                json!({ "cpu": "256", "memory": "512", "volumes": [{ "name": "v", "host": { "sourcePath": "/srv" } }] })
            ),
            none.clone()
        ),
        (
            fargate(
                json!({ "cpu": "256", "memory": "512", "volumes": [{ "name": "v", "dockerVolumeConfiguration": {} }] })
            ),
            none.clone()
        ),
        (json!({ "placementConstraints": [{ "type": "memberOf", "expression": "e" }] }), none.clone()),
        (json!({ "runtimePlatform": { "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" } }), none.clone()),
        (none.clone(), json!({ "command": ["x".repeat(64 * 1024)] })),
    ]));
}

fn linux(parameters: Value) -> Value {
    json!({ "linuxParameters": parameters })
}

#[test]
fn what_no_machine_can_give_is_refused() {
    let none = json!({});
    let (host, awsvpc) = (json!({ "networkMode": "host" }), json!({ "networkMode": "awsvpc" }));
    let limit = |name: &str, soft: i32, hard: i32| json!({ "name": name, "softLimit": soft, "hardLimit": hard });
    let control = |namespace: &str| json!({ "systemControls": [{ "namespace": namespace, "value": "1" }] });
    let tmpfs =
        |options: Value| linux(json!({ "tmpfs": [{ "containerPath": "/t", "size": 1, "mountOptions": options }] }));
    let security = |option: &str| json!({ "dockerSecurityOptions": [option] });
    assert_snapshot!(refusals(vec![
        (none.clone(), json!({ "ulimits": [limit("core", 2, 1)] })),
        (none.clone(), json!({ "ulimits": [limit("core", -1, 1)] })),
        (none.clone(), json!({ "ulimits": [limit("core", -2, 1)] })),
        (none.clone(), json!({ "ulimits": [limit("core", 1, 1), limit("core", 1, 1)] })),
        (none.clone(), linux(json!({ "capabilities": { "add": ["CAP_CHOWN"] } }))),
        (none.clone(), linux(json!({ "capabilities": { "drop": ["MAGIC"] } }))),
        (none.clone(), linux(json!({ "devices": [{ "hostPath": "dev/null" }] }))),
        (none.clone(), linux(json!({ "devices": [{ "hostPath": "/dev/null", "containerPath": "/a/../b" }] }))),
        (none.clone(), linux(json!({ "sharedMemorySize": 0 }))),
        (none.clone(), linux(json!({ "maxSwap": -1 }))),
        (none.clone(), linux(json!({ "swappiness": 101 }))),
        (json!({ "memory": "64" }), laid_over(linux(json!({ "maxSwap": 1 })), &json!({ "memory": null }))),
        (none.clone(), linux(json!({ "tmpfs": [{ "containerPath": "/t", "size": 0 }] }))),
        (none.clone(), linux(json!({ "tmpfs": [{ "containerPath": "t", "size": 1 }] }))),
        (none.clone(), tmpfs(json!(["fast"]))),
        (none.clone(), tmpfs(json!(["mode"]))),
        (none.clone(), tmpfs(json!(["uid=1,bind"]))),
        (none.clone(), tmpfs(json!(["bind"]))),
        (none.clone(), control("kernel.hostname")),
        (host.clone(), control("net.core.somaxconn")),
        (json!({ "ipcMode": "host" }), control("fs.mqueue.msg_max")),
        (none.clone(), control("net../kernel/panic")),
        (none.clone(), json!({ "systemControls": [{ "namespace": "net.core.somaxconn" }] })),
        (none.clone(), security("magic")),
        (none.clone(), security("apparmor")),
        (none.clone(), security("seccomp:{}")),
        (none.clone(), security("credentialspec:file")),
        (none.clone(), json!({ "dnsServers": ["dns"] })),
        (none.clone(), json!({ "dnsSearchDomains": ["a b"] })),
        (none.clone(), json!({ "extraHosts": [{ "hostname": "a b", "ipAddress": "10.0.0.1" }] })),
        (none.clone(), json!({ "extraHosts": [{ "hostname": "a", "ipAddress": "10.0.0" }] })),
        (none.clone(), json!({ "hostname": "a b" })),
        (none.clone(), json!({ "dockerLabels": { "": "a" } })),
        (awsvpc.clone(), json!({ "hostname": "a" })),
        (awsvpc.clone(), json!({ "disableNetworking": true })),
        (awsvpc, json!({ "extraHosts": [{ "hostname": "a", "ipAddress": "10.0.0.1" }] })),
        (host, json!({ "links": ["app"] })),
        (none.clone(), json!({ "links": ["db"] })),
        (none.clone(), json!({ "links": ["app:"] })),
        (none, json!({ "links": ["app:a"] })),
    ]));
}

#[test]
fn what_fargate_machines_do_not_give_is_refused_there() {
    let fargate =
        json!({ "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512" });
    let none = json!({});
    assert_snapshot!(refusals(vec![
        (laid_over(fargate.clone(), &json!({ "ipcMode": "task" })), none.clone()),
        (laid_over(fargate.clone(), &json!({ "pidMode": "host" })), none),
        (fargate.clone(), json!({ "privileged": true })),
        (fargate.clone(), linux(json!({ "sharedMemorySize": 1 }))),
        (fargate, linux(json!({ "capabilities": { "add": ["SYS_PTRACE", "CHOWN"] } }))),
    ]));
}

#[test]
fn order_health_and_restarts_are_checked_and_filled_in() {
    let container = json!({
        "healthCheck": { "command": ["CMD-SHELL", "exit 0"] },
        "restartPolicy": { "enabled": true, "ignoredExitCodes": [0] },
        "startTimeout": 20,
    });
    let document = document(&json!({}), &container);
    let app = &document["containerDefinitions"][0];
    assert_eq!(
        app["healthCheck"],
        json!({ "command": ["CMD-SHELL", "exit 0"], "interval": 30, "timeout": 5, "retries": 3 })
    );
    assert_eq!(app["restartPolicy"], json!({ "enabled": true, "ignoredExitCodes": [0], "restartAttemptPeriod": 300 }));
    let needs: Vec<_> = document["requiresAttributes"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = needs.iter().filter_map(|need| need["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "com.amazonaws.ecs.capability.docker-remote-api.1.24",
            "ecs.capability.container-health-check",
            "ecs.capability.container-restart-policy",
        ]
    );
}

#[test]
fn health_checks_and_restarts_that_cannot_be_are_refused() {
    let check = |check: Value| (json!({}), json!({ "healthCheck": check }));
    let checked = |member: &str, value: i32| check(json!({ "command": ["CMD", "x"], member: value }));
    let policy = |policy: Value| (json!({}), json!({ "restartPolicy": policy }));
    assert_snapshot!(refusals(vec![
        check(json!({ "command": ["/bin/check"] })),
        check(json!({ "command": [] })),
        check(json!({ "command": ["CMD"] })),
        checked("interval", 4),
        checked("timeout", 61),
        checked("retries", 11),
        checked("startPeriod", 301),
        policy(json!({ "enabled": true, "restartAttemptPeriod": 59 })),
        policy(json!({ "enabled": false, "ignoredExitCodes": vec![1; 51] })),
        (json!({}), json!({ "startTimeout": -1 })),
    ]));
}

#[test]
fn dependencies_that_cannot_be_met_are_refused() {
    fn check(needs: [&[(&str, &str)]; 3], expect: &str) {
        let named = ["a", "b", "c"].iter().zip(needs).map(|(name, needs)| {
            let needs: Vec<_> =
                needs.iter().map(|(on, condition)| json!({ "containerName": on, "condition": condition })).collect();
            let health = if *name == "b" { json!({ "command": ["CMD", "x"] }) } else { Value::Null };
            json!({
                "name": name, "image": "i", "memory": 64, "essential": *name != "c",
                "dependsOn": needs, "healthCheck": health,
            })
        });
        let definition = json!({ "family": "f", "containerDefinitions": named.collect::<Vec<_>>() });
        let refusal = registered(definition).err().map(|error| error.to_string());
        assert_eq!(refusal.unwrap_or_default(), expect, "{needs:?}");
    }
    check([&[("b", "HEALTHY"), ("c", "SUCCESS")], &[("c", "COMPLETE")], &[]], "");
    check([&[("x", "START")], &[], &[]], "Cannot depend on container + 'x' because it does not exist");
    let essential = "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container";
    check([&[("b", "SUCCESS")], &[], &[]], essential);
    check([&[("b", "COMPLETE")], &[], &[]], essential);
    let cycle = "Container dependencies should not have a cycle";
    check([&[("a", "START")], &[], &[]], cycle);
    check([&[("b", "START")], &[("c", "START")], &[("a", "START")]], cycle);
    check(
        [&[("c", "HEALTHY")], &[], &[]],
        "Container 'a' cannot depend on container 'c' with condition HEALTHY: it has no health check. Give it a healthCheck, or use another condition.",
    );
}
