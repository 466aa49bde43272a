use super::{Service, text};
use serde_json::{Value, json};

/// Tags of a resource as `key=value` words.
async fn tags(service: &Service, arn: &str) -> String {
    let answer = service.ok("ListTagsForResource", json!({ "resourceArn": arn })).await;
    let tags = answer["tags"].as_array().expect("tags").iter();
    tags.map(|tag| format!("{}={}", text(&tag["key"]), text(&tag["value"]))).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn everything_that_carries_tags_is_tagged_and_untagged() {
    let (service, node) = Service::with_web().await;
    let task = service.run_web().await;
    for arn in [
        "arn:aws:ecs:us-east-1:000000000000:cluster/default",
        "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        &task,
        &node,
    ] {
        let tag = |tags: Value| service.ok("TagResource", json!({ "resourceArn": arn, "tags": tags }));
        assert_eq!(tag(json!([{ "key": "a", "value": "1" }, { "key": "b" }])).await, json!({}));
        tag(json!([{ "key": "a", "value": "2" }])).await;
        assert_eq!(tags(&service, arn).await, "a=2 b=", "{arn}");
        let untag = json!({ "resourceArn": arn, "tagKeys": ["a", "none"] });
        assert_eq!(service.ok("UntagResource", untag).await, json!({}));
        assert_eq!(tags(&service, arn).await, "b=", "{arn}");
    }
    let described =
        service.ok("DescribeContainerInstances", json!({ "containerInstances": [node], "include": ["TAGS"] }));
    assert_eq!(described.await["containerInstances"][0]["tags"], json!([{ "key": "b", "value": "" }]));
}

#[tokio::test]
async fn what_cannot_be_tagged_is_refused() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    let end = |tx: &mut store::Tx, id: String| {
        let key = store::key![super::ACCOUNT, super::REGION, "default", id];
        tx.update(state::TASKS, &key, |row| row.last = state::LastStatus::Stopped);
    };
    let id = task.rsplit('/').next().expect("an id").to_owned();
    service.change(move |tx| end(tx, id)).await;
    service.ok("CreateCluster", json!({ "clusterName": "old" })).await;
    service.ok("DeleteCluster", json!({ "cluster": "old" })).await;
    let ecs = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{rest}");
    let none = "0".repeat(32);
    for (arn, expected) in [
        ("web".to_owned(), "InvalidParameterException: Resource Identifier is invalid"),
        ("arn:aws:s3:::bucket".to_owned(), "InvalidParameterException: Resource Identifier is invalid"),
        (ecs("cluster"), "InvalidParameterException: Resource Identifier is invalid"),
        (ecs("cluster/none"), "ClusterNotFoundException: Cluster not found."),
        (
            ecs("cluster/old"),
            "InvalidParameterException: The specified cluster is inactive. Specify an active cluster and try again.",
        ),
        (task, "InvalidParameterException: The specified task is stopped. Specify a running task and try again."),
        (ecs("task-definition/web:9"), "ResourceNotFoundException: The referenced resource was not found."),
        (ecs("capacity-provider/p"), "ResourceNotFoundException: The referenced resource was not found."),
        (ecs(&format!("task/default/{none}")), "ResourceNotFoundException: The referenced resource was not found."),
    ] {
        let tag = json!({ "resourceArn": arn, "tags": [{ "key": "a", "value": "b" }] });
        assert_eq!(service.err("TagResource", tag).await, expected, "{arn}");
        assert_eq!(service.err("ListTagsForResource", json!({ "resourceArn": arn })).await, expected, "{arn}");
        let untag = json!({ "resourceArn": arn, "tagKeys": ["a"] });
        assert_eq!(service.err("UntagResource", untag).await, expected, "{arn}");
    }
}

#[tokio::test]
async fn a_resource_carries_fifty_tags_of_its_user_and_those_of_the_service_beside() {
    let (service, _) = Service::with_web().await;
    let many = |from: usize, to: usize| -> Value {
        (from..to).map(|at| json!({ "key": format!("k{at}"), "value": "v" })).collect()
    };
    let run = json!({ "taskDefinition": "web", "enableECSManagedTags": true, "tags": many(0, 50) });
    let arn = text(&service.ok("RunTask", run).await["tasks"][0]["taskArn"]);
    service.ok("TagResource", json!({ "resourceArn": arn, "tags": many(0, 1) })).await;
    assert_eq!(
        service.err("TagResource", json!({ "resourceArn": arn, "tags": many(50, 51) })).await,
        "InvalidParameterException: A resource can carry at most 50 tags. Remove some first."
    );
    let reserved = json!({ "resourceArn": arn, "tagKeys": ["aws:ecs:clusterName"] });
    assert_eq!(
        service.err("UntagResource", reserved).await,
        "InvalidParameterException: The tag key 'aws:ecs:clusterName' begins with aws:, which is reserved. Use another key."
    );
}
