//! An image of several layers, as people's base images have them, as a folder that skopeo copies from.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A `dir:` image for skopeo (its files are named by their digests' digits).
pub struct LayeredImage {
    dir: TempDir,
    /// Diff ids' digits, lowest layer first.
    layers: Vec<String>,
}

impl LayeredImage {
    pub fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, layers: Vec::new() })
    }

    /// Adds a layer that GNU tar packs from what `fill` puts into an empty folder; answers its diff id's digits.
    /// `names` are packed in that order; the folder itself is not, nor is what they do not name.
    pub fn pack(&mut self, names: &[&str], fill: impl FnOnce(&Path) -> Result<()>) -> Result<String> {
        let root = tempfile::tempdir()?;
        fill(root.path())?;
        let tar = self.dir.path().join("layer.tar");
        let mut command = Command::new("tar");
        command.args(["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C"]);
        let packed = command.arg(root.path()).arg("-cf").arg(&tar).args(names).status()?;
        anyhow::ensure!(packed.success(), "tar failed");
        self.add(&tar)
    }

    /// Adds a tar file as a layer, and takes it.
    pub fn add(&mut self, tar: &Path) -> Result<String> {
        let layer = self.take(tar)?;
        self.layers.push(layer.clone());
        Ok(layer)
    }

    /// Writes config and manifest; answers `dir:…` for skopeo. `config` is what containers are started with.
    pub fn finish(&self, config: &Value) -> Result<String> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| format!("sha256:{layer}")).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.blob(config.to_string().as_bytes())?;
        let layers = self.layers.iter().map(|layer| self.descriptor("application/vnd.oci.image.layer.v1.tar", layer));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.descriptor("application/vnd.oci.image.config.v1+json", &config)?,
            "layers": layers.collect::<Result<Vec<_>>>()?,
        });
        fs::write(self.dir.path().join("manifest.json"), manifest.to_string())?;
        fs::write(self.dir.path().join("version"), "Directory Transport Version: 1.1\n")?;
        Ok(format!("dir:{}", self.dir.path().display()))
    }

    fn descriptor(&self, media_type: &str, digest: &str) -> Result<Value> {
        let size = fs::metadata(self.dir.path().join(digest))?.len();
        Ok(json!({ "mediaType": media_type, "size": size, "digest": format!("sha256:{digest}") }))
    }

    fn blob(&self, bytes: &[u8]) -> Result<String> {
        let file: PathBuf = self.dir.path().join("blob.new");
        fs::write(&file, bytes)?;
        self.take(&file)
    }

    /// Gives a file of the folder, or a copy of one from elsewhere, its digest's name.
    fn take(&self, file: &Path) -> Result<String> {
        let sum = Command::new("sha256sum").arg(file).output()?;
        let digest = String::from_utf8(sum.stdout)?.split_whitespace().next().context("no digest")?.to_owned();
        let named = self.dir.path().join(&digest);
        if file.starts_with(self.dir.path()) {
            fs::rename(file, named)?;
        } else {
            fs::copy(file, named)?;
        }
        Ok(digest)
    }
}
