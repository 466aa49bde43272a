//! Who may come in, and what they then may do.

use super::{ACCOUNT, REGION, World, access_key};
use state::{ACCESS_KEYS, KeyOwner};
use store::key;

#[tokio::test]
async fn strangers_are_asked_for_basic_credentials() {
    let world = World::start().await;
    let mut forged = world.token.clone();
    forged.replace_range(20..21, if &forged[20..21] == "A" { "B" } else { "A" });
    let realm = format!("Basic realm=\"http://{}/\",service=\"ecr.amazonaws.com\"", world.host);
    for credentials in [None, Some(("AWS", "x")), Some(("AWS", forged.as_str())), Some(("root", world.token.as_str()))]
    {
        for line in ["GET /v2/", "GET /v2/web/tags/list", "POST /v2/web/blobs/uploads/", "GET /v2/none/manifests/v1"] {
            let answer = world.send_as(credentials, line, &[], "").await.expect(401, "UNAUTHORIZED");
            assert_eq!(answer.header("www-authenticate"), realm);
        }
    }
    for header in ["Bearer x", "Basic", "Basic !", "Basic QVdT"] {
        world.send_as(None, "GET /v2/", &[("authorization", header)], "").await.expect(401, "UNAUTHORIZED");
    }
    world.send("GET /v2/", &[], "").await.expect(200, "");
    world.send("GET /v2", &[], "").await.expect(200, "");
}

#[tokio::test]
async fn tokens_end_after_twelve_hours_or_with_their_key() {
    let world = World::start().await;
    world.pass(12 * 3600 - 1);
    world.send("GET /v2/", &[], "").await.expect(200, "");
    world.pass(1);
    let answer = world.send("GET /v2/", &[], "").await.expect(403, "DENIED");
    assert_eq!(answer.message(), "Your authorization token has expired. Reauthenticate and try again.");

    let token = world.token_for("AKIAEXAMPLE", REGION);
    world.send_as(Some(("AWS", &token)), "GET /v2/", &[], "").await.expect(200, "");
    let delete = |tx: &mut store::Tx| {
        tx.delete(ACCESS_KEYS, &key!["AKIAEXAMPLE"]);
        Ok(())
    };
    world.requests.transact(delete).await.expect("deleted");
    world.send_as(Some(("AWS", &token)), "GET /v2/", &[], "").await.expect(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_token_is_good_in_its_region_alone() {
    let world = World::start().await;
    world.push_image("web", "v1", &["one"]).await;
    let token = world.token_for("AKIAEXAMPLE", "eu-west-1");
    let elsewhere = world.send_as(Some(("AWS", &token)), "GET /v2/web/manifests/v1", &[], "").await;
    elsewhere.expect(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_node_without_tasks_may_nothing_and_is_told_so() {
    let world = World::start().await;
    world.push_image("web", "v1", &["one"]).await;
    let owner = KeyOwner::Node { region: REGION.into(), cluster: "default".into(), instance: Some("i".into()) };
    world.put(ACCESS_KEYS, access_key("AKIANODE", owner)).await;
    let token = world.token_for("AKIANODE", REGION);
    let digest = super::digest("one");
    for (line, action) in [
        ("GET /v2/web/manifests/v1", "ecr:BatchGetImage"),
        ("GET /v2/web/blobs/DIGEST", "ecr:GetDownloadUrlForLayer"),
        ("POST /v2/web/blobs/uploads/", "ecr:InitiateLayerUpload"),
        ("PUT /v2/web/manifests/v1", "ecr:PutImage"),
        ("DELETE /v2/web/manifests/v1", "ecr:BatchDeleteImage"),
        ("GET /v2/web/tags/list", "ecr:ListImages"),
        ("GET /v2/web/referrers/DIGEST", "ecr:BatchGetImage"),
        ("GET /v2/_catalog", "ecr:DescribeRepositories"),
        ("GET /v2/none/manifests/v1", "ecr:BatchGetImage"),
    ] {
        let line = line.replace("DIGEST", &digest);
        let answer = world.send_as(Some(("AWS", &token)), &line, &[], "").await.expect(403, "DENIED");
        let expect = format!("is not authorized to perform: {action} on resource: arn:aws:ecr:{REGION}:{ACCOUNT}:");
        assert!(answer.message().contains(&expect), "{line}: {}", answer.message());
    }
    let line = format!("HEAD /v2/web/blobs/{digest}");
    let answer = world.send_as(Some(("AWS", &token)), &line, &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (403, 0));
}

#[tokio::test]
async fn refused_changes_are_audited_too() {
    let world = World::start().await;
    let owner = KeyOwner::Node { region: REGION.into(), cluster: "default".into(), instance: None };
    world.put(ACCESS_KEYS, access_key("AKIANODE", owner)).await;
    let token = world.token_for("AKIANODE", REGION);
    for line in ["POST /v2/web/blobs/uploads/", "PUT /v2/web/manifests/v1", "DELETE /v2/web/manifests/v1"] {
        world.send_as(Some(("AWS", &token)), line, &[], "").await.expect(403, "DENIED");
    }
    let expect = ["InitiateLayerUpload", "PutImage", "BatchDeleteImage"];
    assert_eq!(world.audited(), expect.map(|name| format!("{name} AccessDeniedException")));
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let world = World::start().await;
    let digest = world.push_blob("web", b"one").await;
    world.send(&format!("DELETE /v2/web/blobs/{digest}"), &[], "").await.expect(405, "UNSUPPORTED");
    world.send("POST /v2/web/tags/list", &[], "").await.expect(405, "UNSUPPORTED");
    world.send("GET /v2/web", &[], "").await.expect(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_grant_opens_one_address_for_an_hour() {
    let world = World::start().await;
    let (one, two) = (world.push_blob("web", b"one").await, world.push_blob("web", b"two").await);
    let (master, secrets) = (&world.requests.installation().master, world.requests.secrets());
    let path = format!("/v2/web/blobs/{one}");
    let grant = auth::seal_layer_grant(master, &**secrets, "AKIAEXAMPLE", super::REGION, &path, world.requests.now());
    let grant = grant.expect("a grant");
    let ask = async |line: &str, grant: &str| {
        world.send_as(None, &format!("{line}?X-Longshore-Grant={grant}"), &[], "").await
    };
    assert_eq!(ask(&format!("GET {path}"), &grant).await.expect(200, "").text(), "one");
    assert_eq!(ask(&format!("HEAD {path}"), &grant).await.status, 200);
    let forged = format!("{}A", &grant[..grant.len() - 1]);
    for (line, grant) in [
        (format!("GET /v2/web/blobs/{two}"), &grant),
        (format!("GET /v2/other/blobs/{one}"), &grant),
        (format!("GET {path}"), &forged),
        (format!("DELETE {path}"), &grant),
        ("GET /v2/_catalog".to_owned(), &grant),
        ("POST /v2/web/blobs/uploads/".to_owned(), &grant),
    ] {
        ask(&line, grant).await.expect(401, "UNAUTHORIZED");
    }
    world.pass(3600);
    ask(&format!("GET {path}"), &grant).await.expect(403, "DENIED");
}
