use super::{ACCOUNT, By, REGION, Service, registration, text, with};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};
use state::CONTAINER_INSTANCES;
use store::key;

#[tokio::test]
async fn a_node_registers_is_bound_and_comes_back_as_itself() {
    let service = Service::with_cluster().await;
    service.key("AKIANODE1").await;
    let node = By::Node("AKIANODE1");
    let input = with(registration(2048, 4096), json!({ "cluster": "default" }));
    let first = service.by(node, "RegisterContainerInstance", input.clone()).await.expect("registered");
    assert_json_snapshot!("registered", first);
    let arn = first["containerInstance"]["containerInstanceArn"].clone();
    for again in [json!({}), json!({ "containerInstanceArn": arn })] {
        let input = with(registration(1024, 4096), again);
        let answer = service.by(node, "RegisterContainerInstance", input).await.expect("registered again");
        assert_eq!(answer["containerInstance"]["containerInstanceArn"], arn);
        assert_eq!(answer["containerInstance"]["registeredResources"][0]["integerValue"], 1024);
    }
    let rows = service.store.view().count(CONTAINER_INSTANCES, &key![ACCOUNT, REGION]);
    assert_eq!(rows, 1);
    service.ok("DeregisterContainerInstance", json!({ "containerInstance": arn })).await;
    let again = with(input.clone(), json!({ "containerInstanceArn": arn }));
    assert_eq!(
        service.by(node, "RegisterContainerInstance", again).await.expect_err("refused").to_string(),
        "ClientException: The container instance was deregistered. Register without containerInstanceArn to get a new one."
    );
    let anew = service.by(node, "RegisterContainerInstance", input).await.expect("registered anew");
    assert_ne!(anew["containerInstance"]["containerInstanceArn"], arn);
}

#[tokio::test]
async fn a_node_registers_nothing_but_itself() {
    let (service, first) = Service::with_node().await;
    service.node("AKIANODE2", 1024, 512).await;
    let input = with(registration(1, 1), json!({ "containerInstanceArn": first }));
    let error = service.by(By::Node("AKIANODE2"), "RegisterContainerInstance", input).await.expect_err("refused");
    assert_eq!(error.code, "AccessDeniedException");
    service.ok("CreateCluster", json!({ "clusterName": "b" })).await;
    let input = with(registration(1, 1), json!({ "cluster": "b" }));
    let error = service.by(By::Node("AKIANODE2"), "RegisterContainerInstance", input).await.expect_err("refused");
    assert_eq!(error.code, "AccessDeniedException");
}

#[tokio::test]
async fn root_registers_too_and_an_identity_document_fills_in() {
    let service = Service::with_cluster().await;
    let document = json!({ "instanceId": "i-1", "availabilityZone": "us-east-1b", "architecture": "arm64", "region": "us-east-1" });
    let more = json!({ "instanceIdentityDocument": document.to_string(), "tags": [{ "key": "a", "value": "b" }] });
    let answer = service.ok("RegisterContainerInstance", with(registration(1024, 512), more)).await;
    let instance = &answer["containerInstance"];
    assert_eq!((&instance["ec2InstanceId"], &instance["tags"][0]["key"]), (&json!("i-1"), &json!("a")));
    let attributes: Vec<String> = instance["attributes"]
        .as_array()
        .expect("attributes")
        .iter()
        .map(|attribute| format!("{}={}", text(&attribute["name"]), attribute["value"].as_str().unwrap_or_default()))
        .collect();
    assert_snapshot!(attributes.join(" "), @"com.amazonaws.ecs.capability.docker-remote-api.1.21= com.amazonaws.ecs.capability.ecr-auth= com.amazonaws.ecs.capability.task-iam-role= ecs.availability-zone=us-east-1b ecs.capability.task-cpu-mem-limit= ecs.cpu-architecture=arm64 ecs.os-type=linux");
}

#[tokio::test]
async fn a_registration_that_says_too_little_or_too_much_is_refused() {
    let service = Service::with_cluster().await;
    let resources = |resources: Value| json!({ "totalResources": resources });
    let cpu = json!({ "name": "CPU", "integerValue": 1 });
    let memory = json!({ "name": "MEMORY", "integerValue": 1 });
    let mut refusals = Vec::new();
    for more in [
        resources(json!([])),
        resources(json!([cpu])),
        resources(json!([{ "name": "CPU", "integerValue": -1 }, memory])),
        resources(json!([cpu, memory, { "name": "GPU", "stringSetValue": ["0"] }])),
        resources(json!([cpu, memory, { "name": "PORTS", "stringSetValue": ["0"] }])),
        resources(json!([cpu, memory, { "name": "PORTS", "stringSetValue": ["ssh"] }])),
        json!({ "platformDevices": [{ "id": "0", "type": "GPU" }] }),
        json!({ "instanceIdentityDocument": "no JSON" }),
        json!({ "containerInstanceArn": "0".repeat(32) }),
        json!({ "cluster": "none" }),
    ] {
        refusals.push(service.err("RegisterContainerInstance", with(registration(1, 1), more)).await);
    }
    assert_snapshot!(refusals.join("\n"));
}

#[tokio::test]
async fn an_instance_shows_what_is_left_of_it() {
    let (service, node) = Service::with_web().await;
    service.run_web().await;
    let none = "0".repeat(32);
    let describe = json!({ "containerInstances": [node, none] });
    assert_json_snapshot!("described", service.ok("DescribeContainerInstances", describe).await);
    let full = json!({ "containerInstances": [node], "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"] });
    let health = service.ok("DescribeContainerInstances", full).await["containerInstances"][0]["healthStatus"].clone();
    assert_eq!(health["overallStatus"], "INSUFFICIENT_DATA");
    for (input, expected) in [
        (json!({ "containerInstances": [] }), "Container Instances cannot be empty."),
        (json!({ "containerInstances": ["x"] }), "instanceId length should be one of [32,36]"),
        (json!({ "containerInstances": vec![none; 101] }), "instanceIds can have at most 100 items."),
    ] {
        let refusal = service.err("DescribeContainerInstances", input).await;
        assert_eq!(refusal, format!("InvalidParameterException: {expected}"));
    }
}

#[tokio::test]
async fn instances_are_listed_by_status() {
    let (service, first) = Service::with_node().await;
    let second = service.node("AKIANODE2", 1024, 512).await;
    let third = service.node("AKIANODE3", 1024, 512).await;
    let drain = json!({ "containerInstances": [second], "status": "DRAINING" });
    service.ok("UpdateContainerInstancesState", drain).await;
    service.ok("DeregisterContainerInstance", json!({ "containerInstance": third })).await;
    let mut known = [first.clone(), second.clone()];
    known.sort();
    for (input, expected) in [
        (json!({}), json!(known)),
        (json!({ "status": "ACTIVE" }), json!([first])),
        (json!({ "status": "DRAINING" }), json!([second])),
        (json!({ "status": "REGISTERING" }), json!([])),
    ] {
        let listed = service.ok("ListContainerInstances", input).await;
        assert_eq!(listed, json!({ "containerInstanceArns": expected }));
    }
    let page = service.ok("ListContainerInstances", json!({ "maxResults": 1 })).await;
    let next = service.ok("ListContainerInstances", json!({ "nextToken": page["nextToken"] })).await;
    assert_eq!(json!([page["containerInstanceArns"][0], next["containerInstanceArns"][0]]), json!(known));
    assert_eq!(
        service.err("ListContainerInstances", json!({ "filter": "group == a" })).await,
        "InvalidParameterException: Invalid expression 'group == a': 'group' is nothing that container instances are asked about."
    );
}

#[tokio::test]
async fn an_instance_is_drained_and_taken_back() {
    let (service, node) = Service::with_node().await;
    let gone = service.node("AKIANODE2", 1, 1).await;
    service.ok("DeregisterContainerInstance", json!({ "containerInstance": gone })).await;
    let set = |status: &str| json!({ "containerInstances": [node, gone, "0".repeat(32)], "status": status });
    let answer = service.ok("UpdateContainerInstancesState", set("DRAINING")).await;
    assert_eq!(answer["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(
        (&answer["failures"][0]["reason"], &answer["failures"][1]["reason"]),
        (&json!("INACTIVE"), &json!("MISSING"))
    );
    let version = answer["containerInstances"][0]["version"].clone();
    let again = service.ok("UpdateContainerInstancesState", set("DRAINING")).await;
    assert_eq!(again["containerInstances"][0]["version"], version);
    let back = service.ok("UpdateContainerInstancesState", set("ACTIVE")).await;
    assert_eq!(back["containerInstances"][0]["status"], "ACTIVE");
    assert_eq!(
        service.err("UpdateContainerInstancesState", set("REGISTERING")).await,
        "InvalidParameterException: Invalid status 'REGISTERING'. Use ACTIVE or DRAINING."
    );
    let eleven = json!({ "containerInstances": vec![node.clone(); 11], "status": "ACTIVE" });
    assert_eq!(
        service.err("UpdateContainerInstancesState", eleven).await,
        "InvalidParameterException: instanceIds can have at most 10 items."
    );
    let itself = json!({ "containerInstances": [node], "status": "DRAINING" });
    service.by(By::Node("AKIANODE1"), "UpdateContainerInstancesState", itself).await.expect("a node drains itself");
}

#[tokio::test]
async fn an_instance_with_tasks_is_deregistered_by_force_alone() {
    let (service, node) = Service::with_web().await;
    let task = service.run_web().await;
    assert_eq!(
        service.err("DeregisterContainerInstance", json!({ "containerInstance": node })).await,
        "InvalidParameterException: Found running tasks on the instance."
    );
    let forced = service.ok("DeregisterContainerInstance", json!({ "containerInstance": node, "force": true })).await;
    assert_eq!(forced["containerInstance"]["status"], "INACTIVE");
    assert_eq!(forced["containerInstance"]["remainingResources"][0]["integerValue"], 1024);
    let task = service.task(&task).await;
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("UserInitiated")));
    assert_eq!(
        service.err("DeregisterContainerInstance", json!({ "containerInstance": "0".repeat(32) })).await,
        "InvalidParameterException: The referenced container instance was not found."
    );
}

#[tokio::test]
async fn an_instance_with_more_tasks_than_a_transaction_holds_is_kept() {
    let (service, node) = Service::with_node().await;
    let container = json!([{ "name": "app", "image": "busybox", "memory": 8, "memoryReservation": 6 }]);
    service.ok("RegisterTaskDefinition", json!({ "family": "web", "containerDefinitions": container })).await;
    let run = json!({ "taskDefinition": "web", "count": 10, "overrides": { "memory": "0.001 GB" } });
    for _ in 0..11 {
        service.ok("RunTask", run.clone()).await;
    }
    assert_eq!(
        service.err("DeregisterContainerInstance", json!({ "containerInstance": node, "force": true })).await,
        "InvalidParameterException: 110 tasks run on the instance, more than the 100 that one call can end. Stop some of them first."
    );
}

#[tokio::test]
async fn agents_are_told_one_endpoint() {
    let (service, node) = Service::with_node().await;
    let input = json!({ "containerInstance": node, "cluster": "default" });
    let answer = service.by(By::Node("AKIANODE1"), "DiscoverPollEndpoint", input).await.expect("an endpoint");
    assert_eq!(answer, json!({ "endpoint": "http://127.0.0.1:4566" }));
}

#[tokio::test]
async fn every_resource_lists_its_tags() {
    let (service, node) = Service::with_node().await;
    let tags = |value: &str| json!({ "tags": [{ "key": "a", "value": value }] });
    service.ok("RegisterTaskDefinition", with(super::web(), tags("definition"))).await;
    let cluster = service.ok("CreateCluster", with(json!({ "clusterName": "b" }), tags("cluster"))).await;
    let again = with(registration(1024, 512), json!({ "containerInstanceArn": node }));
    service.ok("RegisterContainerInstance", with(again, tags("instance"))).await;
    let task = service.ok("RunTask", with(json!({ "taskDefinition": "web" }), tags("task"))).await;
    for (arn, expected) in [
        (text(&cluster["cluster"]["clusterArn"]), "cluster"),
        ("arn:aws:ecs:us-east-1:000000000000:task-definition/web:1".to_owned(), "definition"),
        (node, "instance"),
        (text(&task["tasks"][0]["taskArn"]), "task"),
    ] {
        let answer = service.ok("ListTagsForResource", json!({ "resourceArn": arn })).await;
        assert_eq!(answer, tags(expected));
    }
    let mut refusals = Vec::new();
    for arn in [
        "web",
        "arn:aws:ecr:us-east-1:000000000000:repository/web",
        "arn:aws:ecs:us-east-1:000000000000:cluster/none",
        "arn:aws:ecs:us-east-1:000000000000:task-definition/none:1",
        "arn:aws:ecs:us-east-1:000000000000:service/default/web",
        "arn:aws:ecs:us-east-1:000000000000:task/default/00000000000000000000000000000000",
    ] {
        refusals.push(service.err("ListTagsForResource", json!({ "resourceArn": arn })).await);
    }
    assert_snapshot!(refusals.join("\n"));
}
