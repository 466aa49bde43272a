//! Makes a small image from files: for demonstrations and tests, not a build tool.
//!
//! The same files and config give the same bytes, and so the same digests.

use crate::digest::Digest;
use crate::image_config::{ContainerConfig, ImageConfig, RootFs};
use crate::manifest::{Descriptor, ImageManifest, Platform, media_type};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::collections::BTreeSet;
use std::io;
use tar::{Builder, EntryType, Header};

/// Mode of directories that the files are in.
const DIR_MODE: u32 = 0o755;

/// A regular file of an image; it belongs to root.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Relative to the image's root: `bin/busybox`.
    pub path: String,
    pub content: Vec<u8>,
    /// Permissions, such as `0o755`.
    pub mode: u32,
}

/// Bytes with what a registry needs to know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub media_type: &'static str,
    pub digest: Digest,
    pub bytes: Bytes,
}

/// An OCI image of one gzip layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    pub layer: Blob,
    /// Digest of the layer's uncompressed tar stream.
    pub diff_id: Digest,
    pub config: Blob,
    pub manifest: Blob,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("layer cannot be packed, use relative paths without '..': {0}")]
    Tar(#[from] io::Error),
    #[error("image config cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: Digest::of(&bytes), bytes: bytes.into() }
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type, self.digest.clone(), self.bytes.len() as u64)
    }
}

/// Builds an image for `platform` that runs as `config` says.
pub fn build(files: &[ImageFile], config: ContainerConfig, platform: &Platform) -> Result<BuiltImage, BuildError> {
    let tar = pack(files)?;
    let diff_id = Digest::of(&tar);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    io::Write::write_all(&mut gzip, &tar)?;
    let layer = Blob::new(media_type::OCI_LAYER_GZIP, gzip.finish()?);

    let config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config,
        rootfs: RootFs { diff_ids: vec![diff_id.clone()], ..RootFs::default() },
        ..ImageConfig::default()
    };
    let config = Blob::new(media_type::OCI_CONFIG, serde_json::to_vec(&config)?);

    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config: config.descriptor(),
        layers: vec![layer.descriptor()],
        subject: None,
        annotations: Default::default(),
    };
    let manifest = Blob::new(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest)?);
    Ok(BuiltImage { layer, diff_id, config, manifest })
}

fn pack(files: &[ImageFile]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let parents = files.iter().flat_map(|file| file.path.match_indices('/').map(|(at, _)| &file.path[..=at]));
    for dir in parents.collect::<BTreeSet<_>>() {
        tar.append_data(&mut header(EntryType::Directory, 0, DIR_MODE), dir, io::empty())?;
    }
    for file in files {
        let mut header = header(EntryType::Regular, file.content.len() as u64, file.mode);
        tar.append_data(&mut header, &file.path, &file.content[..])?;
    }
    tar.into_inner()
}

/// Owned by root and from 1970, wherever and whenever it is made.
fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::{BuiltImage, ImageFile, build};
    use crate::image_config::{ContainerConfig, ImageConfig};
    use crate::manifest::{self, Platform, media_type};
    use crate::unpack::{Expected, Limits, unpack};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn image() -> BuiltImage {
        let file = |path: &str, content: &str, mode| ImageFile {
            path: path.to_owned(),
            content: content.as_bytes().to_vec(),
            mode,
        };
        let files = [file("bin/tool", "#!", 0o755), file("etc/a/b", "text", 0o600)];
        let config = ContainerConfig { cmd: vec!["/bin/tool".to_owned()], ..ContainerConfig::default() };
        build(&files, config, &Platform::new("linux", "amd64")).expect("an image")
    }

    #[test]
    fn the_same_files_give_the_same_image() {
        assert_eq!(image(), image());
    }

    #[test]
    fn its_parts_fit_and_its_layer_unpacks() {
        let image = image();
        let manifest = manifest::parse(&image.manifest.bytes, None).expect("a manifest");
        assert_eq!(manifest.media_type(), media_type::OCI_MANIFEST);
        assert_eq!(manifest.config(), Some(&image.config.descriptor()));
        assert_eq!(manifest.layers(), [image.layer.descriptor()]);
        let config = ImageConfig::parse(&image.config.bytes).expect("a config");
        assert_eq!(config.config.cmd, ["/bin/tool"]);
        assert_eq!(config.platform().to_string(), "linux/amd64");
        assert_eq!(config.rootfs.diff_ids, std::slice::from_ref(&image.diff_id));

        let dir = tempfile::tempdir().expect("a folder");
        let layer = image.layer.descriptor();
        let expected = Expected { digest: layer.digest, size: layer.size, diff_id: image.diff_id };
        let root = dir.path().join("layer");
        unpack(&image.layer.bytes[..], &layer.media_type, &root, &expected, &Limits::of_layer(expected.size, 0))
            .expect("unpacked");
        let mode = |path: &str| fs::metadata(root.join(path)).expect(path).permissions().mode() & 0o7777;
        assert_eq!((mode("bin"), mode("bin/tool"), mode("etc/a/b")), (0o755, 0o755, 0o600));
        assert_eq!(fs::read_to_string(root.join("etc/a/b")).expect("b"), "text");
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let file = ImageFile { path: "../x".to_owned(), content: Vec::new(), mode: 0o644 };
        assert!(build(&[file], ContainerConfig::default(), &Platform::default()).is_err());
    }
}
