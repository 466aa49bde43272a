//! Clients as they come: skopeo, and our own.

use super::World;
use oci::builder::{self, BuiltImage, ImageFile};
use oci::client::{Client, Credentials, Endpoint, Source, Upload};
use oci::image_config::ContainerConfig;
use oci::{ImageReference, Platform, media_type};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

fn built() -> BuiltImage {
    let content = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = ImageFile { path: "bin/data".into(), content, mode: 0o755 };
    let config = ContainerConfig { cmd: vec!["/bin/data".into()], ..ContainerConfig::default() };
    builder::build(&[file], config, &Platform::new("linux", "amd64")).expect("an image")
}

/// Writes an image as skopeo's `dir:` has it.
fn write_dir(image: &BuiltImage, dir: &Path) {
    std::fs::create_dir(dir).expect("a folder");
    std::fs::write(dir.join("version"), "Directory Transport Version: 1.1\n").expect("written");
    std::fs::write(dir.join("manifest.json"), &image.manifest.bytes).expect("written");
    for blob in [&image.config, &image.layer] {
        std::fs::write(dir.join(blob.digest.hex()), &blob.bytes).expect("written");
    }
}

fn read_dir(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.file_name().expect("a name").into(), std::fs::read(&path).expect("read"))).collect()
}

async fn skopeo(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments).env_remove("HTTP_PROXY").env_remove("http_proxy");
    command.kill_on_drop(true);
    let output = command.output().await.expect("skopeo runs: install the package skopeo");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn copies(arguments: &[&str]) {
    let (ended_well, told) = skopeo(arguments).await;
    assert!(ended_well, "{arguments:?}: {told}");
}

/// Pushes `dir`, pulls it back by tag and by digest, and compares every byte.
async fn there_and_back(world: &World, work: &Path, dir: &Path, tag: &str) {
    let credentials = format!("AWS:{}", world.token);
    let remote = format!("docker://{}/web:{tag}", world.host);
    let from = format!("dir:{}", dir.display());
    copies(&["copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", &credentials, &from, &remote])
        .await;
    let back = work.join(format!("{tag}-back"));
    let to = format!("dir:{}", back.display());
    copies(&["copy", "--preserve-digests", "--src-tls-verify=false", "--src-creds", &credentials, &remote, &to]).await;
    assert!(read_dir(dir) == read_dir(&back), "{tag}");
}

#[tokio::test]
async fn skopeo_copies_both_formats_byte_for_byte() {
    let world = World::start().await;
    let work = TempDir::new().expect("a folder");
    let (oci, docker) = (work.path().join("oci"), work.path().join("docker"));
    write_dir(&built(), &oci);
    let (from, to) = (format!("dir:{}", oci.display()), format!("dir:{}", docker.display()));
    copies(&["copy", "--format", "v2s2", &from, &to]).await;
    there_and_back(&world, work.path(), &oci, "oci").await;
    there_and_back(&world, work.path(), &docker, "docker").await;
    let kinds = ["oci", "docker"].map(|tag| format!("GET /v2/web/manifests/{tag}"));
    assert_eq!(world.send(&kinds[0], &[], "").await.header("content-type"), media_type::OCI_MANIFEST);
    assert_eq!(world.send(&kinds[1], &[], "").await.header("content-type"), media_type::DOCKER_MANIFEST);
}

#[tokio::test]
async fn skopeo_is_told_when_it_may_not() {
    let world = World::start().await;
    let work = TempDir::new().expect("a folder");
    let dir = work.path().join("oci");
    write_dir(&built(), &dir);
    let from = format!("dir:{}", dir.display());
    let credentials = format!("AWS:{}", world.token);
    for (credentials, name, expect) in [
        (None, "web", "authentication"),
        (Some("AWS:forged"), "web", "unauthorized"),
        (Some(credentials.as_str()), "none", "repository"),
    ] {
        let to = format!("docker://{}/{name}:v1", world.host);
        let mut arguments = vec!["copy", "--dest-tls-verify=false"];
        match credentials {
            Some(credentials) => arguments.extend(["--dest-creds", credentials]),
            None => arguments.push("--dest-no-creds"),
        }
        arguments.extend([from.as_str(), to.as_str()]);
        let (ended_well, told) = skopeo(&arguments).await;
        assert!(!ended_well && told.contains(expect), "{name}: {told}");
    }
}

#[tokio::test]
async fn our_own_client_pushes_and_pulls() {
    let world = World::start().await;
    let credentials = Credentials::Basic { username: "AWS".into(), password: world.token.clone() };
    let client = Client::new(&Endpoint::http(&world.host), credentials).expect("a client");
    let image = built();
    for (blob, upload) in
        [(&image.config, Upload::Monolithic), (&image.layer, Upload::Chunked { bytes: 5 * 1024 * 1024 })]
    {
        assert_eq!(client.blob_size("web", &blob.digest).await.expect("an answer"), None);
        client.push_blob("web", &blob.digest, Source::Bytes(blob.bytes.clone()), upload).await.expect("pushed");
        let size = blob.bytes.len() as u64;
        assert_eq!(client.blob_size("web", &blob.digest).await.expect("an answer"), Some(size));
        let pulled = client.blob_bytes("web", &blob.digest, size, size).await.expect("pulled");
        assert!(pulled == blob.bytes);
    }
    let reference: ImageReference = format!("{}/web:v1", world.host).parse().expect("a reference");
    let (kind, bytes) = (image.manifest.media_type, image.manifest.bytes.clone());
    assert_eq!(client.put_manifest(&reference, kind, bytes).await.expect("pushed"), image.manifest.digest);
    assert_eq!(client.get_manifest(&reference).await.expect("pulled").bytes, image.manifest.bytes);
    assert_eq!(client.head_manifest(&reference).await.expect("told").digest, image.manifest.digest);
}
