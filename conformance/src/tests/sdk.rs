//! boto3, and who am I.

use super::Stage;
use anyhow::Result;

#[test]
fn boto3_runs_a_task_with_its_own_waiters_and_paginators() -> Result<()> {
    let stage = Stage::new()?;
    let account = stage.server.endpoint()?.account;
    let program = format!(
        r#"
import boto3, json
ecs, logs, sts = boto3.client("ecs"), boto3.client("logs"), boto3.client("sts")
cluster = ecs.create_cluster(clusterName="default")["cluster"]
definition = ecs.register_task_definition(family="sdk", networkMode="none", containerDefinitions=[dict(
    name="app", image="{image}", memory=32, command=["sh", "-c", "echo from boto3"],
    logConfiguration=dict(logDriver="awslogs", options={{"awslogs-group": "/sdk", "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}}))])["taskDefinition"]
task = ecs.run_task(taskDefinition=definition["taskDefinitionArn"])["tasks"][0]
ecs.get_waiter("tasks_stopped").wait(tasks=[task["taskArn"]], WaiterConfig=dict(Delay=1))
stopped = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]
stream = "p/app/" + task["taskArn"].split("/")[-1]
events = logs.get_log_events(logGroupName="/sdk", logStreamName=stream)["events"]
pages = ecs.get_paginator("list_task_definitions").paginate(PaginationConfig=dict(PageSize=1))
print(json.dumps(dict(
    account=sts.get_caller_identity()["Account"], cluster=cluster["status"],
    exit=stopped["containers"][0]["exitCode"], seconds=(stopped["stoppedAt"] - stopped["createdAt"]).total_seconds() >= 0,
    messages=[event["message"] for event in events],
    definitions=[arn for page in pages for arn in page["taskDefinitionArns"]] == [definition["taskDefinitionArn"]])))
"#,
        image = stage.image
    );
    let answer = stage.client().python(&program)?;
    let expected = serde_json::json!({
        "account": account, "cluster": "ACTIVE", "exit": 0, "seconds": true, "messages": ["from boto3"], "definitions": true,
    });
    assert_eq!(answer, expected);
    Ok(())
}

#[test]
fn the_caller_is_the_accounts_root() -> Result<()> {
    let stage = Stage::new()?;
    let identity = stage.client().aws(&["sts", "get-caller-identity"])?;
    let account = stage.server.endpoint()?.account;
    assert_eq!(
        identity,
        serde_json::json!({ "UserId": account, "Account": account, "Arn": format!("arn:aws:iam::{account}:root") })
    );
    let debian =
        stage.client().debian_aws(&["sts", "get-caller-identity", "--output", "text", "--query", "Account"])?;
    assert_eq!(debian.stdout.trim(), account, "{}", debian.stderr);
    Ok(())
}
