//! What the collector takes, and what it leaves.

use super::{World, digest, image};
use control::{Collected, Collector};
use plan::garbage::{GRACE_MS, UPLOAD_IDLE_MAX_MS};
use state::{LAYERS, UPLOADS};
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};
use store::key;

/// A little more than the grace.
const GRACE_SECS: i64 = GRACE_MS / 1000 + 1;

impl World {
    pub fn collector(&self) -> Collector {
        Collector::new(self.requests.clone())
    }

    /// As much as goes when the grace passes twice: rows first, then bytes.
    async fn collect(&mut self, collector: &mut Collector) -> Collected {
        let mut sum = Collected::default();
        for _ in 0..3 {
            let turn = collector.turn().await.expect("a turn");
            sum.layers += turn.layers;
            sum.blobs += turn.blobs;
            sum.bytes += turn.bytes;
            sum.uploads += turn.uploads;
            self.pass(GRACE_SECS);
        }
        self.token = self.token_for("AKIAEXAMPLE", super::REGION);
        sum
    }

    async fn blobs(&self) -> usize {
        self.requests.blobs().digests().await.expect("listed").len()
    }
}

#[tokio::test]
async fn what_an_image_names_stays_and_the_rest_goes() {
    let mut world = World::start().await;
    let mut collector = world.collector();
    let manifest = world.push_image("web", "v1", &["one", "shared"]).await;
    world.push_image("web", "v2", &["three", "shared"]).await;
    world.push_image("other", "v1", &["three"]).await;
    assert_eq!(world.collect(&mut collector).await, Collected::default());

    world.send("DELETE /v2/web/manifests/v2", &[], "").await.expect(202, "");
    let collected = world.collect(&mut collector).await;
    // The row of `three` in web; no bytes of it, which other has; and the manifest's bytes.
    assert_eq!((collected.layers, collected.blobs), (1, 1));
    world.send("DELETE /v2/web/manifests/v1", &[], "").await.expect(202, "");
    let collected = world.collect(&mut collector).await;
    let bytes = manifest.len() + "one".len() + "shared".len();
    assert_eq!((collected.layers, collected.blobs, collected.bytes), (3, 3, bytes as u64));
    let pulled = world.send(&format!("GET /v2/other/blobs/{}", digest("three")), &[], "").await.expect(200, "");
    assert_eq!(pulled.text(), "three");
    assert_eq!(world.blobs().await, 3);
}

#[tokio::test]
async fn nothing_goes_before_its_grace_is_over() {
    let world = World::start().await;
    let mut collector = world.collector();
    world.push_image("web", "v1", &["one"]).await;
    world.send("DELETE /v2/web/manifests/v1", &[], "").await.expect(202, "");
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
    world.pass(GRACE_SECS - 2);
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
    // A restart forgets since when: the grace begins anew.
    assert_eq!(world.collector().turn().await.expect("a turn"), Collected::default());
    world.pass(1);
    let collected = collector.turn().await.expect("a turn");
    assert_eq!((collected.layers, collected.blobs), (2, 1));
}

/// The layer is loose for long, but a push was told that it need not be sent.
#[tokio::test]
async fn what_a_push_was_promised_stays() {
    let world = World::start().await;
    let mut collector = world.collector();
    for layer in ["one", "config"] {
        world.push_blob("web", layer.as_bytes()).await;
    }
    world.pass(GRACE_SECS);
    collector.turn().await.expect("a turn");
    world.pass(GRACE_SECS);
    for layer in ["one", "config"] {
        world.send(&format!("HEAD /v2/web/blobs/{}", digest(layer)), &[], "").await.expect(200, "");
    }
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
    world.put_manifest("web", "v1", &image(&["one"])).await.expect(201, "");
    world.pass(GRACE_SECS);
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
}

#[tokio::test]
async fn what_is_mounted_or_sent_again_stays() {
    let world = World::start().await;
    let mut collector = world.collector();
    for layer in ["one", "config"] {
        world.push_blob("web", layer.as_bytes()).await;
    }
    collector.turn().await.expect("a turn");
    world.pass(GRACE_SECS);
    let mount = format!("POST /v2/other/blobs/uploads/?mount={}&from=web", digest("one"));
    world.send(&mount, &[], "").await.expect(201, "");
    world.push_blob("web", b"config").await;
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_go() {
    let world = World::start().await;
    let mut collector = world.collector();
    let begin = async || {
        let answer = world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
        answer.header("location").to_owned()
    };
    let (idle, busy) = (begin().await, begin().await);
    let touch = |address: &str| {
        let path = world.dir.path().join("blobs/staging").join(address.rsplit('/').next().expect("an id"));
        let now = u64::try_from(world.requests.now().as_millis()).expect("after 1970");
        let file = File::options().write(true).open(path).expect("a staged file");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(now)).expect("touched");
    };
    touch(&idle);
    // A crash between a row's end and its file's: the file alone is left.
    std::fs::write(world.dir.path().join("blobs/staging/orphan"), b"x").expect("written");
    touch("orphan");
    world.pass(UPLOAD_IDLE_MAX_MS / 1000 - 1);
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
    touch(&busy);
    world.pass(1);
    let token = world.token_for("AKIAEXAMPLE", super::REGION);
    assert_eq!(collector.turn().await.expect("a turn").uploads, 2);
    let ask = async |address: &str| world.send_as(Some(("AWS", &token)), &format!("GET {address}"), &[], "").await;
    ask(&idle).await.expect(404, "BLOB_UPLOAD_UNKNOWN");
    ask(&busy).await.expect(204, "");
    assert_eq!(world.requests.view().count(UPLOADS, &key![]), 1);
    assert_eq!(world.requests.blobs().staging_ids().await.expect("ids").len(), 1);
}

/// Bytes that came without a row, as a crash leaves them, and a repository that was deleted.
#[tokio::test]
async fn bytes_without_a_row_go() {
    let mut world = World::start().await;
    let mut collector = world.collector();
    drop(world.requests.blobs().put_bytes(&oci::Digest::of(b"lost"), b"lost").await.expect("put"));
    world.push_image("web", "v1", &["one"]).await;
    let gone = |tx: &mut store::Tx| {
        for key in [digest("one"), digest("config")].map(|digest| key![super::ACCOUNT, super::REGION, "web", digest]) {
            tx.delete(LAYERS, &key);
        }
        Ok(())
    };
    world.requests.transact(gone).await.expect("rows deleted");
    assert_eq!(world.collect(&mut collector).await.blobs, 3);
}

#[tokio::test]
async fn a_damaged_blob_is_never_served_and_healed_by_a_push() {
    let world = World::start().await;
    let content: String = "0123456789abcdef".repeat(100_000);
    world.push_image("web", "v1", &[&content]).await;
    let hex = digest(&content)["sha256:".len()..].to_owned();
    let path = world.dir.path().join("blobs/sha256").join(&hex[..2]).join(&hex);
    let mut bytes = std::fs::read(&path).expect("a blob");
    bytes[777] ^= 4;
    std::fs::write(&path, bytes).expect("damaged");

    let url = format!("http://{}/v2/web/blobs/sha256:{hex}", world.host);
    let response = world.http.get(&url).basic_auth("AWS", Some(&world.token)).send().await.expect("an answer");
    assert_eq!(response.content_length(), Some(content.len() as u64));
    assert!(response.bytes().await.is_err(), "the transfer is cut");
    for method in ["GET", "HEAD"] {
        let line = format!("{method} /v2/web/blobs/sha256:{hex}");
        assert_eq!(world.send(&line, &[], "").await.status, 404, "{method}");
    }
    let mount = format!("POST /v2/other/blobs/uploads/?mount=sha256:{hex}&from=web");
    world.send(&mount, &[], "").await.expect(202, "");
    world.put_manifest("web", "v2", &image(&[&content])).await.expect(400, "MANIFEST_BLOB_UNKNOWN");
    world.push_image("web", "v2", &[&content]).await;
    let line = format!("GET /v2/web/blobs/sha256:{hex}");
    assert!(world.send(&line, &[], "").await.expect(200, "").text() == content);
}

#[tokio::test]
async fn a_damaged_manifest_is_not_there_until_it_is_pushed_again() {
    let world = World::start().await;
    let manifest = world.push_image("web", "v1", &["one"]).await;
    let hex = digest(&manifest)["sha256:".len()..].to_owned();
    let path = world.dir.path().join("blobs/sha256").join(&hex[..2]).join(&hex);
    std::fs::write(path, manifest.replace("schemaVersion", "schemaversion")).expect("damaged");
    let world = world.restart().await;
    world.send("GET /v2/web/manifests/v1", &[], "").await.expect(404, "MANIFEST_UNKNOWN");
    assert_eq!(world.send("HEAD /v2/web/manifests/v1", &[], "").await.status, 404);
    world.put_manifest("web", "v1", &manifest).await.expect(201, "");
    assert_eq!(world.send("GET /v2/web/manifests/v1", &[], "").await.text(), manifest);
}
