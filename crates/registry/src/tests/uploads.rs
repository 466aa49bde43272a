//! Blobs on their way in, and out again in ranges.

use super::{World, digest};
use oci::Digest;
use state::{LAYERS, UPLOADS};
use store::key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

impl World {
    /// Starts an upload to `web` and answers its address.
    async fn begin(&self) -> String {
        let answer = self.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
        assert_eq!(answer.header("range"), "0-0");
        let address = answer.header("location").to_owned();
        assert!(address.ends_with(answer.header("docker-upload-uuid")), "{address}");
        address
    }

    async fn blob(&self, name: &str, digest: &str) -> super::Answer {
        self.send(&format!("GET /v2/{name}/blobs/{digest}"), &[], "").await
    }

    fn uploads(&self) -> usize {
        self.requests.view().count(UPLOADS, &key![])
    }
}

#[tokio::test]
async fn a_blob_comes_in_one_request_or_two() {
    let world = World::start().await;
    let one = world.push_blob("web", b"one").await;
    let address = world.begin().await;
    let three = digest("three");
    let answer = world.send(&format!("PUT {address}?digest={three}"), &[], "three").await.expect(201, "");
    assert_eq!(answer.header("location"), format!("/v2/web/blobs/{three}"));
    assert_eq!(answer.header("docker-content-digest"), three);
    for (digest, content) in [(one.as_str(), "one"), (three.as_str(), "three")] {
        let got = world.blob("web", digest).await.expect(200, "");
        assert_eq!((got.text().as_str(), got.header("docker-content-digest")), (content, digest));
        let head = world.send(&format!("HEAD /v2/web/blobs/{digest}"), &[], "").await.expect(200, "");
        assert_eq!(head.header("content-length"), content.len().to_string());
        assert!(head.body.is_empty());
    }
    assert_eq!(world.uploads(), 0);
    let expect = ["InitiateLayerUpload", "CompleteLayerUpload", "InitiateLayerUpload", "CompleteLayerUpload"];
    assert_eq!(world.audited(), expect);
}

#[tokio::test]
async fn chunks_come_in_order_or_not_at_all() {
    let world = World::start().await;
    let address = world.begin().await;
    let patch = format!("PATCH {address}");
    let answer = world.send(&patch, &[("content-range", "0-4")], "hello").await.expect(202, "");
    assert_eq!((answer.header("range"), answer.header("location")), ("0-4", address.as_str()));
    for range in ["0-4", "4-8", "6-10"] {
        let gap = world.send(&patch, &[("content-range", range)], "world").await.expect(416, "BLOB_UPLOAD_INVALID");
        assert_eq!((gap.header("range"), gap.header("location")), ("0-4", address.as_str()));
    }
    let unreadable = world.send(&patch, &[("content-range", "x")], "world").await.expect(416, "BLOB_UPLOAD_INVALID");
    assert_eq!((unreadable.header("range"), unreadable.header("location")), ("0-4", &*address));
    world.send(&patch, &[("content-range", "5-8")], "world").await.expect(400, "SIZE_INVALID");
    let answer = world.send(&patch, &[], ", ").await.expect(202, "");
    assert_eq!(answer.header("range"), "0-6");
    let status = world.send(&format!("GET {address}"), &[], "").await.expect(204, "");
    assert_eq!((status.header("range"), status.header("location")), ("0-6", address.as_str()));
    let whole = digest("hello, world");
    world.send(&format!("PUT {address}?digest={whole}"), &[("content-range", "7-11")], "world").await.expect(201, "");
    assert_eq!(world.blob("web", &whole).await.text(), "hello, world");
}

#[tokio::test]
async fn wrong_content_is_never_kept() {
    let world = World::start().await;
    let one = digest("one");
    let address = world.begin().await;
    world.send(&format!("PUT {address}"), &[], "one").await.expect(400, "DIGEST_INVALID");
    world.send(&format!("PUT {address}?digest=md5:00"), &[], "one").await.expect(400, "DIGEST_INVALID");
    world.send(&format!("PUT {address}?digest={one}"), &[], "two").await.expect(400, "DIGEST_INVALID");
    world.blob("web", &one).await.expect(404, "BLOB_UNKNOWN");
    world.blob("web", &digest("two")).await.expect(404, "BLOB_UNKNOWN");
    world.send(&format!("PUT {address}?digest={one}"), &[], "one").await.expect(404, "BLOB_UPLOAD_UNKNOWN");
    let line = format!("POST /v2/web/blobs/uploads/?digest={one}");
    world.send(&line, &[], "two").await.expect(400, "DIGEST_INVALID");
    assert_eq!(world.uploads(), 0);
    assert_eq!(world.requests.blobs().staging_ids().await.expect("ids"), [""; 0]);
    assert!(world.audited().contains(&"CompleteLayerUpload InvalidLayerException".to_owned()));
}

#[tokio::test]
async fn empty_blobs_are_refused_as_ecr_does() {
    let world = World::start().await;
    let address = world.begin().await;
    let line = format!("PUT {address}?digest={}", digest(""));
    let answer = world.send(&line, &[], "").await.expect(400, "BLOB_UPLOAD_INVALID");
    assert!(answer.message().ends_with("cannot be completed because it does not have any parts"));
    world.send(&format!("PUT {address}?digest={}", digest("one")), &[], "one").await.expect(201, "");
}

#[tokio::test]
async fn an_upload_can_be_given_up() {
    let world = World::start().await;
    let address = world.begin().await;
    world.send(&format!("PATCH {address}"), &[], "hello").await.expect(202, "");
    world
        .send(&format!("DELETE {}", address.replace("web", "other")), &[], "")
        .await
        .expect(404, "BLOB_UPLOAD_UNKNOWN");
    world.send(&format!("DELETE {address}"), &[], "").await.expect(204, "");
    for line in ["GET", "PATCH", "DELETE"] {
        world.send(&format!("{line} {address}"), &[], "").await.expect(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(world.requests.blobs().staging_ids().await.expect("ids"), [""; 0]);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let world = World::start().await;
    let address = world.begin().await;
    world.send(&format!("PATCH {address}"), &[], "hello, ").await.expect(202, "");
    let world = world.restart().await;
    let status = world.send(&format!("GET {address}"), &[], "").await.expect(204, "");
    assert_eq!(status.header("range"), "0-6");
    let whole = digest("hello, world");
    world.send(&format!("PUT {address}?digest={whole}"), &[], "world").await.expect(201, "");
    assert_eq!(world.blob("web", &whole).await.text(), "hello, world");
}

/// A client that breaks off in the middle of a chunk finds what had arrived, and goes on from there.
#[tokio::test]
async fn an_upload_goes_on_after_its_connection_broke() {
    let world = World::start().await;
    let address = world.begin().await;
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{}", world.token));
    let head = format!(
        "PATCH {address} HTTP/1.1\r\nhost: {}\r\nauthorization: Basic {basic}\r\ncontent-length: 100\r\n\r\nhello, ",
        world.host
    );
    let mut stream = TcpStream::connect(&world.host).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.shutdown().await.expect("closed");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let received = loop {
        // The upload is busy until the server has seen the end of the connection.
        let status = world.send(&format!("GET {address}"), &[], "").await;
        if status.status == 204 {
            break status.header("range").to_owned();
        }
        assert_eq!(status.status, 409, "{}", status.text());
    };
    let start = if received == "0-6" { 7 } else { 0 };
    let rest = &"hello, world"[start..];
    let whole = digest("hello, world");
    world.send(&format!("PUT {address}?digest={whole}"), &[], rest).await.expect(201, "");
}

#[tokio::test]
async fn ranges_are_served() {
    let world = World::start().await;
    let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
    let digest = world.push_blob("web", &content).await;
    let line = format!("GET /v2/web/blobs/{digest}");
    for (range, expect, shown) in [
        ("bytes=0-0", 0..1, "bytes 0-0/1000000"),
        ("bytes=999-300000", 999..300_001, "bytes 999-300000/1000000"),
        ("bytes=999990-", 999_990..1_000_000, "bytes 999990-999999/1000000"),
        ("bytes=-10", 999_990..1_000_000, "bytes 999990-999999/1000000"),
    ] {
        let part = world.send(&line, &[("range", range)], "").await.expect(206, "");
        assert_eq!(part.header("content-range"), shown);
        assert_eq!(part.header("content-length"), expect.len().to_string());
        assert!(part.body == content[expect], "{range}");
    }
    let outside = world.send(&line, &[("range", "bytes=1000000-")], "").await.expect(416, "RANGE_INVALID");
    assert_eq!(outside.header("content-range"), "bytes */1000000");
    assert!(world.send(&line, &[("range", "bytes=0-1,5-6")], "").await.expect(200, "").body == content);
}

#[tokio::test]
async fn a_blob_belongs_to_the_repositories_that_have_it() {
    let world = World::start().await;
    let one = world.push_blob("web", b"one").await;
    world.blob("other", one.as_str()).await.expect(404, "BLOB_UNKNOWN");
    let mount = |digest: &str, from: &str| format!("POST /v2/other/blobs/uploads/?mount={digest}&from={from}");
    let mounted = world.send(&mount(one.as_str(), "web"), &[], "").await.expect(201, "");
    assert_eq!(mounted.header("location"), format!("/v2/other/blobs/{one}"));
    assert_eq!(world.blob("other", one.as_str()).await.text(), "one");
    for line in [mount(&digest("x"), "web"), mount(one.as_str(), "none"), mount(one.as_str(), "../web")] {
        world.send(&line, &[], "").await.expect(202, "");
    }
    let line = format!("POST /v2/none/blobs/uploads/?mount={one}&from=web");
    world.send(&line, &[], "").await.expect(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn repositories_are_not_made_by_pushing() {
    let world = World::start().await;
    let answer = world.send("POST /v2/none/blobs/uploads/", &[], "").await.expect(404, "NAME_UNKNOWN");
    let text = "The repository with name 'none' does not exist in the registry with id '000000000000'";
    assert_eq!(answer.message(), text);
    world.put_manifest("none", "v1", "{}").await.expect(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn one_upload_takes_one_request_at_a_time() {
    let world = World::start().await;
    let address = world.begin().await;
    let id = address.rsplit('/').next().expect("an id");
    let held = world.requests.blobs().resume(id).await.expect("held");
    world.send(&format!("PATCH {address}"), &[], "x").await.expect(409, "BLOB_UPLOAD_INVALID");
    drop(held);
    world.send(&format!("PATCH {address}"), &[], "x").await.expect(202, "");
}

#[tokio::test]
async fn many_push_the_same_layers_at_once() {
    let world = std::sync::Arc::new(World::start().await);
    let layers: Vec<String> = (0..4).map(|n| format!("layer {n} {}", "x".repeat(300_000))).collect();
    let mut pushes = tokio::task::JoinSet::new();
    for tag in 0..8 {
        let (world, layers) = (world.clone(), layers.clone());
        pushes.spawn(async move {
            let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
            world.push_image("web", &format!("v{tag}"), &layers).await
        });
    }
    while let Some(pushed) = pushes.join_next().await {
        pushed.expect("pushed");
    }
    assert_eq!(world.requests.view().count(LAYERS, &key![]), 5);
    assert_eq!(world.uploads(), 0);
    for layer in &layers {
        let digest = Digest::of(layer.as_bytes());
        assert!(world.blob("web", digest.as_str()).await.expect(200, "").text() == *layer);
    }
}

/// Sent as it is: an HTTP client would tidy such paths away.
#[tokio::test]
async fn hostile_paths_reach_no_file() {
    let world = World::start().await;
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{}", world.token));
    for path in [
        "/v2/../../../etc/passwd",
        "/v2/web/blobs/../../../../etc/passwd",
        "/v2/web/blobs/uploads/../../../../etc/passwd",
        "/v2/web/manifests/..%2f..%2f..%2fetc%2fpasswd",
        "/v2/web/blobs/sha256:../../../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/blobs/uploads/",
    ] {
        let mut stream = TcpStream::connect(&world.host).await.expect("a connection");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Basic {basic}\r\nconnection: close\r\n\r\n",
            world.host
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}");
    }
}
