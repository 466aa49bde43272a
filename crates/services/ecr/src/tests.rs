//! Operations as the gateway runs them, on a memory store: documents in, documents or errors out.

use crate as ecr;
use base::{MASTER_KEY_LEN, MasterKey, Names, OsSecrets, Principal, Timestamp};
use blobs::Blobs;
use oci::Digest;
use request::{Caller, Entry, Installation, Parts, Requests};
use serde_json::{Value, json};
use state::{IMAGE_TAGS, IMAGES, ImageTag, LAYERS, Layer, OUTBOX, UPLOADS, Upload};
use std::fmt::Write;
use std::sync::Arc;
use store::{MemoryEngine, Store, key};
use telemetry::Telemetry;
use tempfile::TempDir;

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

static ENTRIES: &[Entry] = &[
    request::flow!(ecr, batch_check_layer_availability, "BatchCheckLayerAvailability"),
    request::flow!(ecr, batch_delete_image, "BatchDeleteImage"),
    request::flow!(ecr, batch_get_image, "BatchGetImage"),
    request::tx!(ecr, create_repository, "CreateRepository"),
    request::flow!(ecr, delete_repository, "DeleteRepository"),
    request::read!(ecr, describe_images, "DescribeImages"),
    request::read!(ecr, describe_repositories, "DescribeRepositories"),
    request::read!(ecr, get_authorization_token, "GetAuthorizationToken"),
    request::read!(ecr, list_images, "ListImages"),
    request::read!(ecr, list_tags_for_resource, "ListTagsForResource"),
    request::flow!(ecr, put_image, "PutImage"),
    request::tx!(ecr, put_image_tag_mutability, "PutImageTagMutability"),
    request::tx!(ecr, put_image_scanning_configuration, "PutImageScanningConfiguration"),
    request::tx!(ecr, tag_resource, "TagResource"),
    request::tx!(ecr, untag_resource, "UntagResource"),
    request::flow!(ecr, initiate_layer_upload, "InitiateLayerUpload"),
    request::flow!(ecr, upload_layer_part, "UploadLayerPart"),
    request::flow!(ecr, complete_layer_upload, "CompleteLayerUpload"),
    request::read!(ecr, get_download_url_for_layer, "GetDownloadUrlForLayer"),
    request::flow!(ecr, list_image_referrers, "ListImageReferrers"),
];

struct World {
    requests: Requests,
    caller: Caller,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let installation = Installation {
            endpoint: "http://127.0.0.1:4566".into(),
            hosts: request::Hosts::new("127.0.0.1:4566".parse().expect("an address")),
            master: MasterKey::new(&[7; MASTER_KEY_LEN]).expect("a key"),
            open: None,
        };
        let parts = Parts {
            store: Store::open(state::schema(), MemoryEngine::default()).expect("a store"),
            telemetry: Telemetry::open(&dir.path().join("telemetry")).expect("telemetry"),
            blobs: Blobs::open(dir.path().join("blobs")).expect("blobs"),
            installation: Arc::new(installation),
            clock: Arc::new(|| NOW),
            names: Names::new([1; 16]),
            secrets: Arc::new(OsSecrets),
        };
        let caller = Caller {
            principal: Principal::Root { account: ACCOUNT.into() },
            account: ACCOUNT.into(),
            region: REGION.into(),
            access_key_id: Some("AKIAEXAMPLE".into()),
            request_id: "r".into(),
            source_ip: "127.0.0.1".into(),
            user_agent: "test".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            log_batch: None,
        };
        Self { requests: Requests::new(parts), caller, _dir: dir }
    }

    async fn call(&self, operation: &str, document: Value) -> Value {
        let entry = ENTRIES.iter().find(|entry| entry.operation == operation).expect(operation);
        match self.requests.execute(entry, self.caller.clone(), document).await {
            Ok(answer) => answer,
            Err(error) => json!({ error.code.as_ref(): error.message }),
        }
    }

    /// Calls one after the other, as `Operation {document}`, each with its answer.
    async fn transcript(&self, calls: &[(&str, Value)]) -> String {
        let mut text = String::new();
        for (operation, document) in calls {
            let answer = self.call(operation, document.clone()).await;
            writeln!(text, "> {operation} {document}\n{answer:#}\n").expect("text");
        }
        text
    }

    /// A repository `web` with these layers.
    async fn web(&self, layers: &[&str]) {
        self.call("CreateRepository", json!({"repositoryName": "web"})).await;
        for text in layers {
            let digest = Digest::of(text.as_bytes());
            self.requests.blobs().put_bytes(&digest, text.as_bytes()).await.expect("a blob");
        }
        let layers: Vec<Layer> = layers.iter().map(|text| layer(text)).collect();
        self.put(LAYERS, layers).await;
    }

    async fn put<T: store::Table>(&self, table: T, rows: Vec<T::Row>) {
        for some in rows.chunks(100) {
            let some = some.to_vec();
            let put = move |tx: &mut store::Tx| {
                some.into_iter().for_each(|row| tx.put(table, row));
                Ok(())
            };
            self.requests.transact(put).await.expect("rows");
        }
    }

    async fn push(&self, manifest: &str, tag: Option<&str>) -> Value {
        let mut document = json!({"repositoryName": "web", "imageManifest": manifest});
        if let Some(tag) = tag {
            document["imageTag"] = tag.into();
        }
        self.call("PutImage", document).await
    }

    fn audited(&self) -> Vec<Value> {
        let view = self.requests.view();
        view.scan(OUTBOX, &key![]).map(|row| serde_json::from_str(&row.document).expect("JSON")).collect()
    }
}

fn layer(text: &str) -> Layer {
    Layer {
        account: ACCOUNT.into(),
        region: REGION.into(),
        repository: "web".into(),
        digest: Digest::of(text.as_bytes()).to_string(),
        size: text.len() as u64,
        uploaded_at: NOW,
    }
}

fn descriptor(kind: &str, text: &str) -> Value {
    json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": Digest::of(text.as_bytes()), "size": text.len(),
    })
}

/// An image of one layer, `layer`, with config `config`.
fn image(layer: &str) -> String {
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", "config"), "layers": [descriptor("layer.v1.tar", layer)],
    })
    .to_string()
}

fn index(images: &[&str]) -> String {
    let manifests: Vec<Value> = images.iter().map(|text| descriptor("manifest.v1+json", text)).collect();
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
    })
    .to_string()
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

#[tokio::test]
async fn repositories_come_are_described_and_go() {
    let world = World::new();
    let text = world
        .transcript(&[
            ("CreateRepository", json!({"repositoryName": "team/web", "tags": [{"Key": "a", "Value": "b"}]})),
            ("CreateRepository", json!({"repositoryName": "team/web"})),
            ("CreateRepository", json!({"repositoryName": "api", "imageScanningConfiguration": {"scanOnPush": false}})),
            ("DescribeRepositories", json!({})),
            ("DescribeRepositories", json!({"repositoryNames": ["team/web", "none"]})),
            ("DescribeRepositories", json!({"repositoryNames": ["api"], "maxResults": 1})),
            ("ListTagsForResource", json!({"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/team/web"})),
            ("ListTagsForResource", json!({"resourceArn": "arn:aws:ecr:eu-west-1:000000000000:repository/web"})),
            ("ListTagsForResource", json!({"resourceArn": "team/web"})),
            ("DeleteRepository", json!({"repositoryName": "team/web"})),
            ("DeleteRepository", json!({"repositoryName": "team/web"})),
            ("DescribeRepositories", json!({"registryId": "111111111111"})),
        ])
        .await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn what_is_not_acted_on_is_refused() {
    let world = World::new();
    let with = |member: &str, value: Value| ("CreateRepository", json!({"repositoryName": "web", member: value}));
    let text = world
        .transcript(&[
            with("repositoryName", "Web".into()),
            with("imageTagMutability", "IMMUTABLE_WITH_EXCLUSION".into()),
            with("imageTagMutabilityExclusionFilters", json!([{"filterType": "WILDCARD", "filter": "v*"}])),
            with("imageScanningConfiguration", json!({"scanOnPush": true})),
            with("encryptionConfiguration", json!({"encryptionType": "KMS"})),
            with("encryptionConfiguration", json!({"encryptionType": "AES256", "kmsKey": "k"})),
            with("tags", json!([{"Key": "aws:x", "Value": ""}])),
            with("tags", json!([{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}])),
            with("tags", json!([{"Key": "", "Value": ""}])),
            with("tags", (0..51).map(|n| json!({"Key": n.to_string(), "Value": ""})).collect()),
            ("GetAuthorizationToken", json!({"registryIds": ["111111111111"]})),
            ("DescribeRepositories", json!({"nextToken": "not one"})),
        ])
        .await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn pages_hold_every_entry_once() {
    let world = World::new();
    for name in ["a1", "a1/b", "a2", "b1", "b2"] {
        world.call("CreateRepository", json!({"repositoryName": name})).await;
    }
    let mut names = Vec::new();
    let mut ask = json!({"maxResults": 2});
    loop {
        let answer = world.call("DescribeRepositories", ask).await;
        let page = answer["repositories"].as_array().expect("repositories");
        names.extend(page.iter().map(|row| row["repositoryName"].as_str().expect("a name").to_owned()));
        match answer.get("nextToken") {
            Some(token) => ask = json!({"maxResults": 2, "nextToken": token}),
            None => break,
        }
    }
    assert_eq!(names, ["a1", "a1/b", "a2", "b1", "b2"]);
    let token = world.call("DescribeRepositories", json!({"maxResults": 2})).await["nextToken"].clone();
    let foreign = world.transcript(&[("ListImages", json!({"repositoryName": "a1", "nextToken": token}))]).await;
    assert!(foreign.contains("must be the nextToken of this request's previous answer"), "{foreign}");
}

#[tokio::test]
async fn a_token_opens_the_registry_for_twelve_hours() {
    let world = World::new();
    let answer = world.call("GetAuthorizationToken", json!({})).await;
    let data = &answer["authorizationData"][0];
    assert_eq!(data["proxyEndpoint"], "http://127.0.0.1:4566");
    assert_eq!(data["expiresAt"], json!(1_700_043_200.0));
    use base64::Engine;
    let token = data["authorizationToken"].as_str().expect("a token");
    let plain = base64::engine::general_purpose::STANDARD.decode(token).expect("base64");
    assert!(plain.starts_with(b"AWS:"));
}

#[tokio::test]
async fn images_are_put_got_described_and_deleted() {
    let world = World::new();
    world.web(&["config", "one", "three"]).await;
    let (one, three) = (image("one"), image("three"));
    let both = index(&[&one, &three]);
    let web = |mut document: Value| {
        document["repositoryName"] = "web".into();
        document
    };
    let text = world
        .transcript(&[
            ("PutImage", web(json!({"imageManifest": one, "imageTag": "v1"}))),
            ("PutImage", web(json!({"imageManifest": one, "imageTag": "v1"}))),
            ("PutImage", web(json!({"imageManifest": one}))),
            ("PutImage", web(json!({"imageManifest": one, "imageTag": "v0"}))),
            ("PutImage", web(json!({"imageManifest": three, "imageDigest": digest(&one)}))),
            ("PutImage", web(json!({"imageManifest": image("five"), "imageTag": "v1"}))),
            ("PutImage", web(json!({"imageManifest": both, "imageTag": "all"}))),
            ("PutImage", web(json!({"imageManifest": three, "imageTag": "v1"}))),
            ("PutImage", web(json!({"imageManifest": both, "imageTag": "all"}))),
            ("PutImage", web(json!({"imageManifest": "{}", "imageTag": "all"}))),
            ("PutImage", web(json!({"imageManifest": one, "imageTag": "-"}))),
            ("ListImages", web(json!({}))),
            ("ListImages", web(json!({"filter": {"tagStatus": "UNTAGGED"}}))),
            ("DescribeImages", web(json!({"filter": {"tagStatus": "TAGGED"}}))),
            ("BatchGetImage", web(json!({"imageIds": [{"imageTag": "v0"}, {"imageTag": "v9"}, {}]}))),
            ("BatchGetImage", web(json!({"imageIds": [{"imageTag": "v0"}], "acceptedMediaTypes": ["application/x"]}))),
            ("DescribeImages", web(json!({"imageIds": [{"imageTag": "v0"}, {"imageDigest": digest(&one)}]}))),
            ("DescribeImages", web(json!({"imageIds": [{"imageTag": "v9"}]}))),
            ("DescribeImages", web(json!({"imageIds": [{}]}))),
            ("BatchCheckLayerAvailability", web(json!({"layerDigests": [digest("one"), digest("x"), "x", ""]}))),
            (
                "BatchDeleteImage",
                web(json!({"imageIds": [
                    {}, {"imageDigest": "x"}, {"imageTag": "/"}, {"imageTag": "v9"},
                    {"imageTag": "v0", "imageDigest": digest(&three)}, {"imageTag": "v0"}, {"imageTag": "all"},
                    {"imageTag": "v0"}, {"imageDigest": digest(&three)}
                ]})),
            ),
            ("ListImages", web(json!({}))),
            ("DeleteRepository", web(json!({}))),
            ("DeleteRepository", web(json!({"force": true}))),
            ("ListImages", web(json!({}))),
        ])
        .await;
    let named = [("one", &one), ("three", &three), ("five", &image("five")), ("both", &both)];
    let text = named.iter().fold(text, |text, (name, manifest)| {
        text.replace(&json!(manifest).to_string(), &format!("«{name}»"))
            .replace(&digest(manifest), &format!("«{name}»"))
    });
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn ids_page_through_the_tags_of_an_image() {
    let world = World::new();
    world.web(&["config", "one", "three"]).await;
    for tag in ["a", "b", "c", "d"] {
        world.push(&image("one"), Some(tag)).await;
    }
    world.push(&image("three"), None).await;
    let (mut ids, mut ask) = (Vec::new(), json!({"repositoryName": "web", "maxResults": 2}));
    loop {
        let answer = world.call("ListImages", ask.clone()).await;
        ids.extend(answer["imageIds"].as_array().expect("ids").clone());
        match answer.get("nextToken") {
            Some(token) => ask["nextToken"] = token.clone(),
            None => break,
        }
    }
    let mut tags: Vec<&str> = ids.iter().map(|id| id["imageTag"].as_str().unwrap_or("-")).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["-", "a", "b", "c", "d"]);
}

#[tokio::test]
async fn settings_and_tags_of_a_repository_change() {
    let world = World::new();
    let arn = "arn:aws:ecr:us-east-1:000000000000:repository/web";
    let filters = json!([{"filterType": "WILDCARD", "filter": "dev-*"}]);
    let text = world
        .transcript(&[
            ("CreateRepository", json!({"repositoryName": "web", "imageTagMutability": "IMMUTABLE"})),
            ("PutImageTagMutability", json!({"repositoryName": "none", "imageTagMutability": "MUTABLE"})),
            ("PutImageTagMutability", json!({"repositoryName": "web", "imageTagMutability": "MUTABLE_WITH_EXCLUSION"})),
            (
                "PutImageTagMutability",
                json!({
                    "repositoryName": "web", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                    "imageTagMutabilityExclusionFilters": filters,
                }),
            ),
            ("DescribeRepositories", json!({})),
            (
                "PutImageScanningConfiguration",
                json!({"repositoryName": "web", "imageScanningConfiguration": {"scanOnPush": false}}),
            ),
            (
                "PutImageScanningConfiguration",
                json!({"repositoryName": "web", "imageScanningConfiguration": {"scanOnPush": true}}),
            ),
            (
                "TagResource",
                json!({"resourceArn": arn, "tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}),
            ),
            ("TagResource", json!({"resourceArn": arn, "tags": [{"Key": "b", "Value": "3"}]})),
            ("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a", "z"]})),
            ("ListTagsForResource", json!({"resourceArn": arn})),
            ("TagResource", json!({"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/none", "tags": []})),
        ])
        .await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn an_immutable_tag_is_not_overwritten() {
    let world = World::new();
    world.web(&["config", "one", "three"]).await;
    let immutable = json!({"repositoryName": "web", "imageTagMutability": "IMMUTABLE"});
    world.push(&image("one"), Some("v1")).await;
    world.call("PutImageTagMutability", immutable).await;
    let expect = json!({"ImageTagAlreadyExistsException":
        "The image tag 'v1' already exists in the 'web' repository and cannot be overwritten because the repository is immutable."});
    assert_eq!(world.push(&image("three"), Some("v1")).await, expect);
    assert_eq!(world.push(&image("one"), Some("v1")).await, expect);
    assert!(world.push(&image("three"), Some("v2")).await["image"].is_object());
    let gone = world.call("BatchDeleteImage", json!({"repositoryName": "web", "imageIds": [{"imageTag": "v1"}]})).await;
    assert_eq!(gone["failures"], json!([]));
    assert!(world.push(&image("three"), Some("v1")).await["image"].is_object());
}

/// A layer of two parts, and every way in which parts are refused.
#[tokio::test]
async fn layers_are_uploaded_in_parts() {
    use base64::Engine;
    let world = World::new();
    world.web(&[]).await;
    let large = vec![b'x'; 5 * 1024 * 1024];
    let whole = [large.as_slice(), b"end"].concat();
    let digest = Digest::of(&whole);
    let begin = async || {
        let begun = world.call("InitiateLayerUpload", json!({"repositoryName": "web"})).await;
        assert_eq!(begun["partSize"], 10 * 1024 * 1024);
        begun["uploadId"].as_str().expect("an id").to_owned()
    };
    let part = async |id: &str, first: usize, bytes: &[u8]| {
        let blob = base64::engine::general_purpose::STANDARD.encode(bytes);
        let last = first + bytes.len() - 1;
        let document = json!({
            "repositoryName": "web", "uploadId": id, "partFirstByte": first, "partLastByte": last, "layerPartBlob": blob,
        });
        world.call("UploadLayerPart", document).await
    };
    let complete = async |id: &str, digest: &Digest| {
        let document = json!({"repositoryName": "web", "uploadId": id, "layerDigests": [digest]});
        let answer = world.call("CompleteLayerUpload", document).await;
        let code = answer.as_object().and_then(|answer| answer.keys().next()).cloned();
        if answer["layerDigest"].is_null() { code.expect("a code") } else { "ok".to_owned() }
    };
    let id = begin().await;
    assert_eq!(complete(&id, &digest).await, "EmptyUploadException");
    assert_eq!(part(&id, 0, &large).await["lastByteReceived"], large.len() - 1);
    for (first, bytes) in [(0, &large[..]), (large.len() + 1, b"end"), (large.len() - 1, b"end")] {
        let refused = part(&id, first, bytes).await;
        assert!(refused.get("InvalidLayerPartException").is_some(), "{first}: {refused}");
    }
    assert_eq!(part(&id, large.len(), b"end").await["lastByteReceived"], whole.len() - 1);
    assert_eq!(complete(&id, &digest).await, "ok");
    assert_eq!(complete(&id, &digest).await, "UploadNotFoundException");
    let stored = world.requests.blobs().get_bytes(&digest, u64::MAX).await.expect("read").expect("a blob");
    assert!(stored == whole);

    let again = begin().await;
    part(&again, 0, &large).await;
    part(&again, large.len(), b"end").await;
    assert_eq!(complete(&again, &digest).await, "LayerAlreadyExistsException");
    let short = begin().await;
    part(&short, 0, b"short").await;
    part(&short, 5, &large).await;
    assert_eq!(complete(&short, &digest).await, "LayerPartTooSmallException");
    let other = begin().await;
    part(&other, 0, b"other").await;
    assert_eq!(complete(&other, &digest).await, "InvalidLayerException");
    assert_eq!(world.requests.view().count(UPLOADS, &key![]), 1);
    assert_eq!(
        part(&other, 0, b"other").await.as_object().map(|a| a.contains_key("UploadNotFoundException")),
        Some(true)
    );
}

#[tokio::test]
async fn a_download_address_is_made_for_a_layer_that_is_there() {
    let world = World::new();
    world.web(&["one"]).await;
    let ask = async |digest: String| {
        let document = json!({"repositoryName": "web", "layerDigest": digest});
        world.call("GetDownloadUrlForLayer", document).await
    };
    let answer = ask(digest("one")).await;
    let start = format!("http://127.0.0.1:4566/v2/web/blobs/{}?X-Longshore-Grant=", digest("one"));
    assert!(answer["downloadUrl"].as_str().is_some_and(|url| url.starts_with(&start)), "{answer}");
    assert!(ask(digest("two")).await.get("LayersNotFoundException").is_some());
    assert!(ask("md5:00".to_owned()).await.get("InvalidParameterException").is_some());
}

#[tokio::test]
async fn referrers_are_listed_in_pages() {
    let world = World::new();
    world.web(&["config", "one"]).await;
    let subject = image("one");
    world.push(&subject, Some("v1")).await;
    for n in 0..5 {
        let mut artifact: Value = serde_json::from_str(&subject).expect("JSON");
        artifact["subject"] = descriptor("manifest.v1+json", &subject);
        artifact["artifactType"] = format!("application/{}", n % 2).into();
        artifact["annotations"] = json!({"n": n.to_string()});
        world.push(&artifact.to_string(), None).await;
    }
    let list = async |more: Value| {
        let mut ask = json!({"repositoryName": "web", "subjectId": {"imageDigest": digest(&subject)}, "maxResults": 2});
        ask.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let answer = world.call("ListImageReferrers", ask.clone()).await;
            found.extend(answer["referrers"].as_array().expect("referrers").clone());
            pages += 1;
            match answer.get("nextToken") {
                Some(token) => ask["nextToken"] = token.clone(),
                None => return (found, pages),
            }
        }
    };
    let (all, pages) = list(json!({})).await;
    assert_eq!((all.len(), pages), (5, 3));
    assert!(all.iter().all(|entry| entry["annotations"]["n"].is_string() && entry["artifactStatus"] == "ACTIVE"));
    assert_eq!(list(json!({"filter": {"artifactTypes": ["application/1"]}})).await.0.len(), 2);
    assert_eq!(list(json!({"filter": {"artifactStatus": "ARCHIVED"}})).await.0.len(), 0);
}

/// 300 tags and 300 layers are more than one transaction may change.
#[tokio::test]
async fn large_deletions_go_in_slices_each_audited() {
    let world = World::new();
    world.web(&["config", "one"]).await;
    world.push(&image("one"), Some("first")).await;
    let tag = |n: u32| ImageTag {
        account: ACCOUNT.into(),
        region: REGION.into(),
        repository: "web".into(),
        tag: format!("t{n:03}"),
        digest: digest(&image("one")),
        tagged_at: NOW,
    };
    world.put(IMAGE_TAGS, (0..300).map(tag).collect()).await;
    let by_digest = json!({"repositoryName": "web", "imageIds": [{"imageDigest": digest(&image("one"))}]});
    let answer = world.call("BatchDeleteImage", by_digest).await;
    assert_eq!(answer["imageIds"].as_array().map(Vec::len), Some(301));
    assert_eq!(answer["failures"], json!([]));
    assert_eq!(world.requests.view().count(IMAGES, &key![]), 0);
    assert_eq!(world.requests.view().count(IMAGE_TAGS, &key![]), 0);

    world.put(LAYERS, (0..300).map(|n| layer(&n.to_string())).collect()).await;
    let upload = Upload {
        account: ACCOUNT.into(),
        region: REGION.into(),
        repository: "web".into(),
        id: "u".into(),
        created_at: NOW,
        short_part_end: None,
    };
    world.put(UPLOADS, vec![upload]).await;
    let answer = world.call("DeleteRepository", json!({"repositoryName": "web"})).await;
    assert_eq!(answer["repository"]["repositoryName"], "web");
    let view = world.requests.view();
    assert_eq!((view.count(LAYERS, &key![]), view.count(UPLOADS, &key![])), (0, 0));
    let names: Vec<Value> = world.audited().into_iter().map(|record| record["eventName"].clone()).collect();
    assert_eq!(names.iter().filter(|name| *name == "BatchDeleteImage").count(), 3);
    assert_eq!(names.iter().filter(|name| *name == "DeleteRepository").count(), 3);
}

#[tokio::test]
async fn changes_and_refused_changes_are_audited() {
    let world = World::new();
    world.web(&["config", "one"]).await;
    world.push(&image("one"), Some("v1")).await;
    world.push(&image("one"), Some("v1")).await;
    world.push("{}", None).await;
    let shown: Vec<String> = world
        .audited()
        .iter()
        .map(|record| format!("{} {}", record["eventName"], record.get("errorCode").unwrap_or(&Value::Null)))
        .collect();
    let expect = [
        r#""CreateRepository" null"#,
        r#""PutImage" null"#,
        r#""PutImage" "ImageAlreadyExistsException""#,
        r#""PutImage" "InvalidParameterException""#,
    ];
    assert_eq!(shown, expect);
}

/// The record leaves out what would not fit the transaction; the image is kept all the same.
#[tokio::test]
async fn a_manifest_of_two_mebibytes_is_kept() {
    let world = World::new();
    world.web(&["config", "one"]).await;
    let mut manifest: Value = serde_json::from_str(&image("one")).expect("JSON");
    manifest["annotations"] = json!({"long": "x".repeat(2 * 1024 * 1024)});
    let manifest = manifest.to_string();
    let answer = world.push(&manifest, Some("v1")).await;
    assert_eq!(answer["image"]["imageId"]["imageDigest"], digest(&manifest).as_str());
    let got = world.call("BatchGetImage", json!({"repositoryName": "web", "imageIds": [{"imageTag": "v1"}]})).await;
    assert_eq!(got["images"][0]["imageManifest"], manifest.as_str());
}

#[tokio::test]
async fn a_node_may_not_change_anything() {
    let mut world = World::new();
    world.web(&["config", "one"]).await;
    world.caller.principal = Principal::Node {
        account: ACCOUNT.into(),
        region: REGION.into(),
        cluster: "default".into(),
        access_key_id: "AKIANODE".into(),
        instance: Some("i".into()),
    };
    for (operation, document) in [
        ("CreateRepository", json!({"repositoryName": "x1"})),
        ("PutImage", json!({"repositoryName": "web", "imageManifest": image("one")})),
        ("BatchDeleteImage", json!({"repositoryName": "web", "imageIds": [{"imageTag": "v1"}]})),
        ("DeleteRepository", json!({"repositoryName": "web", "force": true})),
        ("BatchGetImage", json!({"repositoryName": "web", "imageIds": [{"imageTag": "v1"}]})),
        ("ListImages", json!({"repositoryName": "web"})),
    ] {
        let answer = world.call(operation, document).await;
        assert!(answer.get("AccessDeniedException").is_some(), "{operation}: {answer}");
    }
}
