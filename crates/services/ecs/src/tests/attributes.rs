use super::{Service, registration, text, with};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// Attributes as `name=value` words, without the agent's own.
async fn own(service: &Service, filter: Value) -> String {
    let input = with(json!({ "targetType": "container-instance" }), filter);
    let answer = service.ok("ListAttributes", input).await;
    let attributes = answer["attributes"].as_array().expect("attributes").iter();
    let words = attributes.map(|one| format!("{}={}", text(&one["name"]), one["value"].as_str().unwrap_or("-")));
    words.filter(|word| !word.contains("ecs.")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn attributes_are_put_listed_and_deleted_and_outlive_a_registration() {
    let (service, node) = Service::with_node().await;
    let id = node.rsplit('/').next().expect("an id");
    let put = json!({ "attributes": [
        { "name": "stack", "value": "production", "targetId": node },
        { "name": "ssd", "targetType": "container-instance", "targetId": id },
    ] });
    let expected = json!([
        { "name": "stack", "value": "production", "targetId": node },
        { "name": "ssd", "targetId": node },
    ]);
    assert_eq!(service.ok("PutAttributes", put).await, json!({ "attributes": expected }));
    assert_eq!(own(&service, json!({})).await, "ssd=- stack=production");
    assert_eq!(own(&service, json!({ "attributeName": "stack" })).await, "stack=production");
    assert_eq!(own(&service, json!({ "attributeName": "stack", "attributeValue": "test" })).await, "");
    let put = json!({ "attributes": [{ "name": "stack", "value": "test", "targetId": node }] });
    service.ok("PutAttributes", put).await;
    service
        .ok("RegisterContainerInstance", with(registration(1024, 512), json!({ "containerInstanceArn": node })))
        .await;
    assert_eq!(own(&service, json!({})).await, "ssd=- stack=test");
    let described = service.ok("DescribeContainerInstances", json!({ "containerInstances": [node] })).await;
    let shown = described["containerInstances"][0]["attributes"].as_array().expect("attributes");
    assert!(shown.contains(&json!({ "name": "stack", "value": "test" })), "{shown:?}");
    let delete = json!({ "attributes": [{ "name": "stack", "targetId": node }, { "name": "none", "targetId": node }] });
    let expected = json!({ "attributes": [{ "name": "stack", "value": "test", "targetId": node }] });
    assert_eq!(service.ok("DeleteAttributes", delete).await, expected);
    assert_eq!(own(&service, json!({})).await, "ssd=-");
}

#[tokio::test]
async fn attributes_are_listed_page_by_page() {
    let (service, _) = Service::with_node().await;
    service.node("AKIANODE2", 1024, 512).await;
    let all = service.ok("ListAttributes", json!({ "targetType": "container-instance" })).await["attributes"].clone();
    let (mut listed, mut token) = (Vec::new(), Value::Null);
    loop {
        let input = json!({ "targetType": "container-instance", "maxResults": 3, "nextToken": token });
        let page = service.ok("ListAttributes", input).await;
        listed.extend(page["attributes"].as_array().expect("attributes").clone());
        match page.get("nextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(json!(listed), all);
}

#[tokio::test]
async fn attributes_that_cannot_be_are_refused() {
    let (service, node) = Service::with_node().await;
    let none = "0".repeat(32);
    let one = |more: Value| json!([with(json!({ "name": "a", "targetId": node }), more)]);
    let many = |from: usize, to: usize| -> Value {
        (from..to).map(|at| json!({ "name": format!("k{at}"), "targetId": node })).collect()
    };
    service.ok("PutAttributes", json!({ "attributes": many(0, 10) })).await;
    let mut refusals = Vec::new();
    for attributes in [
        json!([]),
        many(0, 11),
        many(10, 11),
        json!([{ "name": "a" }]),
        json!([{ "name": "a", "targetId": none }]),
        json!([{ "name": "a", "targetId": none, "targetType": "container-instance" }]),
        one(json!({ "name": "a b" })),
        one(json!({ "name": "" })),
        one(json!({ "name": "ecs.os-type" })),
        one(json!({ "value": " a" })),
        one(json!({ "value": "x".repeat(129) })),
        one(json!({ "value": "" })),
    ] {
        refusals.push(service.err("PutAttributes", json!({ "attributes": attributes })).await);
    }
    refusals.push(service.err("DeleteAttributes", json!({ "attributes": one(json!({ "value": "b" })) })).await);
    let alone = json!({ "targetType": "container-instance", "attributeValue": "a" });
    refusals.push(service.err("ListAttributes", alone).await);
    assert_snapshot!(refusals.join("\n"));
}

#[tokio::test]
async fn an_agent_has_no_update() {
    let (service, node) = Service::with_node().await;
    let update = |node: &str| json!({ "containerInstance": node });
    let none = "0".repeat(32);
    let missing = "InvalidParameterException: The referenced container instance was not found.";
    assert_eq!(service.err("UpdateContainerAgent", update(&none)).await, missing);
    let expected = "NoUpdateAvailableException: There is no update available for your container agent.";
    assert_eq!(service.err("UpdateContainerAgent", update(&node)).await, expected);
}
