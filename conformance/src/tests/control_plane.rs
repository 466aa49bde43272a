//! Operations that no container sees, by the AWS CLI and boto3.

use super::{Stage, text};
use crate::{Client, Longshore};
use anyhow::Result;
use serde_json::json;

#[test]
fn what_no_container_sees_is_kept_and_asked_for() -> Result<()> {
    let stage = Stage::new()?;
    let client = stage.client();
    let ecs = |args: &[&str]| client.aws(&[&["ecs"], args].concat());
    let node = ecs(&["list-container-instances"])?["containerInstanceArns"][0].clone();
    let node = text(&node);

    // Attributes, and a task that is started where they are.
    ecs(&["put-attributes", "--attributes", &format!("name=stack,value=prod,targetId={node}")])?;
    let listed = ecs(&["list-attributes", "--target-type", "container-instance", "--attribute-name", "stack"])?;
    assert_eq!(listed["attributes"], json!([{ "name": "stack", "value": "prod", "targetId": node }]));
    let filtered = ecs(&["list-container-instances", "--filter", "attribute:stack == prod"])?;
    assert_eq!(filtered["containerInstanceArns"], json!([node]));
    let definition = stage.register("none", json!({ "command": ["true"] }))?;
    let started = ecs(&["start-task", "--task-definition", &definition, "--container-instances", node])?;
    let task = started["tasks"][0]["taskArn"].clone();
    ecs(&["wait", "tasks-stopped", "--tasks", text(&task)])?;
    let arm = r#"{"cpuArchitecture": "ARM64"}"#;
    let containers = r#"[{"name": "app", "image": "busybox", "memory": 8}]"#;
    let register = ["register-task-definition", "--family", "arm", "--container-definitions", containers];
    ecs(&[&register[..], &["--runtime-platform", arm]].concat())?;
    let refused = ecs(&["run-task", "--task-definition", "arm"])?;
    assert_eq!(refused["failures"][0]["reason"], "ATTRIBUTE");

    // Tags, settings, clusters.
    ecs(&["tag-resource", "--resource-arn", node, "--tags", "key=team,value=a"])?;
    ecs(&["untag-resource", "--resource-arn", node, "--tag-keys", "none"])?;
    assert_eq!(
        ecs(&["list-tags-for-resource", "--resource-arn", node])?["tags"],
        json!([{ "key": "team", "value": "a" }])
    );
    ecs(&["put-account-setting-default", "--name", "containerInsights", "--value", "enabled"])?;
    let created = ecs(&["create-cluster", "--cluster-name", "b"])?;
    assert_eq!(created["cluster"]["settings"], json!([{ "name": "containerInsights", "value": "enabled" }]));
    let all = ecs(&["list-account-settings", "--effective-settings"])?;
    assert_eq!(all["settings"].as_array().map(Vec::len), Some(11));

    // A definition goes in three steps.
    assert_eq!(ecs(&["list-task-definition-families", "--family-prefix", "ar"])?["families"], json!(["arm"]));
    ecs(&["deregister-task-definition", "--task-definition", "arm:1"])?;
    let deleted = ecs(&["delete-task-definitions", "--task-definitions", "arm:1"])?;
    assert_eq!(deleted["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    Ok(())
}

#[test]
fn calls_that_come_too_often_for_aws_are_refused_when_the_server_is_told_to() -> Result<()> {
    let server = Longshore::start_with("127.0.0.1:0", &["--aws-throttling"])?;
    let program = r#"
import boto3, json
from botocore.config import Config
from botocore.exceptions import ClientError
ecs = boto3.client("ecs", config=Config(retries=dict(total_max_attempts=1)))
refusals = set()
for _ in range(40):
    try:
        ecs.create_cluster(clusterName="a")
    except ClientError as error:
        refusals.add((error.response["Error"]["Code"], error.response["Error"]["Message"],
            error.response["ResponseMetadata"]["HTTPStatusCode"]))
patient = boto3.client("ecs")
print(json.dumps(dict(refusals=sorted(refusals), clusters=len(patient.list_clusters()["clusterArns"]))))
"#;
    let answer = Client::of(&server).python(program)?;
    assert_eq!(answer["refusals"], json!([["ThrottlingException", "Rate exceeded", 400]]));
    Ok(())
}
