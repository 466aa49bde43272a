use super::{By, Service, with};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

const USER: &str = "arn:aws:iam::000000000000:user/ann";

/// Settings as `name=value of principal` words.
fn brief(answer: &Value) -> Vec<String> {
    let settings = answer["settings"].as_array().expect("settings").iter();
    let word = |setting: &Value, member: &str| super::text(&setting[member]);
    settings
        .map(|one| {
            let principal = word(one, "principalArn");
            let who = principal.rsplit(':').next().unwrap_or_default();
            format!("{}={} of {who}", word(one, "name"), word(one, "value"))
        })
        .collect()
}

#[tokio::test]
async fn a_principal_has_its_own_choice_the_roots_or_the_default() {
    let service = Service::new();
    let ask = json!({ "name": "containerInsights", "principalArn": USER, "effectiveSettings": true });
    let effective = || service.ok("ListAccountSettings", ask.clone());
    assert_eq!(brief(&effective().await), ["containerInsights=disabled of user/ann"]);
    let put = json!({ "name": "containerInsights", "value": "enabled" });
    assert_json_snapshot!("put_default", service.ok("PutAccountSettingDefault", put).await);
    assert_eq!(brief(&effective().await), ["containerInsights=enabled of root"]);
    let put = json!({ "name": "containerInsights", "value": "enhanced", "principalArn": USER });
    assert_eq!(service.ok("PutAccountSetting", put).await["setting"]["principalArn"], USER);
    assert_eq!(brief(&effective().await), ["containerInsights=enhanced of user/ann"]);
    let own = service.ok("ListAccountSettings", json!({ "principalArn": USER })).await;
    assert_eq!(brief(&own), ["containerInsights=enhanced of user/ann"]);
    let other = json!({ "name": "containerInsights", "value": "enabled", "principalArn": USER });
    assert_eq!(service.ok("ListAccountSettings", other).await, json!({ "settings": [] }));
    let delete = json!({ "name": "containerInsights", "principalArn": USER });
    assert_eq!(service.ok("DeleteAccountSetting", delete).await["setting"]["value"], "enabled");
    assert_eq!(brief(&effective().await), ["containerInsights=enabled of root"]);
    service.ok("DeleteAccountSetting", json!({ "name": "containerInsights" })).await;
    assert_eq!(brief(&effective().await), ["containerInsights=disabled of user/ann"]);
}

#[tokio::test]
async fn every_setting_has_a_value_and_pages_hold_ten() {
    let service = Service::new();
    let all = json!({ "effectiveSettings": true });
    let first = service.ok("ListAccountSettings", all.clone()).await;
    let second = service.ok("ListAccountSettings", with(all, json!({ "nextToken": first["nextToken"] }))).await;
    let lines = [brief(&first), vec!["-- next page".to_owned()], brief(&second)].concat();
    assert_snapshot!("effective", lines.join("\n"));
    assert_eq!(second.get("nextToken"), None);
    assert_eq!(first["settings"][7]["type"], "aws_managed");
}

#[tokio::test]
async fn a_new_cluster_takes_the_accounts_container_insights() {
    let service = Service::new();
    service.ok("PutAccountSetting", json!({ "name": "containerInsights", "value": "enhanced" })).await;
    let cluster = service.ok("CreateCluster", json!({})).await;
    assert_eq!(cluster["cluster"]["settings"], json!([{ "name": "containerInsights", "value": "enhanced" }]));
    let own = json!({ "clusterName": "b", "settings": [{ "name": "containerInsights", "value": "disabled" }] });
    assert_eq!(service.ok("CreateCluster", own).await["cluster"]["settings"][0]["value"], "disabled");
}

#[tokio::test]
async fn what_cannot_be_chosen_is_refused() {
    let (service, _) = Service::with_node().await;
    let mut refusals = Vec::new();
    for (operation, input) in [
        ("PutAccountSetting", json!({ "name": "taskLongArnFormat", "value": "disabled" })),
        ("PutAccountSettingDefault", json!({ "name": "tagResourceAuthorization", "value": "off" })),
        ("PutAccountSetting", json!({ "name": "guardDutyActivate", "value": "on" })),
        ("PutAccountSettingDefault", json!({ "name": "fargateTaskRetirementWaitPeriod", "value": "8" })),
        (
            "PutAccountSetting",
            json!({ "name": "fargateTaskRetirementWaitPeriod", "value": "14", "principalArn": USER }),
        ),
        ("PutAccountSetting", json!({ "name": "awsvpcTrunking", "value": "enabled", "principalArn": "ann" })),
        (
            "DeleteAccountSetting",
            json!({ "name": "awsvpcTrunking", "principalArn": "arn:aws:iam::111111111111:user/ann" }),
        ),
        ("ListAccountSettings", json!({ "value": "enabled" })),
        ("ListAccountSettings", json!({ "maxResults": 11 })),
    ] {
        refusals.push(service.err(operation, input).await);
    }
    assert_snapshot!("refused", refusals.join("\n"));
    let put = json!({ "name": "awsvpcTrunking", "value": "enabled" });
    let denied = service.by(By::Node("AKIANODE1"), "PutAccountSetting", put).await.expect_err("denied");
    assert_eq!(denied.code, "AccessDeniedException");
}

#[tokio::test]
async fn tasks_deliver_their_output_as_the_accounts_setting_says() {
    let (service, _) = Service::with_node().await;
    let definition = json!({
        "family": "logs", "networkMode": "none",
        "containerDefinitions": [{ "name": "app", "image": "busybox", "memory": 16 }],
    });
    service.ok("RegisterTaskDefinition", definition).await;
    let run = || async { service.ok("RunTask", json!({ "taskDefinition": "logs" })).await };
    run().await;
    let put = json!({ "name": "defaultLogDriverMode", "value": "blocking" });
    service.ok("PutAccountSettingDefault", put).await;
    run().await;
    let view = service.store.view();
    let mut modes: Vec<_> =
        view.scan(state::TASKS, &store::key![]).map(|task| (task.times.created, task.log_mode)).collect();
    modes.sort_by_key(|(created, _)| *created);
    let modes: Vec<_> = modes.into_iter().map(|(_, mode)| mode.as_str()).collect();
    assert_eq!(modes, ["non-blocking", "blocking"]);
}
