//! A small image made by hand from the host's busybox, as a folder that skopeo copies from.

use anyhow::{Context, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A `dir:` image for skopeo, of one uncompressed layer: busybox and its applets.
pub struct HostImage {
    dir: TempDir,
}

impl HostImage {
    /// Makes the image with `cmd` as what it runs.
    pub fn busybox(cmd: &[&str]) -> Result<Self> {
        let image = Self { dir: tempfile::tempdir()? };
        let layer = image.layer()?;
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": cmd, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
            "history": [{ "created_by": "hand" }],
        });
        let config = image.blob(config.to_string().as_bytes())?;
        let descriptor = |media: &str, digest: &str| -> Result<serde_json::Value> {
            let size = std::fs::metadata(image.path().join(digest))?.len();
            Ok(json!({ "mediaType": media, "size": size, "digest": format!("sha256:{digest}") }))
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": descriptor("application/vnd.docker.container.image.v1+json", &config)?,
            "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar", &layer)?],
        });
        std::fs::write(image.path().join("manifest.json"), manifest.to_string())?;
        std::fs::write(image.path().join("version"), "Directory Transport Version: 1.1\n")?;
        Ok(image)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `dir:…` for skopeo.
    pub fn source(&self) -> String {
        format!("dir:{}", self.path().display())
    }

    /// Packs the layer with tar; answers its digest's digits, which are its file's name.
    fn layer(&self) -> Result<String> {
        let root = tempfile::tempdir()?;
        let bin = root.path().join("bin");
        for folder in ["bin", "tmp", "etc"] {
            std::fs::create_dir(root.path().join(folder))?;
        }
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")?;
        std::fs::copy("/bin/busybox", bin.join("busybox")).context("busybox-static is missing")?;
        for applet in [
            "sh", "echo", "cat", "sleep", "id", "env", "pwd", "nc", "httpd", "ls", "ip", "dd", "tail", "true", "date",
            "trap",
        ] {
            std::os::unix::fs::symlink("busybox", bin.join(applet))?;
        }
        let tar = self.path().join("layer.tar");
        let packed = Command::new("tar")
            .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"])
            .arg(root.path())
            .arg("-cf")
            .arg(&tar)
            .arg(".")
            .status()?;
        anyhow::ensure!(packed.success(), "tar failed");
        let digest = self.blob(&std::fs::read(&tar)?)?;
        std::fs::remove_file(tar)?;
        Ok(digest)
    }

    fn blob(&self, bytes: &[u8]) -> Result<String> {
        let file: PathBuf = self.path().join("blob.new");
        std::fs::write(&file, bytes)?;
        let sum = Command::new("sha256sum").arg(&file).output()?;
        let digest = String::from_utf8(sum.stdout)?.split_whitespace().next().context("no digest")?.to_owned();
        std::fs::rename(file, self.path().join(&digest))?;
        Ok(digest)
    }
}
