//! The image: busybox of this host, and nothing else.

use super::{Demo, NAME};
use crate::demo::steps::Steps;
use crate::push;
use anyhow::{Context, Result};
use oci::builder::{BuiltImage, ImageFile, build};
use oci::image_config::ContainerConfig;
use oci::{ImageReference, Platform};
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
        let uri = self.session.repository(NAME).await?;
        steps.done(format!("repository {uri}"))?;

        steps.begin("making and pushing the image");
        let image = busybox_image()?;
        let size_kib = image.layer.bytes.len() / 1024;
        let registry = self.session.registry().await?;
        let reference: ImageReference = format!("{uri}:{TAG}").parse()?;
        let there = registry.head_manifest(&reference).await.is_ok_and(|head| head.digest == image.manifest.digest);
        if !there {
            push::send(&registry, &reference, image).await?;
        }
        steps
            .done(format!("image {reference}, {size_kib} KiB, {}", if there { "already pushed" } else { "pushed" }))?;
        Ok(reference.to_string())
    }
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
    Ok(build(&files, config, &Platform::of_this_machine())?)
}
