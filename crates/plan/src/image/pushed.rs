//! What a repository's rules need to know of a manifest.

use oci::manifest::Manifest;
use oci::{Descriptor, Digest};

/// What a manifest says, as far as a repository's rules need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Of the manifest's bytes.
    pub digest: String,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub subject: Option<String>,
    /// Bytes of config and layers; zero for an index.
    pub content_bytes: u64,
    /// Bytes of the manifest itself.
    pub manifest_bytes: u64,
    /// Digests of an index's manifests.
    pub children: Vec<String>,
    /// Digests of config and layers that must have been uploaded.
    pub blobs: Vec<String>,
    /// What it says of each of these and of the children: digest, and size in bytes.
    pub stated: Vec<(String, u64)>,
    pub tag: Option<String>,
}

impl Pushed {
    /// `digest` and `manifest_bytes` are those of the text that `manifest` was read from.
    pub fn new(manifest: &Manifest, digest: &Digest, manifest_bytes: usize, tag: Option<String>) -> Self {
        let text = |descriptor: &Descriptor| descriptor.digest.to_string();
        Self {
            digest: digest.to_string(),
            media_type: manifest.media_type().to_owned(),
            artifact_type: manifest.artifact_type().map(str::to_owned),
            subject: manifest.subject().map(text),
            content_bytes: manifest.content_bytes(),
            manifest_bytes: manifest_bytes as u64,
            children: manifest.children().iter().map(text).collect(),
            blobs: manifest.blobs().map(text).collect(),
            stated: manifest.blobs().chain(manifest.children()).map(|it| (text(it), it.size)).collect(),
            tag,
        }
    }
}
