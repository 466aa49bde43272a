//! A root file system as tar, made an image of one layer.

use super::archive::Archive;
use super::image::{Blob, Image, Manifest};
use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use oci::client::Source;
use oci::image_config::{ContainerConfig, ImageConfig, RootFs};
use oci::manifest::media_type;
use oci::{Descriptor, Digest, Hasher, ImageManifest, Platform};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes that are read at once.
const READ_BYTES: usize = 128 << 10;

pub fn read(archive: &Archive, scratch: &Path, config: ContainerConfig) -> Result<Image> {
    let path = scratch.join("layer.tar.gz");
    let (diff_id, layer) = pack(&mut *archive.stream()?, &path).context("it cannot be compressed")?;
    let platform = Platform::of_this_machine();
    let config = ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        config,
        rootfs: RootFs { diff_ids: vec![diff_id], ..RootFs::default() },
        ..ImageConfig::default()
    };
    let config = serde_json::to_vec(&config)?;
    let described = Descriptor::new(media_type::OCI_CONFIG, Digest::of(&config), config.len() as u64);
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config: described.clone(),
        layers: vec![layer.clone()],
        subject: None,
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec(&manifest)?.into();
    Ok(Image {
        blobs: vec![
            Blob { descriptor: layer, source: Source::File(path) },
            Blob { descriptor: described, source: Source::Bytes(config.into()) },
        ],
        manifests: vec![Manifest { media_type: media_type::OCI_MANIFEST.to_owned(), bytes }],
    })
}

/// Compresses the stream into a file; answers the digest of what went in, and what came out.
fn pack(tar: &mut dyn Read, path: &Path) -> io::Result<(Digest, Descriptor)> {
    let mut gzip = GzEncoder::new(Hashing { file: File::create(path)?, hasher: Hasher::new() }, Compression::fast());
    let (mut plain, mut buffer) = (Hasher::new(), vec![0; READ_BYTES]);
    loop {
        match tar.read(&mut buffer)? {
            0 => break,
            len => {
                plain.update(&buffer[..len]);
                gzip.write_all(&buffer[..len])?;
            }
        }
    }
    let hasher = gzip.finish()?.hasher;
    let size = hasher.len();
    Ok((plain.finish(), Descriptor::new(media_type::OCI_LAYER_GZIP, hasher.finish(), size)))
}

/// A file whose bytes are hashed as they are written.
struct Hashing {
    file: File,
    hasher: Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        self.hasher.update(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
