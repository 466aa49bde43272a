//! Manifests: kept as they were pushed, with everything that they name.

use super::{World, descriptor, digest, image, index};
use serde_json::{Value, json};
use state::{IMAGE_TAGS, IMAGES};
use store::key;

#[tokio::test]
async fn a_manifest_comes_back_as_it_was_pushed() {
    let world = World::start().await;
    let manifest = world.push_image("web", "v1", &["one", "three"]).await;
    let digest = digest(&manifest);
    for reference in ["v1", digest.as_str()] {
        for accept in ["application/vnd.oci.image.manifest.v1+json", "application/x", "*/*"] {
            let line = format!("/v2/web/manifests/{reference}");
            let got = world.send(&format!("GET {line}"), &[("accept", accept)], "").await.expect(200, "");
            assert_eq!(got.text(), manifest);
            let head = world.send(&format!("HEAD {line}"), &[("accept", accept)], "").await.expect(200, "");
            assert!(head.body.is_empty());
            for answer in [got, head] {
                assert_eq!(answer.header("docker-content-digest"), digest);
                assert_eq!(answer.header("content-type"), "application/vnd.oci.image.manifest.v1+json");
                assert_eq!(answer.header("content-length"), manifest.len().to_string());
            }
        }
    }
    world.send("GET /v2/web/manifests/v2", &[], "").await.expect(404, "MANIFEST_UNKNOWN");
    world.send(&format!("GET /v2/other/manifests/{digest}"), &[], "").await.expect(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_push_may_be_repeated_and_a_tag_moved() {
    let world = World::start().await;
    let first = world.push_image("web", "v1", &["one"]).await;
    let answer = world.put_manifest("web", "v1", &first).await.expect(201, "");
    assert_eq!(answer.header("location"), format!("/v2/web/manifests/{}", digest(&first)));
    let second = world.push_image("web", "v1", &["three"]).await;
    assert_eq!(world.send("GET /v2/web/manifests/v1", &[], "").await.text(), second);
    let line = format!("GET /v2/web/manifests/{}", digest(&first));
    assert_eq!(world.send(&line, &[], "").await.text(), first);
}

#[tokio::test]
async fn what_a_manifest_names_must_be_there() {
    let world = World::start().await;
    world.push_blob("web", b"config").await;
    world.push_blob("other", b"one").await;
    let one = image(&["one"]);
    let answer = world.put_manifest("web", "v1", &one).await.expect(400, "MANIFEST_BLOB_UNKNOWN");
    let expect = format!("Layers with digests '[{}]' required for pushing image", digest("one"));
    assert!(answer.message().starts_with(&expect), "{}", answer.message());
    let all = index(&[&one]);
    world.put_manifest("web", "all", &all).await.expect(400, "MANIFEST_BLOB_UNKNOWN");
    world.push_blob("web", b"one").await;
    world.put_manifest("web", &digest(&one), &one).await.expect(201, "");
    world.put_manifest("web", "all", &all).await.expect(201, "");
    let expect = ["PutImage LayersNotFoundException", "PutImage ReferencedImagesNotFoundException"];
    let refused: Vec<String> = world.audited().into_iter().filter(|name| name.starts_with("PutImage ")).collect();
    assert_eq!(refused, expect);
}

#[tokio::test]
async fn a_manifest_says_the_sizes_of_what_it_names() {
    let world = World::start().await;
    let one = world.push_image("web", "v1", &["one"]).await;
    let lie = |text: &str, truth: &str, lie: &str| {
        assert!(text.contains(truth), "{text}");
        text.replacen(truth, lie, 1)
    };
    for size in ["5", "0", "4000000000"] {
        let answer = world
            .put_manifest("web", "v2", &lie(&one, "\"size\": 3", &format!("\"size\": {size}")))
            .await
            .expect(400, "MANIFEST_INVALID");
        let expect = format!("'size of {} is 3 bytes, not {size}'", digest("one"));
        assert!(answer.message().ends_with(&expect), "{}", answer.message());
    }
    let all = index(&[&one]);
    let short = lie(&all, &format!("\"size\":{}", one.len()), "\"size\":1");
    world.put_manifest("web", "all", &short).await.expect(400, "MANIFEST_INVALID");
    world.put_manifest("web", "all", &all).await.expect(201, "");
    assert_eq!(world.audited().iter().filter(|name| *name == "PutImage InvalidParameterException").count(), 4);
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let world = World::start().await;
    world.push_image("web", "v1", &["one"]).await;
    let one = image(&["one"]);
    world.put_manifest("web", &digest("x"), &one).await.expect(400, "DIGEST_INVALID");
    for text in ["", "{}", "[]", "\u{0}", r#"{"schemaVersion":1,"fsLayers":[]}"#] {
        world.put_manifest("web", "v2", text).await.expect(405, "UNSUPPORTED");
    }
    let as_index = [("content-type", "application/vnd.oci.image.index.v1+json")];
    world.send("PUT /v2/web/manifests/v2", &as_index, one).await.expect(405, "UNSUPPORTED");
    let large = " ".repeat(4 * 1024 * 1024 + 1);
    world.send("PUT /v2/web/manifests/v2", &[], large.clone()).await.expect(413, "SIZE_INVALID");
    let unstated = futures_util::stream::iter([Ok::<_, std::io::Error>(large)]);
    let body = reqwest::Body::wrap_stream(unstated);
    world.send("PUT /v2/web/manifests/v2", &[], body).await.expect(413, "SIZE_INVALID");
    world.send("GET /v2/web/manifests/v2", &[], "").await.expect(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn images_go_by_tag_or_digest() {
    let world = World::start().await;
    let one = world.push_image("web", "a", &["one"]).await;
    world.put_manifest("web", "b", &one).await.expect(201, "");
    let all = index(&[&one]);
    world.put_manifest("web", "all", &all).await.expect(201, "");

    world.send("DELETE /v2/web/manifests/a", &[], "").await.expect(202, "");
    world.send("DELETE /v2/web/manifests/a", &[], "").await.expect(404, "MANIFEST_UNKNOWN");
    for reference in ["b", digest(&one).as_str()] {
        let listed = world.send(&format!("DELETE /v2/web/manifests/{reference}"), &[], "").await;
        assert!(listed.expect(403, "DENIED").message().contains("referenced by manifest list"));
    }
    world.send(&format!("DELETE /v2/web/manifests/{}", digest(&all)), &[], "").await.expect(202, "");
    world.send("DELETE /v2/web/manifests/b", &[], "").await.expect(202, "");
    let view = world.requests.view();
    assert_eq!((view.count(IMAGES, &key![]), view.count(IMAGE_TAGS, &key![])), (0, 0));
}

#[tokio::test]
async fn an_image_of_many_tags_goes_whole() {
    let world = World::start().await;
    let one = world.push_image("web", "v", &["one"]).await;
    for n in 0..300 {
        world.put_manifest("web", &format!("t{n}"), &one).await.expect(201, "");
    }
    world.send(&format!("DELETE /v2/web/manifests/{}", digest(&one)), &[], "").await.expect(202, "");
    let view = world.requests.view();
    assert_eq!((view.count(IMAGES, &key![]), view.count(IMAGE_TAGS, &key![])), (0, 0));
}

#[tokio::test]
async fn pulls_are_recorded_once_a_day() {
    let world = World::start().await;
    world.push_image("web", "v1", &["one"]).await;
    let pulled = || world.requests.view().scan(IMAGES, &key![]).next().and_then(|image| image.last_pulled_at);
    world.send("HEAD /v2/web/manifests/v1", &[], "").await.expect(200, "");
    assert_eq!(pulled(), None);
    world.send("GET /v2/web/manifests/v1", &[], "").await.expect(200, "");
    let first = world.requests.now();
    assert_eq!(pulled(), Some(first));
    world.pass(3600);
    world.send("GET /v2/web/manifests/v1", &[], "").await.expect(200, "");
    assert_eq!(pulled(), Some(first));
    world.pass(24 * 3600);
    let world_token = world.token_for("AKIAEXAMPLE", super::REGION);
    world.send_as(Some(("AWS", &world_token)), "GET /v2/web/manifests/v1", &[], "").await.expect(200, "");
    assert_eq!(pulled(), Some(world.requests.now()));
}

/// A signature-like artifact about `subject`.
fn artifact(subject: &str, kind: &str, note: &str) -> String {
    let mut manifest: Value = serde_json::from_str(&image(&["one"])).expect("JSON");
    manifest["artifactType"] = kind.into();
    manifest["subject"] = descriptor("manifest.v1+json", subject);
    manifest["annotations"] = json!({"note": note});
    manifest.to_string()
}

#[tokio::test]
async fn referrers_are_listed_with_their_subject() {
    let world = World::start().await;
    let subject = world.push_image("web", "v1", &["one"]).await;
    let line = format!("GET /v2/web/referrers/{}", digest(&subject));
    let none = world.send(&line, &[], "").await.expect(200, "");
    assert_eq!(none.header("content-type"), "application/vnd.oci.image.index.v1+json");
    assert_eq!(none.json()["manifests"], json!([]));

    let (a, b) = (artifact(&subject, "application/a", "x"), artifact(&subject, "application/b+c", "y"));
    for manifest in [&a, &b] {
        let pushed = world.put_manifest("web", &digest(manifest), manifest).await.expect(201, "");
        assert_eq!(pushed.header("oci-subject"), digest(&subject));
    }
    let both = world.send(&line, &[], "").await.expect(200, "").json();
    assert_eq!(both["manifests"].as_array().map(Vec::len), Some(2));
    let filtered = world.send(&format!("{line}?artifactType=application%2Fb%2Bc"), &[], "").await.expect(200, "");
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let expect = json!([{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&b), "size": b.len(),
        "artifactType": "application/b+c", "annotations": {"note": "y"},
    }]);
    assert_eq!(filtered.json()["manifests"], expect);
}

#[tokio::test]
async fn referrers_come_in_pages() {
    let world = World::start().await;
    let subject = world.push_image("web", "v1", &["one"]).await;
    for n in 0..101 {
        let manifest = artifact(&subject, "application/a", &n.to_string());
        world.put_manifest("web", &digest(&manifest), &manifest).await.expect(201, "");
    }
    let first = world.send(&format!("GET /v2/web/referrers/{}", digest(&subject)), &[], "").await.expect(200, "");
    assert_eq!(first.json()["manifests"].as_array().map(Vec::len), Some(100));
    let next = first.header("link").split_once('>').expect("a link").0.trim_start_matches('<').to_owned();
    let second = world.send(&format!("GET {next}"), &[], "").await.expect(200, "");
    assert_eq!(second.json()["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(second.header("link"), "");
}

#[tokio::test]
async fn an_immutable_tag_is_not_moved() {
    let world = World::start().await;
    let one = world.push_image("web", "v1", &["one"]).await;
    let row = world.requests.view().scan(state::REPOSITORIES, &key![]).find(|row| row.name == "web").cloned();
    let mut row = row.expect("a repository");
    row.mutability = state::TagMutability { immutable: true, exclusions: vec!["dev-*".into()] };
    world.put(state::REPOSITORIES, row).await;
    let refused = world.put_manifest("web", "v1", &one).await.expect(400, "TAG_INVALID");
    assert!(refused.message().contains("'v1' already exists in the 'web' repository"), "{}", refused.message());
    world.put_manifest("web", &digest(&one), &one).await.expect(201, "");
    for _ in 0..2 {
        world.put_manifest("web", "dev-1", &one).await.expect(201, "");
    }
}
