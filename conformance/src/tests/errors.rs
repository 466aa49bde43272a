//! Errors as clients show them.

use crate::{Client, Longshore};
use anyhow::Result;
use serde_json::json;

#[test]
fn errors_have_awss_codes_and_texts() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    let fargate = json!({ "family": "f", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{ "name": "a", "image": "a" }] });
    client.aws(&["ecs", "register-task-definition", "--cli-input-json", &fargate.to_string()])?;
    let cases: &[(&[&str], &[&str])] = &[
        (&["ecs", "list-tasks", "--cluster", "none"], &["ClusterNotFoundException", "Cluster not found."]),
        (
            &["ecs", "describe-task-definition", "--task-definition", "none"],
            &["ClientException", "Unable to describe task definition."],
        ),
        (&["ecs", "run-task", "--task-definition", "none"], &["ClientException", "TaskDefinition not found."]),
        (&["ecs", "run-task", "--task-definition", "f", "--launch-type", "FARGATE"], &["Exception"]),
        (&["ecs", "delete-cluster", "--cluster", "default"], &["ClusterContainsContainerInstancesException"]),
        (
            &["ecs", "create-service", "--service-name", "s", "--task-definition", "f"],
            &["NotImplementedException", "ecs:CreateService"],
        ),
        (
            &["ecr", "describe-repositories", "--repository-names", "none"],
            &[
                "RepositoryNotFoundException",
                "The repository with name 'none' does not exist in the registry with id '000000000000'",
            ],
        ),
        (
            &["ecr", "create-repository", "--repository-name", "UPPER"],
            &["InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint"],
        ),
        (
            &["logs", "create-log-group", "--log-group-name", "a b"],
            &["InvalidParameterException", "1 validation error detected"],
        ),
        (&["sts", "get-session-token"], &["NotImplemented"]),
    ];
    for (args, expected) in cases {
        let error = client.aws_error(args)?;
        for part in *expected {
            assert!(error.contains(part), "aws {args:?} answered: {error}");
        }
    }
    let missing = client.aws(&["ecs", "describe-clusters", "--clusters", "none"])?;
    assert_eq!(missing["failures"][0]["reason"], "MISSING");
    Ok(())
}
