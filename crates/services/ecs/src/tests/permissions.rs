//! What each operation asks permission for.

use super::{By, Service, web, with};
use crate as ecs;
use insta::assert_snapshot;
use request::Checks;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The checks of one operation on `input`.
macro_rules! asked {
    ($service:expr, $module:ident, $input:expr) => {{
        let input = serde::Deserialize::deserialize(&$input).expect("an input");
        (stringify!($module), ecs::$module::checks(&$service.store.view(), &input, &$service.caller(By::Root)))
    }};
}

fn show((operation, checks): (&str, Checks)) -> String {
    let checks = checks.expect("checks");
    assert!(!checks.is_empty(), "{operation} asks for nothing");
    let lines = checks.iter().map(|check| {
        let context: BTreeMap<_, _> =
            check.context.iter().map(|(key, values)| (key.as_str(), values.join(","))).collect();
        let context: String = context.iter().map(|(key, values)| format!(" {key}={values}")).collect();
        format!("  {} {}{context}", check.action, check.resource)
    });
    std::iter::once(operation.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_operation_asks() {
    let service = Service::with_cluster().await;
    let roles = json!({ "taskRoleArn": "app", "executionRoleArn": "arn:aws:iam::000000000000:role/pull" });
    service.ok("RegisterTaskDefinition", with(web(), roles.clone())).await;
    let id = "0".repeat(32);
    let tags = json!([{ "key": "team", "value": "a" }]);
    let (none, task) = (json!({}), json!({ "task": id }));
    let instance: Value = json!({ "containerInstance": id });
    let sized = json!({ "cpu": "256", "memory": "512", "requiresCompatibilities": ["EC2"], "tags": tags });
    let run = json!({ "taskDefinition": "web", "tags": tags, "overrides": { "taskRoleArn": "other" } });
    let arn = format!("arn:aws:ecs:us-east-1:000000000000:container-instance/default/{id}");
    let setting = json!({ "name": "containerInsights", "value": "enabled" });
    let storage = json!({ "managedStorageConfiguration": { "fargateEphemeralStorageKmsKeyId": "key" } });
    let attributes = json!({ "attributes": [{ "name": "a", "targetId": arn }, { "name": "b", "targetId": arn }] });
    let start = with(run.clone(), json!({ "containerInstances": [id] }));
    let asked = [
        asked!(service, create_cluster, json!({ "clusterName": "b", "tags": tags })),
        asked!(service, delete_cluster, json!({ "cluster": "b" })),
        asked!(
            service,
            describe_clusters,
            json!({ "clusters": ["b", "arn:aws:ecs:us-east-1:111111111111:cluster/c"] })
        ),
        asked!(service, list_clusters, none),
        asked!(service, update_cluster, json!({ "cluster": "b", "configuration": storage })),
        asked!(service, update_cluster_settings, json!({ "cluster": "b", "settings": [] })),
        asked!(service, register_task_definition, with(with(web(), roles), sized)),
        asked!(service, describe_task_definition, json!({ "taskDefinition": "web" })),
        asked!(service, list_task_definitions, none),
        asked!(service, deregister_task_definition, json!({ "taskDefinition": "web:1" })),
        asked!(service, delete_task_definitions, json!({ "taskDefinitions": ["web:1"] })),
        asked!(service, list_task_definition_families, none),
        asked!(service, run_task, run),
        asked!(service, start_task, start),
        asked!(service, describe_tasks, json!({ "tasks": [id] })),
        asked!(service, list_tasks, none),
        asked!(service, list_tasks, instance),
        asked!(service, stop_task, task),
        asked!(service, register_container_instance, json!({ "containerInstanceArn": arn, "tags": tags })),
        asked!(service, deregister_container_instance, instance),
        asked!(service, describe_container_instances, json!({ "containerInstances": [id] })),
        asked!(service, list_container_instances, none),
        asked!(service, update_container_instances_state, json!({ "containerInstances": [id], "status": "ACTIVE" })),
        asked!(service, discover_poll_endpoint, none),
        asked!(service, put_attributes, attributes),
        asked!(service, delete_attributes, attributes),
        asked!(service, list_attributes, json!({ "targetType": "container-instance" })),
        asked!(service, update_container_agent, instance),
        asked!(service, submit_task_state_change, task),
        asked!(service, submit_container_state_change, task),
        asked!(service, put_account_setting, setting),
        asked!(service, put_account_setting_default, setting),
        asked!(service, delete_account_setting, setting),
        asked!(service, list_account_settings, setting),
        asked!(service, list_account_settings, none),
        asked!(service, list_tags_for_resource, json!({ "resourceArn": arn })),
        asked!(service, tag_resource, json!({ "resourceArn": arn, "tags": tags })),
        asked!(service, untag_resource, json!({ "resourceArn": arn, "tagKeys": ["team", "env"] })),
    ];
    assert_snapshot!(asked.map(show).join("\n"));
}

#[tokio::test]
async fn another_accounts_resources_and_roles_are_denied() {
    let service = Service::with_cluster().await;
    for (operation, input) in [
        ("DescribeClusters", json!({ "clusters": ["arn:aws:ecs:us-east-1:111111111111:cluster/default"] })),
        ("RegisterTaskDefinition", with(web(), json!({ "taskRoleArn": "arn:aws:iam::111111111111:role/app" }))),
        (
            "StopTask",
            json!({ "task": "arn:aws:ecs:us-east-1:111111111111:task/default/00000000000000000000000000000000" }),
        ),
    ] {
        let refusal = service.err(operation, input).await;
        assert!(refusal.starts_with("AccessDeniedException: "), "{refusal}");
    }
}
