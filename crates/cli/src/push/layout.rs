//! A folder in OCI's image layout (OCI image specification, "Image Layout").

use super::image::{Blob, Image, Manifest, checked};
use anyhow::{Context, Result, bail, ensure};
use oci::{Descriptor, Digest, Manifest as Parsed, manifest};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How deep indexes may name indexes.
const DEPTH_MAX: usize = 4;

pub fn read(folder: &Path) -> Result<Image> {
    let path = folder.join("index.json");
    let bytes = fs::read(&path).with_context(|| format!("it is no OCI layout: {} cannot be read", path.display()))?;
    let index = manifest::parse(&bytes, Some(manifest::media_type::OCI_INDEX))?;
    let [only] = index.children() else {
        bail!("its index.json names {} images: choose one, by `skopeo copy` for instance", index.children().len())
    };
    let mut reader =
        Reader { folder, seen: BTreeSet::new(), image: Image { blobs: Vec::new(), manifests: Vec::new() } };
    reader.manifest(only, DEPTH_MAX)?;
    Ok(reader.image)
}

struct Reader<'a> {
    folder: &'a Path,
    seen: BTreeSet<Digest>,
    image: Image,
}

impl Reader<'_> {
    /// A manifest after all that it names.
    fn manifest(&mut self, descriptor: &Descriptor, depth: usize) -> Result<()> {
        ensure!(depth > 0, "its indexes are nested more than {DEPTH_MAX} deep");
        let path = self.path(&descriptor.digest);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(Digest::of(&bytes) == descriptor.digest, "{} is not what its name says", path.display());
        let parsed = manifest::parse(&bytes, Some(&descriptor.media_type))?;
        if let Parsed::Index(index) = &parsed {
            index.manifests.iter().try_for_each(|child| self.manifest(child, depth - 1))?;
        }
        for blob in parsed.blobs() {
            self.blob(blob)?;
        }
        self.image.manifests.push(Manifest { media_type: parsed.media_type().to_owned(), bytes: bytes.into() });
        Ok(())
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<()> {
        if manifest::media_type::is_foreign(&descriptor.media_type) || !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let blob: Blob = checked(&self.path(&descriptor.digest), descriptor.clone())?;
        self.image.blobs.push(blob);
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }
}
