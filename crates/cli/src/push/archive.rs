//! An image in one tar file: what `docker save` writes, or an OCI layout.

use super::image::{Blob, Image, Manifest, measure};
use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use oci::client::Source;
use oci::manifest::media_type;
use oci::{Descriptor, Digest, ImageConfig, ImageManifest};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Directories of a root (Filesystem Hierarchy Standard 3.0, section 3), which no saved image has.
const ROOT_DIRECTORIES: [&str; 21] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// What a tar file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Oci,
    Docker,
    /// Neither: the files of a root file system.
    RootFs,
}

pub struct Archive {
    path: PathBuf,
}

/// One image of a `docker save` archive's manifest.json.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self> {
        File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// The tar stream, inflated where it is compressed.
    pub fn stream(&self) -> Result<Box<dyn Read>> {
        let mut file = BufReader::new(File::open(&self.path)?);
        let is_gzip = io::BufRead::fill_buf(&mut file)?.starts_with(&GZIP_MAGIC);
        Ok(if is_gzip { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
    }

    /// Writes the regular files of a saved image into `folder`, and answers what it is, by the files at its root.
    /// A root file system is let be as soon as it shows. Links of older `docker save` to earlier layers are followed.
    pub fn extract(&self, folder: &Path) -> Result<Kind> {
        let mut is_empty = true;
        for entry in tar::Archive::new(self.stream()?).entries()? {
            is_empty = false;
            let mut entry = entry.context("it is no tar file")?;
            let path = entry.path()?.into_owned();
            if is_of_root(&path) {
                return Ok(Kind::RootFs);
            }
            let Some(path) = plain(&path) else { bail!("{} leads out of the archive", path.display()) };
            let target = folder.join(&path);
            match entry.header().entry_type() {
                tar::EntryType::Regular => {
                    make_parent(&target)?;
                    io::copy(&mut entry, &mut File::create_new(&target)?)?;
                }
                tar::EntryType::Symlink => {
                    let link = entry.link_name()?.context("a link without target")?.into_owned();
                    follow(folder, &path, &link)?;
                }
                _ => {}
            }
        }
        ensure!(!is_empty, "it holds nothing: give a root file system, or an image, as tar");
        let has = |name: &str| folder.join(name).is_file();
        Ok(match (has("oci-layout"), has("manifest.json")) {
            (true, _) => Kind::Oci,
            (false, true) => Kind::Docker,
            (false, false) => Kind::RootFs,
        })
    }
}

/// What a link leads to is there under its name, too; one that leads nowhere is nothing.
fn follow(folder: &Path, path: &Path, link: &Path) -> io::Result<()> {
    let from = resolved(&path.parent().unwrap_or(Path::new("")).join(link)).map(|from| folder.join(from));
    let Some(from) = from.filter(|from| from.is_file()) else { return Ok(()) };
    let target = folder.join(path);
    make_parent(&target)?;
    fs::hard_link(from, target)
}

/// True for what lies in a root's directories, or is written as from the root.
fn is_of_root(path: &Path) -> bool {
    let first = path.components().find(|part| *part != Component::CurDir);
    match first {
        Some(Component::RootDir) => true,
        Some(Component::Normal(name)) => name.to_str().is_some_and(|name| ROOT_DIRECTORIES.contains(&name)),
        _ => false,
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A relative path without `.`; `None` where it is absolute or climbs.
fn plain(path: &Path) -> Option<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
}

/// A path with its `..` taken back, if it stays inside.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if clean.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// The image of an extracted `docker save` archive.
pub fn docker_image(folder: &Path) -> Result<Image> {
    let saved = fs::read(folder.join("manifest.json")).context("manifest.json cannot be read")?;
    let saved: Vec<Saved> = serde_json::from_slice(&saved).context("manifest.json is not what docker save writes")?;
    let [saved] = &saved[..] else { bail!("it holds {} images: save one at a time", saved.len()) };
    let inside = |name: &str| plain(Path::new(name)).map(|path| folder.join(path)).context("a path leads out of it");
    let config_bytes = fs::read(inside(&saved.config)?).with_context(|| format!("{} is missing", saved.config))?;
    let diff_ids = ImageConfig::parse(&config_bytes)?.rootfs.diff_ids;
    ensure!(
        diff_ids.len() == saved.layers.len(),
        "its config names {} layers, its manifest {}",
        diff_ids.len(),
        saved.layers.len()
    );
    let config = Descriptor::new(media_type::DOCKER_CONFIG, Digest::of(&config_bytes), config_bytes.len() as u64);
    let mut blobs = Vec::new();
    for (layer, diff_id) in saved.layers.iter().zip(&diff_ids) {
        let path = inside(layer)?;
        blobs.push(Blob { descriptor: layer_descriptor(&path, diff_id)?, source: Source::File(path) });
    }
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::DOCKER_MANIFEST.to_owned()),
        artifact_type: None,
        config: config.clone(),
        layers: blobs.iter().map(|blob| blob.descriptor.clone()).collect(),
        subject: None,
        annotations: Default::default(),
    };
    let manifest =
        Manifest { media_type: media_type::DOCKER_MANIFEST.to_owned(), bytes: serde_json::to_vec(&manifest)?.into() };
    blobs.push(Blob { descriptor: config, source: Source::Bytes(config_bytes.into()) });
    Ok(Image { blobs, manifests: vec![manifest] })
}

/// Layers are saved as they were, gzipped or not; one that is not must be what the config calls it.
fn layer_descriptor(path: &Path, diff_id: &Digest) -> Result<Descriptor> {
    let mut magic = [0; 2];
    let is_gzip = File::open(path)?.read(&mut magic)? == 2 && magic == GZIP_MAGIC;
    let (digest, size) = measure(path)?;
    ensure!(is_gzip || digest == *diff_id, "layer {} is {digest}, its config says {diff_id}", path.display());
    let kind = if is_gzip { media_type::DOCKER_LAYER_GZIP } else { media_type::DOCKER_LAYER };
    Ok(Descriptor::new(kind, digest, size))
}
