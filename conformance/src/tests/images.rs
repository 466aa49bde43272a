//! Images in and out, by the AWS CLI and skopeo.

use super::{Stage, push, text};
use crate::{Client, HostImage, Longshore};
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Every file of a folder by name.
fn files(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries
        .iter()
        .map(|entry| Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?)))
        .collect()
}

fn pull(client: &Client, from: &str, to: &Path) -> Result<()> {
    let (from, to) = (format!("docker://{from}"), format!("dir:{}", to.display()));
    let answer =
        client.skopeo(&["copy", "--src-tls-verify=false", "--src-creds", &client.registry_login()?, &from, &to])?;
    anyhow::ensure!(answer.ok, "pull failed: {}", answer.stderr);
    Ok(())
}

#[test]
fn what_is_pushed_is_pulled_byte_for_byte() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    let made = client.aws(&["ecr", "create-repository", "--repository-name", "team/web"])?;
    assert_eq!(text(&made["repository"]["repositoryUri"]), format!("{}/team/web", server.registry()?));
    let image = HostImage::busybox(&["true"])?;
    let name = |tag: &str| -> Result<String> { Ok(format!("{}/team/web:{tag}", server.registry()?)) };
    // skopeo packs anew when it converts: what it made of the image is pulled, pushed as it is, and pulled again.
    let (docker, oci, again) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    push(&client, &image.source(), &name("docker")?, &["--preserve-digests"])?;
    pull(&client, &name("docker")?, docker.path())?;
    assert_eq!(files(image.path())?, files(docker.path())?, "docker");
    push(&client, &image.source(), &name("oci")?, &["--format", "oci"])?;
    pull(&client, &name("oci")?, oci.path())?;
    push(&client, &format!("dir:{}", oci.path().display()), &name("again")?, &["--preserve-digests"])?;
    pull(&client, &name("again")?, again.path())?;
    assert_eq!(files(oci.path())?, files(again.path())?, "oci");
    let manifest = String::from_utf8(files(oci.path())?.remove("manifest.json").unwrap_or_default())?;
    assert!(manifest.contains("application/vnd.oci.image.config.v1+json"), "{manifest}");
    let listed = client.aws(&["ecr", "list-images", "--repository-name", "team/web"])?;
    assert_eq!(listed["imageIds"].as_array().map(Vec::len), Some(3));
    Ok(())
}

#[test]
fn images_are_described_fetched_and_deleted() -> Result<()> {
    let stage = Stage::new()?;
    let client = stage.client();
    let described = client.aws(&["ecr", "describe-images", "--repository-name", "web"])?;
    let detail = &described["imageDetails"][0];
    assert_eq!(detail["imageTags"], json!(["1"]));
    assert!(detail["imageSizeInBytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{detail}");
    let fetched = client.aws(&[
        "ecr",
        "batch-get-image",
        "--repository-name",
        "web",
        "--image-ids",
        "imageTag=1",
        "imageTag=none",
    ])?;
    assert_eq!(fetched["images"][0]["imageId"]["imageDigest"], detail["imageDigest"]);
    assert!(text(&fetched["images"][0]["imageManifest"]).contains("schemaVersion"));
    assert_eq!(fetched["failures"][0]["failureCode"], "ImageNotFound");

    let error = client.aws_error(&["ecr", "delete-repository", "--repository-name", "web"])?;
    assert!(error.contains("RepositoryNotEmptyException"), "{error}");
    let deleted =
        client.aws(&["ecr", "batch-delete-image", "--repository-name", "web", "--image-ids", "imageTag=1"])?;
    assert_eq!(deleted["imageIds"][0]["imageTag"], "1");
    client.aws(&["ecr", "delete-repository", "--repository-name", "web"])?;
    assert_eq!(client.aws(&["ecr", "describe-repositories"])?["repositories"], json!([]));
    Ok(())
}

#[test]
fn nobody_pushes_or_pulls_without_a_token_of_ours() -> Result<()> {
    let stage = Stage::new()?;
    let client = stage.client();
    let remote = format!("docker://{}", stage.image);
    let scratch = tempfile::tempdir()?;
    let target = format!("dir:{}", scratch.path().display());
    let mut forged = client.registry_login()?;
    forged.truncate(forged.len() - 4);
    for creds in [
        &["--src-no-creds"][..],
        &["--src-creds", "AWS:forged"],
        &["--src-creds", &forged],
        &["--src-creds", "root:root"],
    ] {
        let args = [&["copy", "--src-tls-verify=false"], creds, &[&remote, &target]].concat();
        let answer = client.skopeo(&args)?;
        assert!(!answer.ok, "{creds:?} pulled");
    }
    let image = HostImage::busybox(&["true"])?;
    let source = image.source();
    let answer = client.skopeo(&["copy", "--dest-tls-verify=false", "--dest-creds", "AWS:forged", &source, &remote])?;
    assert!(!answer.ok, "a forged token pushed");
    let login = client.registry_login()?;
    let elsewhere = format!("docker://{}/nowhere:1", stage.server.registry()?);
    let answer = client.skopeo(&["copy", "--dest-tls-verify=false", "--dest-creds", &login, &source, &elsewhere])?;
    assert!(!answer.ok && answer.stderr.contains("does not exist"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn skopeo_login_takes_the_cli_password() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    let login = client.registry_login()?;
    let (user, password) = login.split_once(':').expect("user and password");
    let auth = tempfile::tempdir()?;
    let file = format!("{}/auth.json", auth.path().display());
    let answer = client.skopeo(&[
        "login",
        "--tls-verify=false",
        "--authfile",
        &file,
        "-u",
        user,
        "-p",
        password,
        &server.registry()?,
    ])?;
    assert!(answer.ok, "{}", answer.stderr);
    Ok(())
}
