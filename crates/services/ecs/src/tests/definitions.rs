use super::{Service, web, with};
use insta::assert_json_snapshot;
use serde_json::json;

#[tokio::test]
async fn a_definition_is_registered_and_described() {
    let service = Service::new();
    let tags = json!([{ "key": "team", "value": "a" }]);
    let first = service.ok("RegisterTaskDefinition", with(web(), json!({ "tags": tags }))).await;
    assert_json_snapshot!("registered", first);
    assert_eq!(service.ok("RegisterTaskDefinition", web()).await["taskDefinition"]["revision"], 2);
    let arn = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1";
    for name in ["web:1", arn] {
        let described = service.ok("DescribeTaskDefinition", json!({ "taskDefinition": name })).await;
        assert_eq!(described["taskDefinition"], first["taskDefinition"]);
        assert_eq!(described.get("tags"), None);
    }
    let input = json!({ "taskDefinition": "web:1", "include": ["TAGS"] });
    assert_eq!(service.ok("DescribeTaskDefinition", input).await["tags"], tags);
}

#[tokio::test]
async fn a_family_is_its_latest_active_revision_and_counts_on() {
    let service = Service::new();
    for _ in 0..2 {
        service.ok("RegisterTaskDefinition", web()).await;
    }
    let deregistered = service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" })).await;
    assert_eq!(deregistered["taskDefinition"]["status"], "INACTIVE");
    assert_eq!(deregistered["taskDefinition"]["deregisteredAt"], 1_800_000_002.0);
    assert_eq!(service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:2" })).await, deregistered);
    let latest = service.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await;
    assert_eq!(latest["taskDefinition"]["revision"], 1);
    let inactive = service.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web:2" })).await;
    assert_eq!(inactive["taskDefinition"], deregistered["taskDefinition"]);
    service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" })).await;
    assert_eq!(
        service.err("DescribeTaskDefinition", json!({ "taskDefinition": "web" })).await,
        "ClientException: Unable to describe task definition."
    );
    assert_eq!(service.ok("RegisterTaskDefinition", web()).await["taskDefinition"]["revision"], 3);
}

#[tokio::test]
async fn a_definition_that_is_not_there_is_refused() {
    let service = Service::new();
    let missing = "ClientException: Unable to describe task definition.";
    for (operation, name, expected) in [
        ("DescribeTaskDefinition", "web", missing),
        ("DescribeTaskDefinition", "web:9", missing),
        ("DescribeTaskDefinition", "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1", missing),
        ("DescribeTaskDefinition", "web:x", "ClientException: Invalid revision number. Number: x"),
        (
            "DescribeTaskDefinition",
            "arn:aws:ecs:us-east-1:000000000000:task/web",
            "InvalidParameterException: TaskDefinition Identifier is invalid",
        ),
        ("DeregisterTaskDefinition", "web", "ClientException: Revision is missing."),
        (
            "DeregisterTaskDefinition",
            "web:1",
            "ClientException: The specified task definition does not exist. Specify a valid account, family, revision and try again.",
        ),
    ] {
        assert_eq!(service.err(operation, json!({ "taskDefinition": name })).await, expected, "{operation} {name}");
    }
}

/// Names of the pages' definitions, a page a list.
async fn pages(service: &Service, input: serde_json::Value) -> Vec<Vec<String>> {
    let (mut pages, mut token) = (Vec::new(), serde_json::Value::Null);
    loop {
        let page = service.ok("ListTaskDefinitions", with(input.clone(), json!({ "nextToken": token }))).await;
        let arns = page["taskDefinitionArns"].as_array().expect("ARNs").iter();
        pages.push(arns.map(|arn| super::text(arn).rsplit('/').next().unwrap_or_default().to_owned()).collect());
        match page.get("nextToken") {
            Some(next) => token = next.clone(),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn definitions_are_listed_in_both_orders_page_by_page() {
    let service = Service::new();
    for family in ["web", "api", "web", "web-2"] {
        service.ok("RegisterTaskDefinition", with(web(), json!({ "family": family }))).await;
    }
    service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" })).await;
    for (input, expected) in [
        (json!({}), "api:1 web:2 web-2:1"),
        (json!({ "maxResults": 1 }), "api:1 | web:2 | web-2:1"),
        (json!({ "maxResults": 2, "sort": "DESC" }), "web-2:1 web:2 | api:1"),
        (json!({ "maxResults": 1, "sort": "DESC" }), "web-2:1 | web:2 | api:1"),
        (json!({ "familyPrefix": "web" }), "web:2"),
        (json!({ "familyPrefix": "we" }), ""),
        (json!({ "status": "INACTIVE" }), "web:1"),
        (json!({ "status": "DELETE_IN_PROGRESS" }), ""),
    ] {
        let pages: Vec<String> = pages(&service, input.clone()).await.iter().map(|page| page.join(" ")).collect();
        assert_eq!(pages.join(" | "), expected, "{input}");
    }
}

#[tokio::test]
async fn families_are_listed_by_prefix_and_status_while_they_have_revisions() {
    let service = Service::new();
    for family in ["web", "api", "web-2", "old"] {
        service.ok("RegisterTaskDefinition", with(web(), json!({ "family": family }))).await;
    }
    for name in ["web-2:1", "old:1"] {
        service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": name })).await;
    }
    service.ok("DeleteTaskDefinitions", json!({ "taskDefinitions": ["old:1"] })).await;
    for (input, expected) in [
        (json!({}), json!(["api", "old", "web", "web-2"])),
        (json!({ "familyPrefix": "we" }), json!(["web", "web-2"])),
        (json!({ "status": "ACTIVE" }), json!(["api", "web"])),
        (json!({ "status": "INACTIVE" }), json!(["old", "web-2"])),
        (json!({ "status": "ALL", "familyPrefix": "x" }), json!([])),
    ] {
        let answer = service.ok("ListTaskDefinitionFamilies", input.clone()).await;
        assert_eq!(answer, json!({ "families": expected }), "{input}");
    }
    let first = service.ok("ListTaskDefinitionFamilies", json!({ "maxResults": 3 })).await;
    assert_eq!(first["families"], json!(["api", "old", "web"]));
    let second = service.ok("ListTaskDefinitionFamilies", json!({ "nextToken": first["nextToken"] })).await;
    assert_eq!(second, json!({ "families": ["web-2"] }));
    let gone = |tx: &mut store::Tx| {
        tx.delete(state::TASK_DEFINITIONS, &store::key![super::ACCOUNT, super::REGION, "old", 1_u32]);
    };
    service.change(gone).await;
    let left = service.ok("ListTaskDefinitionFamilies", json!({ "status": "INACTIVE" })).await;
    assert_eq!(left["families"], json!(["web-2"]));
    let next = service.ok("RegisterTaskDefinition", with(web(), json!({ "family": "old" }))).await;
    assert_eq!(next["taskDefinition"]["revision"], 2);
}

#[tokio::test]
async fn inactive_definitions_are_deleted_and_run_no_more() {
    let (service, _) = Service::with_web().await;
    let task = service.run_web().await;
    service.ok("RegisterTaskDefinition", web()).await;
    service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" })).await;
    let arn = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1";
    let input = json!({ "taskDefinitions": [arn, "web:2", "web:9"] });
    let answer = service.ok("DeleteTaskDefinitions", input).await;
    assert_json_snapshot!("deleted", answer);
    let again = service.ok("DeleteTaskDefinitions", json!({ "taskDefinitions": ["web:1"] })).await;
    assert_eq!(again["taskDefinitions"], answer["taskDefinitions"]);
    let deregistered = service.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" })).await;
    assert_eq!(deregistered["taskDefinition"]["status"], "DELETE_IN_PROGRESS");
    assert_eq!(
        service.err("RunTask", json!({ "taskDefinition": "web:1" })).await,
        "InvalidParameterException: TaskDefinition is inactive"
    );
    assert_eq!(service.task(&task).await["taskDefinitionArn"], arn);
    let listed = service.ok("ListTaskDefinitions", json!({ "status": "DELETE_IN_PROGRESS" })).await;
    assert_eq!(listed["taskDefinitionArns"], json!([arn]));
    for (named, expected) in [
        (json!([]), "InvalidParameterException: taskDefinitions cannot be empty."),
        (json!(vec!["web:1"; 11]), "InvalidParameterException: taskDefinitions can have at most 10 items."),
        (json!(["web"]), "ClientException: Revision is missing."),
        (json!(["web:x"]), "ClientException: Invalid revision number. Number: x"),
    ] {
        assert_eq!(service.err("DeleteTaskDefinitions", json!({ "taskDefinitions": named })).await, expected);
    }
}
