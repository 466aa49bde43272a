//! The image: busybox of this host, and nothing else.

use super::{Demo, NAME};
use crate::demo::steps::Steps;
use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::builder::{BuiltImage, ImageFile, build};
use oci::client::{Client, Credentials, Source, Upload};
use oci::image_config::ContainerConfig;
use oci::{ImageReference, Platform};
use serde_json::json;
use std::path::Path;

/// Debian's busybox-static puts it here; any static busybox does.
const BUSYBOX: &str = "/bin/busybox";

const TAG: &str = "demo";

/// Commands that the image has; each is busybox under its name.
const APPLETS: [&str; 6] = ["sh", "echo", "uname", "sleep", "cat", "ls"];

impl Demo {
    /// Makes sure that the image is in the registry; answers how a task names it.
    pub(super) async fn push(&self, steps: &mut Steps) -> Result<String> {
        steps.begin("creating the repository");
        let uri = self.repository().await?;
        steps.done(format!("repository {uri}"))?;

        steps.begin("making and pushing the image");
        let image = busybox_image()?;
        let size_kib = image.layer.bytes.len() / 1024;
        let registry = self.registry().await?;
        let reference: ImageReference = format!("{uri}:{TAG}").parse()?;
        let there = registry.head_manifest(&reference).await.is_ok_and(|head| head.digest == image.manifest.digest);
        if !there {
            upload(&registry, &reference, &image).await?;
        }
        steps
            .done(format!("image {reference}, {size_kib} KiB, {}", if there { "already pushed" } else { "pushed" }))?;
        Ok(reference.to_string())
    }

    async fn repository(&self) -> Result<String> {
        match self.aws.call("ecr", "CreateRepository", &json!({ "repositoryName": NAME })).await {
            Ok(made) => text(&made["repository"]["repositoryUri"]),
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => {
                let found = self.aws.call("ecr", "DescribeRepositories", &json!({ "repositoryNames": [NAME] })).await?;
                text(&found["repositories"][0]["repositoryUri"])
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A client of our registry, signed in as `docker login` would.
    async fn registry(&self) -> Result<Client> {
        let token = self.aws.call("ecr", "GetAuthorizationToken", &json!({})).await?;
        let basic = STANDARD.decode(text(&token["authorizationData"][0]["authorizationToken"])?)?;
        let basic = String::from_utf8(basic)?;
        let (username, password) =
            basic.split_once(':').context("the registry token has another form than user:password")?;
        let credentials = Credentials::Basic { username: username.to_owned(), password: password.to_owned() };
        self.endpoint.registry(credentials)
    }
}

async fn upload(registry: &Client, reference: &ImageReference, image: &BuiltImage) -> Result<()> {
    for blob in [&image.layer, &image.config] {
        if registry.blob_size(&reference.repository, &blob.digest).await?.is_none() {
            let source = Source::Bytes(blob.bytes.clone());
            registry.push_blob(&reference.repository, &blob.digest, source, Upload::Monolithic).await?;
        }
    }
    registry.put_manifest(reference, image.manifest.media_type, image.manifest.bytes.clone()).await?;
    Ok(())
}

fn busybox_image() -> Result<BuiltImage> {
    let busybox =
        std::fs::read(Path::new(BUSYBOX)).with_context(|| format!("{BUSYBOX} is missing: install busybox-static"))?;
    let mut files = vec![ImageFile { path: "bin/busybox".into(), content: busybox, mode: 0o755 }];
    files.extend(APPLETS.iter().map(|name| ImageFile {
        path: format!("bin/{name}"),
        content: format!("#!/bin/busybox sh\nexec /bin/busybox {name} \"$@\"\n").into_bytes(),
        mode: 0o755,
    }));
    let config =
        ContainerConfig { env: vec!["PATH=/bin".into()], cmd: vec!["sh".into()], ..ContainerConfig::default() };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Ok(build(&files, config, &Platform::new("linux", architecture))?)
}

pub(super) fn text(value: &serde_json::Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| anyhow!("the answer lacks a text that it should have: {value}"))
}
