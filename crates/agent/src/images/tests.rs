mod behavior;
mod house;
mod sources;

use super::options::ImageOptions;
use super::pull::Pull;
use super::{Image, Images, News, OwnRegistry, Owner, PullError, Registries, Unpacker};
use crate::testing::{Answer, Asked, Fake, bytes, document};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use oci::builder::{ImageFile, build};
use oci::image_config::ContainerConfig;
use oci::manifest::Platform;
use oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Weak};

const HEAD: &str = "HEAD /v2/web/manifests/1";

/// A registry that wants a token, and counts how many it gave out.
#[derive(Default)]
struct Registry {
    /// Path to media type and content.
    content: BTreeMap<String, (String, Vec<u8>)>,
    tokens: u32,
    /// Tokens before this one are no longer good.
    valid_from: u32,
    closed: bool,
    /// Asks nobody for a token.
    open: bool,
    /// How many of a layer's bytes are left out of the next answer that has one.
    cut: usize,
}

impl Registry {
    /// An image of one layer with the file `x` of that content.
    fn image(&mut self, content: &str, platform: &Platform) -> Digest {
        let file = ImageFile { path: "x".to_owned(), content: content.into(), mode: 0o644 };
        let image = build(&[file], ContainerConfig::default(), platform).expect("an image");
        for blob in [&image.layer, &image.config] {
            self.content.insert(format!("blobs/{}", blob.digest), (String::new(), blob.bytes.to_vec()));
        }
        self.manifest(OCI_MANIFEST, image.manifest.bytes.to_vec())
    }

    fn manifest(&mut self, media_type: &str, content: Vec<u8>) -> Digest {
        let digest = Digest::of(&content);
        for name in ["1", digest.as_str()] {
            self.content.insert(format!("manifests/{name}"), (media_type.to_owned(), content.clone()));
        }
        digest
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        if self.closed {
            return bytes(503, &[], "");
        }
        if asked.what == "GetAuthorizationToken" {
            self.tokens += 1;
            let token = STANDARD.encode(format!("AWS:{}", self.tokens));
            let data = json!({ "authorizationToken": token, "expiresAt": 4e9 });
            return document(&json!({ "authorizationData": [data] }));
        }
        if self.open {
            return self.content(asked);
        }
        let token = asked.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = STANDARD.decode(token.trim_start_matches("Basic ")).expect("base64");
        let number = String::from_utf8_lossy(&token).trim_start_matches("AWS:").parse().unwrap_or(0);
        if number < self.valid_from.max(1) {
            return bytes(403, &[], r#"{"errors":[{"code":"DENIED","message":"expired"}]}"#);
        }
        self.content(asked)
    }

    fn content(&mut self, asked: &Asked) -> Answer {
        let path = asked.what.split_once("/v2/web/").map_or("", |(_, path)| path);
        match self.content.get(path) {
            None => bytes(404, &[], ""),
            Some((media_type, content)) => {
                let (digest, length) = (Digest::of(content).to_string(), content.len().to_string());
                let headers = [
                    ("content-type", media_type.as_str()),
                    ("docker-content-digest", &digest),
                    ("content-length", &length),
                ];
                let mut body = if asked.what.starts_with("HEAD") { Vec::new() } else { content.clone() };
                if path.starts_with("blobs/") && !content.starts_with(b"{") {
                    body.truncate(body.len() - std::mem::take(&mut self.cut));
                }
                bytes(200, &headers, body)
            }
        }
    }
}

fn here() -> Platform {
    Platform::of_this_machine()
}

async fn serve(registry: Registry) -> (Fake, Arc<Mutex<Registry>>) {
    let registry = Arc::new(Mutex::new(registry));
    let state = registry.clone();
    (Fake::start(move |asked| state.lock().answer(asked)).await, registry)
}

fn open(fake: &Fake, data: &Path) -> Images {
    open_with(fake, data, ImageOptions::default())
}

fn open_with(fake: &Fake, data: &Path, options: ImageOptions) -> Images {
    let aws = fake.client();
    let unpacker = Unpacker {
        program: std::env::current_exe().expect("this program"),
        args: crate::unpack::tests::ARGS.map(str::to_owned).into(),
        disk_full_percent: 100,
    };
    Images::open(data, Registries::new(OwnRegistry::at("1", &aws), aws, options), unpacker).expect("opened")
}

fn name(fake: &Fake) -> String {
    format!("{}/web:1", fake.endpoint.trim_start_matches("http://"))
}

/// Nobody, who needs an image for no longer than he asks for it.
fn nobody() -> Owner {
    Weak::<()>::new()
}

async fn prepare(images: &Images, name: &str) -> Result<Arc<Image>, PullError> {
    images.prepare(name, &nobody(), &|_| ()).await
}

fn file_of(image: &Image) -> String {
    fs::read_to_string(image.layers[0].join("x")).expect("unpacked")
}

/// What the file `x` of an image has.
async fn content(images: &Images, name: &str) -> String {
    file_of(&prepare(images, name).await.expect("prepared"))
}

#[tokio::test]
async fn an_image_is_fetched_once_and_then_only_asked_for() {
    let (fake, registry) = serve(Registry::default()).await;
    let digest = registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let images = open(&fake, dir.path());
    let resolved = Mutex::new(Vec::new());
    let image = images.prepare(&name(&fake), &nobody(), &|news| resolved.lock().push(news)).await.expect("prepared");
    let told = resolved.into_inner();
    assert!(matches!(&told[..], [News::Resolved { digest: told, bytes: 1.. }] if *told == digest), "{told:?}");
    assert_eq!(image.digest, digest);
    assert_eq!(fs::read_to_string(image.layers[0].join("x")).expect("unpacked"), "one");
    fake.asked();
    for images in [images, open(&fake, dir.path())] {
        assert_eq!(content(&images, &name(&fake)).await, "one");
        let words = fake.words();
        assert_eq!(words.iter().filter(|word| *word != "GetAuthorizationToken").collect::<Vec<_>>(), [HEAD]);
    }
}

#[tokio::test]
async fn a_tag_that_moves_is_followed() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let images = open(&fake, dir.path());
    assert_eq!(content(&images, &name(&fake)).await, "one");
    registry.lock().image("two", &here());
    assert_eq!(content(&images, &name(&fake)).await, "two");
}

#[tokio::test]
async fn the_cached_image_serves_when_the_registry_does_not() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    content(&open(&fake, dir.path()), &name(&fake)).await;
    registry.lock().closed = true;
    let images = open(&fake, dir.path());
    assert_eq!(content(&images, &name(&fake)).await, "one");
}

#[tokio::test]
async fn a_layer_that_is_gone_is_fetched_again() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let image = prepare(&open(&fake, dir.path()), &name(&fake)).await.expect("prepared");
    fs::remove_dir_all(&image.layers[0]).expect("removed");
    assert_eq!(content(&open(&fake, dir.path()), &name(&fake)).await, "one");
}

#[tokio::test]
async fn an_index_is_resolved_to_this_platform_and_keeps_its_own_digest() {
    let (fake, registry) = serve(Registry::default()).await;
    let (ours, other) = {
        let mut registry = registry.lock();
        (registry.image("ours", &here()), registry.image("other", &Platform::new("linux", "riscv64")))
    };
    let entry = |digest: &Digest, architecture: &str| {
        let platform = json!({ "os": "linux", "architecture": architecture });
        json!({ "mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": platform })
    };
    let index = |entries| json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries }).to_string();
    let both = index(json!([entry(&other, "riscv64"), entry(&ours, &here().architecture)]));
    let digest = registry.lock().manifest(OCI_INDEX, both.into());
    let dir = tempfile::tempdir().expect("temp dir");
    let images = open(&fake, dir.path());
    let image = prepare(&images, &name(&fake)).await.expect("prepared");
    assert_eq!(image.digest, digest);
    assert_eq!(fs::read_to_string(image.layers[0].join("x")).expect("unpacked"), "ours");
    registry.lock().manifest(OCI_INDEX, index(json!([entry(&other, "riscv64")])).into());
    let dir = tempfile::tempdir().expect("temp dir");
    let error = prepare(&open(&fake, dir.path()), &name(&fake)).await.expect_err("no platform");
    assert!(error.to_string().contains("no matching manifest for linux/"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let images = open(&fake, dir.path());
    assert_eq!(content(&images, &name(&fake)).await, "one");
    registry.lock().valid_from = 2;
    fake.asked();
    assert_eq!(content(&images, &name(&fake)).await, "one");
    assert_eq!(fake.words(), [HEAD, "GetAuthorizationToken", HEAD]);
}

#[tokio::test]
async fn a_layer_that_is_not_what_it_should_be_leaves_nothing() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    for (path, (_, content)) in &mut registry.lock().content {
        if path.starts_with("blobs/") && !content.starts_with(b"{") {
            let last = content.len() - 1;
            content[last] ^= 1;
        }
    }
    let dir = tempfile::tempdir().expect("temp dir");
    assert!(prepare(&open(&fake, dir.path()), &name(&fake)).await.is_err());
    assert_eq!(fs::read_dir(dir.path().join("layers")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn launches_of_one_image_share_its_fetch() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let (images, name) = (open(&fake, dir.path()), name(&fake));
    let ten = futures_util::future::join_all((0..10).map(|_| content(&images, &name))).await;
    assert!(ten.iter().all(|text| text == "one"));
    let layer = registry
        .lock()
        .content
        .iter()
        .find(|(path, (_, content))| path.starts_with("blobs/") && !content.starts_with(b"{"))
        .map(|(path, _)| format!("GET /v2/web/{path}"))
        .expect("a layer");
    assert_eq!(fake.words().iter().filter(|word| **word == layer).count(), 1);
}
