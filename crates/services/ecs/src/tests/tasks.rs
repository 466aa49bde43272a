use super::{By, Service, text, web, with};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

#[tokio::test]
async fn a_task_shows_all_that_aws_fills_in() {
    let (service, _) = Service::with_node().await;
    let containers = json!([
        { "name": "app", "image": "busybox", "cpu": 64, "memory": 64, "memoryReservation": 32, "command": ["true"] },
        { "name": "side", "image": "busybox", "memory": 16, "essential": false },
    ]);
    let tags = json!([{ "key": "team", "value": "a" }]);
    let definition = with(web(), json!({ "containerDefinitions": containers, "networkMode": "none", "tags": tags }));
    service.ok("RegisterTaskDefinition", definition).await;
    let input = json!({
        "taskDefinition": "web:1",
        "startedBy": "me/too",
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": true,
        "tags": [{ "key": "own", "value": "b" }],
        "overrides": { "containerOverrides": [{ "name": "app", "command": ["false"], "environment": [{ "name": "A", "value": "1" }] }] },
    });
    let answer = service.ok("RunTask", input).await;
    assert_json_snapshot!("run", answer);
    assert_eq!(service.task(&text(&answer["tasks"][0]["taskArn"])).await, answer["tasks"][0]);
}

#[tokio::test]
async fn overrides_change_what_a_task_reserves_and_shows() {
    let (service, _) = Service::with_web().await;
    let run = |overrides: Value| service.ok("RunTask", json!({ "taskDefinition": "web", "overrides": overrides }));
    let sizes = json!({ "cpu": "0.5 vCPU", "memory": "0.25 GB", "executionRoleArn": "pull" });
    let task = run(sizes).await["tasks"][0].clone();
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("512"), &json!("256")));
    assert_eq!(task["overrides"]["executionRoleArn"], "arn:aws:iam::000000000000:role/pull");
    service.ok("StopTask", json!({ "task": task["taskArn"] })).await;
    let container = json!({ "name": "app", "cpu": 0, "memory": 20, "memoryReservation": 10 });
    let answer = run(json!({ "containerOverrides": [container.clone()] })).await;
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:PORTS");
    service.node("AKIANODE2", 1024, 512).await;
    let task = run(json!({ "containerOverrides": [{}, container] })).await["tasks"][0].clone();
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("0"), &json!("10")));
    assert_eq!(
        (&task["containers"][0]["memory"], &task["containers"][0]["memoryReservation"]),
        (&json!("20"), &json!("10"))
    );
}

/// The node says that it serves role credentials; there is none to serve.
#[tokio::test]
async fn a_task_role_is_registered_and_not_run() {
    let (service, node) = Service::with_web().await;
    service.ok("RegisterTaskDefinition", with(web(), json!({ "family": "own", "taskRoleArn": "app" }))).await;
    let role = "arn:aws:iam::000000000000:role/app";
    let overrides = json!({ "taskRoleArn": role });
    for (member, input) in [
        ("taskRoleArn", json!({ "taskDefinition": "own" })),
        ("overrides.taskRoleArn", json!({ "taskDefinition": "web", "overrides": overrides })),
    ] {
        for (operation, input) in
            [("RunTask", input.clone()), ("StartTask", with(input, json!({ "containerInstances": [node] })))]
        {
            assert_eq!(
                service.err(operation, input).await,
                format!(
                    "ClientException: Longshore does not support '{member}' yet: no node has credentials of the role \
                     {role} to hand out. Run a task definition and overrides without a task role."
                )
            );
        }
    }
    assert_eq!(service.ok("ListTasks", json!({})).await["taskArns"], json!([]));
}

#[tokio::test]
async fn what_run_task_does_not_do_is_refused() {
    let (service, _) = Service::with_web().await;
    for (family, more) in [("vpc", json!({ "networkMode": "awsvpc" })), ("old", json!({}))] {
        let container = json!([{ "name": "app", "image": "busybox", "memory": 64 }]);
        let definition = with(json!({ "family": family, "containerDefinitions": container }), more);
        service.ok("RegisterTaskDefinition", definition).await;
    }
    service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "old:1" })).await;
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"] } });
    let app = |more: Value| json!({ "overrides": { "containerOverrides": [with(json!({ "name": "app" }), more)] } });
    let mut refusals = Vec::new();
    for input in [
        json!({ "taskDefinition": "none" }),
        json!({ "taskDefinition": "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1" }),
        json!({ "taskDefinition": "old:1" }),
        json!({ "taskDefinition": "old" }),
        json!({ "taskDefinition": "vpc" }),
        json!({ "taskDefinition": "vpc", "networkConfiguration": network }),
        json!({ "networkConfiguration": network }),
        json!({ "count": 0 }),
        json!({ "count": 11 }),
        json!({ "launchType": "FARGATE" }),
        json!({ "launchType": "EXTERNAL" }),
        json!({ "capacityProviderStrategy": [{ "capacityProvider": "a" }] }),
        json!({ "placementConstraints": [{ "type": "distinctInstance" }] }),
        json!({ "placementStrategy": [{ "type": "random" }] }),
        json!({ "enableExecuteCommand": true }),
        json!({ "platformVersion": "LATEST" }),
        json!({ "referenceId": "x".repeat(1025) }),
        json!({ "volumeConfigurations": [{ "name": "v" }] }),
        json!({ "propagateTags": "SERVICE" }),
        json!({ "startedBy": "x".repeat(129) }),
        json!({ "startedBy": "a b" }),
        json!({ "group": "x".repeat(256) }),
        json!({ "group": "service:web" }),
        json!({ "clientToken": "x".repeat(65) }),
        json!({ "clientToken": "a b" }),
        json!({ "tags": [{ "key": "aws:x", "value": "" }] }),
        json!({ "overrides": { "ephemeralStorage": { "sizeInGiB": 30 } } }),
        json!({ "overrides": { "inferenceAcceleratorOverrides": [{ "deviceName": "d" }] } }),
        json!({ "overrides": { "cpu": "much" } }),
        json!({ "overrides": { "containerOverrides": [{ "name": "db" }] } }),
        json!({ "overrides": { "containerOverrides": [{ "command": ["true"] }] } }),
        json!({ "overrides": { "containerOverrides": [{ "name": "app" }, { "name": "app" }] } }),
        app(json!({ "environmentFiles": [{ "value": "v", "type": "s3" }] })),
        app(json!({ "command": ["x".repeat(8192)] })),
        app(json!({ "command": ["a\0b"] })),
        app(json!({ "environment": [{ "name": "A", "value": "secret\0" }] })),
        app(json!({ "memory": 5 })),
        app(json!({ "memoryReservation": 128 })),
        json!({ "overrides": { "taskRoleArn": "arn:aws:iam::000000000000:user/u" } }),
    ] {
        let brief = input.to_string().chars().take(90).collect::<String>();
        let refusal = service.err("RunTask", with(json!({ "taskDefinition": "web" }), input)).await;
        refusals.push(format!("{brief}\n    {refusal}"));
    }
    assert_snapshot!(refusals.join("\n"));
    assert_eq!(service.ok("ListTasks", json!({})).await["taskArns"], json!([]));
}

#[tokio::test]
async fn tasks_that_do_not_fit_are_failures_and_no_instances_an_error() {
    let service = Service::with_cluster().await;
    service.ok("RegisterTaskDefinition", web()).await;
    let run = |count: u32| json!({ "taskDefinition": "web", "count": count });
    assert_eq!(
        service.err("RunTask", run(1)).await,
        "InvalidParameterException: No Container Instances were found in your cluster."
    );
    let (first, second) = (service.node("AKIANODE1", 1024, 512).await, service.node("AKIANODE2", 100, 512).await);
    let answer = service.ok("RunTask", run(2)).await;
    assert_eq!(answer["tasks"].as_array().map(Vec::len), Some(1));
    let mut expected =
        [json!({ "arn": first, "reason": "RESOURCE:PORTS" }), json!({ "arn": second, "reason": "RESOURCE:CPU" })];
    expected.sort_by_key(|failure| failure["arn"].to_string());
    assert_eq!(answer["failures"], json!(expected));
    service.connect(&first, false).await;
    service.connect(&second, false).await;
    let failures = service.ok("RunTask", run(1)).await["failures"].clone();
    assert_eq!((&failures[0]["reason"], &failures[1]["reason"]), (&json!("AGENT"), &json!("AGENT")));
    for node in [first, second] {
        let drain = json!({ "containerInstances": [node], "status": "DRAINING" });
        service.ok("UpdateContainerInstancesState", drain).await;
    }
    assert_eq!(
        service.err("RunTask", run(1)).await,
        "InvalidParameterException: No Container Instances were found in your cluster."
    );
}

#[tokio::test]
async fn a_client_token_answers_the_same_tasks_and_no_other_request() {
    let (service, _) = Service::with_web().await;
    let run = json!({ "taskDefinition": "web", "clientToken": "once" });
    let first = service.ok("RunTask", run.clone()).await;
    assert_eq!(service.ok("RunTask", run.clone()).await, first);
    let other =
        service.by(By::Root, "RunTask", with(run.clone(), json!({ "startedBy": "x" }))).await.expect_err("refused");
    assert_eq!(other.code, "ConflictException");
    assert_eq!(other.fields["resourceIds"], json!([first["tasks"][0]["taskArn"]]));
    let full = service.ok("RunTask", with(run.clone(), json!({ "clientToken": "full" }))).await;
    assert_eq!(full["tasks"], json!([]));
    service.node("AKIANODE2", 1024, 512).await;
    let room = service.ok("RunTask", with(run, json!({ "clientToken": "full" }))).await;
    assert_eq!(room["tasks"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_task_is_described_by_id_and_arn_and_missing_otherwise() {
    let (service, _) = Service::with_web().await;
    let arn = service.run_web().await;
    let id = arn.rsplit('/').next().expect("an id");
    let none = "0".repeat(32);
    let old = format!("arn:aws:ecs:us-east-1:000000000000:task/{id}");
    let answer = service.ok("DescribeTasks", json!({ "tasks": [id, arn, none, old] })).await;
    assert_eq!(answer["tasks"].as_array().map(Vec::len), Some(2));
    let missing = |arn: String| json!({ "arn": arn, "reason": "MISSING" });
    let synthesised = format!("arn:aws:ecs:us-east-1:000000000000:task/default/{none}");
    assert_eq!(answer["failures"], json!([missing(synthesised), missing(old)]));
    service.ok("CreateCluster", json!({ "clusterName": "b" })).await;
    for (input, expected) in [
        (json!({ "tasks": [] }), "Tasks cannot be empty."),
        (json!({ "tasks": ["x"] }), "taskId length should be one of [32,36]"),
        (json!({ "tasks": vec![none; 101] }), "taskIds can have at most 100 items."),
        (
            json!({ "tasks": [arn], "cluster": "b" }),
            "Invalid identifier: Identifier is for cluster default. Your cluster is b",
        ),
        (json!({ "tasks": ["arn:aws:ecs:us-east-1:000000000000:cluster/b"] }), "Task Identifier is invalid"),
        (json!({ "tasks": ["arn:aws:ecs:us-east-1:000000000000:task/a/b/c"] }), "Task Identifier is invalid"),
    ] {
        assert_eq!(service.err("DescribeTasks", input).await, format!("InvalidParameterException: {expected}"));
    }
}

#[tokio::test]
async fn tasks_are_listed_by_each_filter() {
    let (service, node) = Service::with_node().await;
    let other = service.node("AKIANODE2", 1024, 512).await;
    for family in ["web", "api"] {
        service.ok("RegisterTaskDefinition", with(web(), json!({ "family": family }))).await;
    }
    let run = |family: &str, by: &str| service.ok("RunTask", json!({ "taskDefinition": family, "startedBy": by }));
    let web = run("web", "me").await["tasks"][0].clone();
    let api = run("api", "you").await["tasks"][0].clone();
    assert_ne!(web["containerInstanceArn"], api["containerInstanceArn"]);
    service.ok("StopTask", json!({ "task": api["taskArn"] })).await;
    let (web_arn, api_arn) = (web["taskArn"].clone(), api["taskArn"].clone());
    for (filter, expected) in [
        (json!({}), json!([web_arn])),
        (json!({ "desiredStatus": "STOPPED" }), json!([api_arn])),
        (json!({ "desiredStatus": "PENDING" }), json!([])),
        (json!({ "family": "web" }), json!([web_arn])),
        (json!({ "family": "api" }), json!([])),
        (json!({ "startedBy": "me" }), json!([web_arn])),
        (json!({ "startedBy": "you", "desiredStatus": "STOPPED" }), json!([api_arn])),
        (json!({ "launchType": "EC2" }), json!([web_arn])),
        (json!({ "launchType": "FARGATE" }), json!([])),
        (json!({ "containerInstance": web["containerInstanceArn"] }), json!([web_arn])),
        (json!({ "containerInstance": api["containerInstanceArn"] }), json!([])),
        (json!({ "containerInstance": api["containerInstanceArn"], "desiredStatus": "STOPPED" }), json!([api_arn])),
    ] {
        assert_eq!(service.ok("ListTasks", filter.clone()).await, json!({ "taskArns": expected }), "{filter}");
    }
    for (filter, expected) in [
        (json!({ "serviceName": "s" }), "ServiceNotFoundException: Service not found."),
        (
            json!({ "startedBy": "me", "family": "web" }),
            "InvalidParameterException: startedBy must be the only filter. Remove the others and try again.",
        ),
        (
            json!({ "daemonName": "d" }),
            "ClientException: Longshore does not support 'daemonName' yet. Leave it out and try again.",
        ),
        (json!({ "containerInstance": "x" }), "InvalidParameterException: instanceId length should be one of [32,36]"),
    ] {
        assert_eq!(service.err("ListTasks", filter).await, expected);
    }
    assert_ne!(node, other);
}

#[tokio::test]
async fn tasks_are_listed_page_by_page() {
    let (service, node) = Service::with_node().await;
    let container = json!([{ "name": "app", "image": "busybox", "memory": 8 }]);
    service.ok("RegisterTaskDefinition", json!({ "family": "web", "containerDefinitions": container })).await;
    let answer = service.ok("RunTask", json!({ "taskDefinition": "web", "count": 5 })).await;
    let mut expected: Vec<String> = (0..5).map(|at| text(&answer["tasks"][at]["taskArn"])).collect();
    expected.sort();
    for filter in [json!({}), json!({ "containerInstance": node })] {
        let (mut listed, mut token) = (Vec::new(), Value::Null);
        loop {
            let page =
                service.ok("ListTasks", with(filter.clone(), json!({ "maxResults": 2, "nextToken": token }))).await;
            listed.extend(page["taskArns"].as_array().expect("ARNs").iter().map(text));
            match page.get("nextToken") {
                Some(next) => token = next.clone(),
                None => break,
            }
        }
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn a_task_is_stopped_once_with_its_first_reason() {
    let (service, _) = Service::with_web().await;
    let run = json!({ "taskDefinition": "web", "tags": [{ "key": "a", "value": "b" }] });
    let arn = text(&service.ok("RunTask", run).await["tasks"][0]["taskArn"]);
    let stopped = service.ok("StopTask", json!({ "task": arn })).await;
    assert_json_snapshot!("stopped", stopped);
    assert_eq!(service.ok("StopTask", json!({ "task": arn, "reason": "again" })).await, stopped);
    assert_eq!(
        service.err("StopTask", json!({ "task": "0".repeat(32) })).await,
        "InvalidParameterException: The referenced task was not found."
    );
}
