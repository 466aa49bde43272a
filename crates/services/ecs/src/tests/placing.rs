//! Where tasks may go: by attributes, by expressions, and by StartTask's word.

use super::{By, Service, registration, text, web, with};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// Registers and connects a node that says `attributes` of itself.
async fn node(service: &Service, key: &str, attributes: Value) -> String {
    service.key(key).await;
    let input = with(registration(1024, 512), json!({ "attributes": attributes }));
    let answer = service.by(By::Node(key), "RegisterContainerInstance", input).await.expect("registered");
    let arn = text(&answer["containerInstance"]["containerInstanceArn"]);
    service.connect(&arn, true).await;
    arn
}

/// A definition of family `f` that maps no ports and needs nothing but what is given.
fn plain(more: Value) -> Value {
    with(json!({ "family": "f", "containerDefinitions": [{ "name": "app", "image": "busybox", "memory": 8 }] }), more)
}

#[tokio::test]
async fn a_definition_runs_only_where_its_attributes_are() {
    let service = Service::with_cluster().await;
    let bare = node(&service, "AKIANODE1", json!([])).await;
    service.ok("RegisterTaskDefinition", web()).await;
    let refused = service.ok("RunTask", json!({ "taskDefinition": "web" })).await;
    assert_eq!(
        refused["failures"],
        json!([{ "arn": bare, "reason": "ATTRIBUTE", "detail": "It has not: com.amazonaws.ecs.capability.ecr-auth" }])
    );
    let able = node(&service, "AKIANODE2", json!([{ "name": "com.amazonaws.ecs.capability.ecr-auth" }])).await;
    let placed = service.ok("RunTask", json!({ "taskDefinition": "web" })).await;
    assert_eq!(placed["tasks"][0]["containerInstanceArn"], able);
}

#[tokio::test]
async fn a_definition_runs_only_on_its_platform() {
    let (service, node) = Service::with_node().await;
    for (architecture, fits) in [("ARM64", false), ("X86_64", true)] {
        let platform = json!({ "cpuArchitecture": architecture, "operatingSystemFamily": "LINUX" });
        let registered = service.ok("RegisterTaskDefinition", plain(json!({ "runtimePlatform": platform }))).await;
        assert_eq!(registered["taskDefinition"]["runtimePlatform"], platform);
        let answer = service.ok("RunTask", json!({ "taskDefinition": "f" })).await;
        let detail = "It has not: ecs.cpu-architecture arm64 (it is x86_64)";
        let refused = json!({ "arn": node, "reason": "ATTRIBUTE", "detail": detail });
        let failures = if fits { json!([]) } else { json!([refused]) };
        assert_eq!(answer["failures"], failures);
    }
    let windows = json!({ "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" });
    assert_eq!(
        service.err("RegisterTaskDefinition", plain(json!({ "runtimePlatform": windows }))).await,
        "ClientException: No container instance here runs WINDOWS_SERVER_2022_CORE. Use operatingSystemFamily LINUX, or leave it out."
    );
}

#[tokio::test]
async fn expressions_of_definitions_and_calls_say_where_tasks_may_go() {
    let (service, first) = Service::with_node().await;
    let second = service.node("AKIANODE2", 1024, 512).await;
    let put =
        |node: &str, stack: &str| json!({ "attributes": [{ "name": "stack", "value": stack, "targetId": node }] });
    service.ok("PutAttributes", put(&first, "prod")).await;
    service.ok("PutAttributes", put(&second, "test")).await;
    let member_of = |expression: &str| json!([{ "type": "memberOf", "expression": expression }]);
    let of_stacks = member_of("attribute:stack in [prod, test]");
    let registered = service.ok("RegisterTaskDefinition", plain(json!({ "placementConstraints": of_stacks }))).await;
    assert_eq!(registered["taskDefinition"]["placementConstraints"], of_stacks);
    let run = |count: u32, expression: &str| json!({ "taskDefinition": "f", "count": count, "placementConstraints": member_of(expression) });
    let answer = service.ok("RunTask", run(2, "attribute:stack == test")).await;
    let places: Vec<&Value> = (0..2).map(|at| &answer["tasks"][at]["containerInstanceArn"]).collect();
    assert_eq!(places, [&json!(second), &json!(second)]);
    let alone = service.ok("RunTask", run(2, "not(task:group == family:f)")).await;
    assert_eq!(alone["tasks"][0]["containerInstanceArn"], first);
    let unsatisfied = "MemberOf placement constraint unsatisfied.";
    assert_eq!(
        (&alone["failures"][0]["reason"], &alone["failures"][1]["reason"]),
        (&json!(unsatisfied), &json!(unsatisfied))
    );
    let list = |filter: &str| service.ok("ListContainerInstances", json!({ "filter": filter }));
    assert_eq!(list("attribute:stack == prod").await["containerInstanceArns"], json!([first]));
    let idle = list("task:group == family:f and attribute:stack != prod").await;
    assert_eq!(idle["containerInstanceArns"], json!([second]));
}

#[tokio::test]
async fn constraints_that_say_nothing_are_refused() {
    let (service, _) = Service::with_web().await;
    let many = vec![json!({ "type": "memberOf", "expression": "agentConnected == true" }); 11];
    let mut refusals = Vec::new();
    for constraints in
        [json!(many), json!([{ "type": "memberOf" }]), json!([{ "type": "memberOf", "expression": "memory > 1" }])]
    {
        let more = json!({ "placementConstraints": constraints });
        refusals.push(service.err("RegisterTaskDefinition", plain(more.clone())).await);
        refusals.push(service.err("RunTask", with(json!({ "taskDefinition": "web" }), more)).await);
    }
    let distinct = json!({ "taskDefinition": "web", "placementConstraints": [{ "type": "distinctInstance" }] });
    refusals.push(service.err("RunTask", distinct).await);
    refusals.push(service.err("ListContainerInstances", json!({ "filter": "stack == a" })).await);
    assert_snapshot!(refusals.join("\n"));
}

#[tokio::test]
async fn a_task_is_started_on_each_instance_named() {
    let (service, first) = Service::with_web().await;
    let second = service.node("AKIANODE2", 1024, 512).await;
    let (small, gone) = (service.node("AKIANODE3", 1, 512).await, service.node("AKIANODE4", 1024, 512).await);
    service.ok("DeregisterContainerInstance", json!({ "containerInstance": gone })).await;
    let none = format!("arn:aws:ecs:us-east-1:000000000000:container-instance/default/{}", "0".repeat(32));
    let start = json!({
        "taskDefinition": "web",
        "containerInstances": [first, second, small, gone, none],
        "startedBy": "me",
        "group": "batch",
        "enableECSManagedTags": true,
        "tags": [{ "key": "a", "value": "b" }],
    });
    let answer = service.ok("StartTask", start.clone()).await;
    let task = |at: usize, member: &str| answer["tasks"][at][member].clone();
    assert_eq!((task(0, "containerInstanceArn"), task(1, "containerInstanceArn")), (json!(first), json!(second)));
    assert_eq!((task(0, "startedBy"), task(0, "group")), (json!("me"), json!("batch")));
    assert_eq!(task(1, "tags").as_array().map(Vec::len), Some(2));
    let failure = |arn: &str, reason: &str| json!({ "arn": arn, "reason": reason });
    let expected = json!([failure(&small, "RESOURCE:CPU"), failure(&gone, "INACTIVE"), failure(&none, "MISSING")]);
    assert_eq!(answer["failures"], expected);
    let again = service.ok("StartTask", with(start, json!({ "containerInstances": [first] }))).await;
    assert_eq!(again["failures"], json!([failure(&first, "RESOURCE:PORTS")]));
    let start = |more: Value| with(json!({ "taskDefinition": "web", "containerInstances": [first] }), more);
    for (input, expected) in [
        (start(json!({ "containerInstances": [] })), "InvalidParameterException: Container Instances cannot be empty."),
        (
            start(json!({ "containerInstances": vec![&none; 11] })),
            "InvalidParameterException: instanceIds can have at most 10 items.",
        ),
        (start(json!({ "startedBy": "x".repeat(37) })), "InvalidParameterException: startedBy longer than 36."),
        (start(json!({ "taskDefinition": "none" })), "ClientException: TaskDefinition not found."),
        (
            start(json!({ "enableExecuteCommand": true })),
            "ClientException: Longshore does not support 'enableExecuteCommand' yet. Leave it out and try again.",
        ),
    ] {
        assert_eq!(service.err("StartTask", input).await, expected);
    }
}

#[tokio::test]
async fn an_instances_version_grows_when_its_room_changes() {
    let (service, node) = Service::with_web().await;
    let version = async || {
        let answer = service.ok("DescribeContainerInstances", json!({ "containerInstances": [node] })).await;
        answer["containerInstances"][0]["version"].as_u64().expect("a version")
    };
    let before = version().await;
    let task = service.run_web().await;
    assert_eq!(version().await, before + 1);
    let report = |status: &str| json!({ "cluster": "default", "task": task, "status": status });
    service.by(By::Node("AKIANODE1"), "SubmitTaskStateChange", report("RUNNING")).await.expect("taken");
    assert_eq!(version().await, before + 1);
    service.by(By::Node("AKIANODE1"), "SubmitTaskStateChange", report("STOPPED")).await.expect("taken");
    assert_eq!(version().await, before + 2);
}
