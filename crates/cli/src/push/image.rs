//! An image that is ready to be sent.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use oci::builder::BuiltImage;
use oci::client::Source;
use oci::{Descriptor, Digest, Hasher};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that are read at once.
const READ_BYTES: usize = 128 << 10;

/// Blobs first, then manifests; the last manifest is the one that gets the tag.
pub struct Image {
    pub blobs: Vec<Blob>,
    pub manifests: Vec<Manifest>,
}

pub struct Blob {
    pub descriptor: Descriptor,
    pub source: Source,
}

pub struct Manifest {
    pub media_type: String,
    pub bytes: Bytes,
}

impl From<BuiltImage> for Image {
    fn from(built: BuiltImage) -> Self {
        let blob = |blob: oci::builder::Blob| Blob { descriptor: blob.descriptor(), source: Source::Bytes(blob.bytes) };
        let manifest = Manifest { media_type: built.manifest.media_type.to_owned(), bytes: built.manifest.bytes };
        Self { blobs: vec![blob(built.layer), blob(built.config)], manifests: vec![manifest] }
    }
}

/// Digest and size of a file, read once.
pub fn measure(path: &Path) -> Result<(Digest, u64)> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            len => hasher.update(&buffer[..len]),
        }
    }
    let size = hasher.len();
    Ok((hasher.finish(), size))
}

/// The file as a blob that must be what `descriptor` says.
pub fn checked(path: &Path, descriptor: Descriptor) -> Result<Blob> {
    let (digest, size) = measure(path)?;
    ensure!(
        digest == descriptor.digest && size == descriptor.size,
        "{} holds {digest} of {size} bytes, not {} of {}",
        path.display(),
        descriptor.digest,
        descriptor.size
    );
    Ok(Blob { descriptor, source: Source::File(path.to_owned()) })
}
