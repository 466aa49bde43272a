use super::{Service, registration, with};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::json;

#[tokio::test]
async fn a_cluster_is_created_once() {
    let service = Service::new();
    let tags = json!([{ "key": "team", "value": "a" }]);
    let first = service.ok("CreateCluster", json!({ "clusterName": "prod", "tags": tags })).await;
    assert_json_snapshot!("created", first);
    assert_eq!(service.ok("CreateCluster", json!({ "clusterName": "prod" })).await, first);
    let default = service
        .ok("CreateCluster", json!({ "settings": [{ "name": "containerInsights", "value": "disabled" }] }))
        .await;
    assert_eq!(default["cluster"]["clusterName"], "default");
}

#[tokio::test]
async fn what_a_cluster_cannot_have_is_refused() {
    let service = Service::new();
    let mut refusals = Vec::new();
    for input in [
        json!({ "clusterName": "a b" }),
        json!({ "clusterName": "x".repeat(256) }),
        json!({ "capacityProviders": ["FARGATE"] }),
        json!({ "settings": [{ "name": "containerInsights", "value": "on" }] }),
        json!({ "configuration": { "executeCommandConfiguration": { "logging": "OVERRIDE" } } }),
        json!({ "configuration": { "executeCommandConfiguration": { "logConfiguration": { "s3BucketName": "b" } } } }),
        json!({ "serviceConnectDefaults": { "namespace": "internal" } }),
        json!({ "tags": [{ "key": "a" }, { "key": "a", "value": "b" }] }),
        json!({ "tags": [{ "key": "AWS:a", "value": "b" }] }),
        json!({ "tags": [{ "value": "b" }] }),
    ] {
        refusals.push(service.err("CreateCluster", input).await);
    }
    assert_snapshot!(refusals.join("\n"));
}

#[tokio::test]
async fn clusters_are_described_with_what_is_asked_for_and_without_what_is_missing() {
    let (service, _) = Service::with_web().await;
    service.run_web().await;
    let input = json!({ "clusters": ["default", "none", "arn:aws:ecs:us-east-1:000000000000:cluster/gone"] });
    assert_json_snapshot!("described", service.ok("DescribeClusters", input).await);
    let input = json!({ "include": ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"] });
    assert_json_snapshot!("described_in_full", service.ok("DescribeClusters", input).await);
}

#[tokio::test]
async fn clusters_are_listed_page_by_page() {
    let service = Service::new();
    for name in ["c", "a", "b"] {
        service.ok("CreateCluster", json!({ "clusterName": name })).await;
    }
    service.ok("DeleteCluster", json!({ "cluster": "b" })).await;
    let first = service.ok("ListClusters", json!({ "maxResults": 1 })).await;
    let second = service.ok("ListClusters", json!({ "maxResults": 1, "nextToken": first["nextToken"] })).await;
    assert_json_snapshot!("listed", [&first, &second]);
    let foreign = json!({ "nextToken": first["nextToken"] });
    for operation in ["ListTaskDefinitionFamilies", "ListTaskDefinitions", "ListAccountSettings"] {
        assert_eq!(
            service.err(operation, foreign.clone()).await,
            "InvalidParameterException: Invalid token. Repeat the request with the nextToken of its previous answer, unchanged."
        );
    }
    for (input, expected) in [
        (json!({ "maxResults": 0 }), "InvalidParameterException: maxResults must be between 1 and 100."),
        (json!({ "maxResults": 101 }), "InvalidParameterException: maxResults must be between 1 and 100."),
        (
            json!({ "nextToken": "?" }),
            "InvalidParameterException: Invalid token. Repeat the request with the nextToken of its previous answer, unchanged.",
        ),
    ] {
        assert_eq!(service.err("ListClusters", input).await, expected);
    }
}

#[tokio::test]
async fn only_an_empty_cluster_is_deleted() {
    let (service, node) = Service::with_web().await;
    let task = service.run_web().await;
    let delete = json!({ "cluster": "arn:aws:ecs:us-east-1:000000000000:cluster/default" });
    assert_eq!(
        service.err("DeleteCluster", delete.clone()).await,
        "ClusterContainsContainerInstancesException: The Cluster cannot be deleted while Container Instances are active."
    );
    service.ok("DeregisterContainerInstance", json!({ "containerInstance": node, "force": true })).await;
    assert_eq!(service.task(&task).await["lastStatus"], "STOPPED");
    let deleted = service.ok("DeleteCluster", delete.clone()).await;
    assert_eq!(deleted["cluster"]["status"], "INACTIVE");
    assert_eq!(service.ok("DeleteCluster", delete).await, deleted);
    assert_eq!(service.ok("DescribeClusters", json!({})).await["clusters"][0]["status"], "INACTIVE");
    for (operation, input) in
        [("RunTask", json!({ "taskDefinition": "web" })), ("RegisterContainerInstance", registration(1, 1))]
    {
        assert_eq!(service.err(operation, input).await, "ClientException: Cluster was not ACTIVE.");
    }
    assert_eq!(service.ok("CreateCluster", json!({})).await["cluster"]["status"], "ACTIVE");
}

#[tokio::test]
async fn a_cluster_with_a_task_alone_is_not_deleted() {
    let (service, node) = Service::with_web().await;
    service.run_web().await;
    service
        .change(move |tx| {
            let id = node.rsplit('/').next().expect("an id").to_owned();
            let key = store::key![super::ACCOUNT, super::REGION, "default", id];
            tx.update(state::CONTAINER_INSTANCES, &key, |row| row.status = state::InstanceStatus::Inactive)
        })
        .await;
    assert_eq!(
        service.err("DeleteCluster", json!({ "cluster": "default" })).await,
        "ClusterContainsTasksException: The Cluster cannot be deleted while Tasks are active."
    );
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_apart_from_a_bad_name() {
    let service = Service::with_cluster().await;
    for (cluster, expected) in [
        ("none", "ClusterNotFoundException: Cluster not found."),
        ("arn:aws:ecs:eu-west-1:000000000000:cluster/default", "ClusterNotFoundException: Cluster not found."),
        ("arn:aws:ecs:us-east-1:111111111111:cluster/default", "ClusterNotFoundException: Cluster not found."),
        ("arn:aws:ecs:us-east-1:000000000000:task/default", "InvalidParameterException: Cluster Identifier is invalid"),
        ("arn:", "InvalidParameterException: ARN Identifier is invalid"),
    ] {
        for (operation, input) in [
            ("DeleteCluster", json!({})),
            ("ListTasks", json!({})),
            ("ListContainerInstances", json!({})),
            ("DescribeTasks", json!({ "tasks": ["0".repeat(32)] })),
        ] {
            assert_eq!(
                service.err(operation, with(input, json!({ "cluster": cluster }))).await,
                expected,
                "{operation} {cluster}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_cluster_is_set_to_is_kept_until_it_is_set_anew() {
    let service = Service::new();
    let exec = |logging: &str| json!({ "executeCommandConfiguration": { "logging": logging, "kmsKeyId": "key" } });
    let created = json!({ "configuration": exec("NONE"), "tags": [{ "key": "team", "value": "a" }] });
    let first = service.ok("CreateCluster", created).await["cluster"].clone();
    assert_eq!((&first["configuration"], &first["settings"][0]["value"]), (&exec("NONE"), &json!("disabled")));
    let insights = json!({ "cluster": "default", "settings": [{ "name": "containerInsights", "value": "enhanced" }] });
    let second = service.ok("UpdateClusterSettings", insights).await["cluster"].clone();
    assert_eq!(second["settings"], json!([{ "name": "containerInsights", "value": "enhanced" }]));
    assert_eq!((&second["tags"], &second["configuration"]), (&first["tags"], &first["configuration"]));
    assert_eq!(first["tags"], json!([{ "key": "team", "value": "a" }]));
    let third = json!({ "cluster": "default", "configuration": exec("DEFAULT") });
    let third = service.ok("UpdateCluster", third).await["cluster"].clone();
    assert_eq!((&third["tags"], &third["settings"]), (&second["tags"], &second["settings"]));
    let all = service.ok("DescribeClusters", json!({ "include": ["CONFIGURATIONS", "SETTINGS"] })).await;
    assert_json_snapshot!("set", all["clusters"][0]);
    let plain = service.ok("DescribeClusters", json!({})).await["clusters"][0].clone();
    assert_eq!((plain.get("configuration"), &plain["settings"]), (None, &json!([])));
    for (operation, input, expected) in [
        ("UpdateCluster", json!({ "cluster": "none" }), "ClusterNotFoundException: Cluster not found."),
        (
            "UpdateCluster",
            json!({ "cluster": "default", "serviceConnectDefaults": { "namespace": "internal" } }),
            "ClientException: Longshore does not support 'serviceConnectDefaults' yet. Leave it out and try again.",
        ),
        (
            "UpdateClusterSettings",
            json!({ "cluster": "default", "settings": [] }),
            "InvalidParameterException: settings cannot be empty.",
        ),
    ] {
        assert_eq!(service.err(operation, input).await, expected);
    }
}
