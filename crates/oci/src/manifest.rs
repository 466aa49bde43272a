//! Manifests: an image (config and layers) or an index (manifests by platform).
//!
//! OCI image specification ("Image Manifest", "Image Index") and Docker image
//! manifest version 2, schema 2. A manifest is kept and served as the bytes
//! that were pushed; these types are read from them and never written back
//! over them.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
mod tests;

/// Largest manifest, in bytes: ECR's limit for `imageManifest`.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Media types of manifests, configs and layers.
pub mod media_type {
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const OCI_FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    pub const OCI_FOREIGN_LAYER_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    pub const OCI_FOREIGN_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";

    /// Docker's version 2, schema 1: recognised only to be refused by name.
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    pub const DOCKER_SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    pub const DOCKER_FOREIGN_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

    /// Every manifest that we read, in the order in which a client asks for them.
    pub const MANIFESTS: [&str; 4] = [OCI_INDEX, DOCKER_MANIFEST_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_MANIFEST_LIST)
    }

    /// Layers that stay with their publisher: pushed by reference, never uploaded.
    pub fn is_foreign(media_type: &str) -> bool {
        matches!(
            media_type,
            OCI_FOREIGN_LAYER | OCI_FOREIGN_LAYER_GZIP | OCI_FOREIGN_LAYER_ZSTD | DOCKER_FOREIGN_LAYER_GZIP
        )
    }
}

/// What a manifest points at: content by digest, with its size and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes, as stored (compressed).
    pub size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            artifact_type: None,
            platform: None,
        }
    }
}

/// An operating system and processor, in Go's names: `linux/arm64/v8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), os: os.to_owned(), os_version: None, variant: None }
    }

    /// Linux on this machine's processor, in Go's words, which images use.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self::new("linux", architecture)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A config and its layers, lowest first. Artifacts other than images have this shape too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Manifests of the same image for several platforms, or of several artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A parsed manifest; its media type is always filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    Image(Box<ImageManifest>),
    Index(Box<Index>),
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest has {0} bytes: {MANIFEST_BYTES_MAX} at most are allowed")]
    TooLarge(usize),
    #[error("manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("manifest is not a JSON object: send the JSON of an OCI or Docker manifest")]
    NotAnObject,
    #[error("manifest names no media type, and none was given beside it: send a Content-Type or set mediaType")]
    NoMediaType,
    #[error("manifest says that it is '{inside}', but came as '{outside}': send them alike")]
    MediaTypesDiffer { inside: String, outside: String },
    #[error(
        "manifest media type '{0}' is not supported: push an OCI image manifest or index, or Docker's version 2, schema 2"
    )]
    Unsupported(String),
    #[error("manifest schemaVersion is {0}: only 2 is supported")]
    SchemaVersion(u32),
    #[error("manifest has both 'manifests' and 'layers' or 'config': it must be an image or an index, not both")]
    Ambiguous,
}

/// What decides how the rest is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(rename = "fsLayers", default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest. `content_type` is what came beside the bytes: a header, with
/// or without parameters, or ECR's `imageManifestMediaType`. Where both it and
/// the manifest name a type, they must agree, and a document that could be read
/// both as image and as index is refused (CVE-2021-41190).
pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge(bytes.len()));
    }
    // serde would take an array for a struct.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ManifestError::NotAnObject);
    }
    let probe: Probe = serde_json::from_slice(bytes)?;
    let media_type = agreed_type(&probe, content_type)?;
    if probe.manifests.is_some() && (probe.layers.is_some() || probe.config.is_some()) {
        return Err(ManifestError::Ambiguous);
    }
    let mut manifest = if media_type::is_index(&media_type) {
        Manifest::Index(serde_json::from_slice(bytes)?)
    } else {
        Manifest::Image(serde_json::from_slice(bytes)?)
    };
    let (version, slot) = match &mut manifest {
        Manifest::Image(image) => (image.schema_version, &mut image.media_type),
        Manifest::Index(index) => (index.schema_version, &mut index.media_type),
    };
    if version != 2 {
        return Err(ManifestError::SchemaVersion(version));
    }
    *slot = Some(media_type);
    Ok(manifest)
}

fn agreed_type(probe: &Probe, content_type: Option<&str>) -> Result<String, ManifestError> {
    let outside = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
    let agreed = match (probe.media_type.as_deref(), outside) {
        (Some(inside), Some(outside)) if inside != outside => {
            return Err(ManifestError::MediaTypesDiffer { inside: inside.to_owned(), outside: outside.to_owned() });
        }
        (Some(named), _) | (None, Some(named)) => named,
        (None, None) if probe.fs_layers.is_some() => media_type::DOCKER_SCHEMA_1,
        (None, None) => return Err(ManifestError::NoMediaType),
    };
    if !media_type::MANIFESTS.contains(&agreed) {
        return Err(ManifestError::Unsupported(agreed.to_owned()));
    }
    Ok(agreed.to_owned())
}

impl Manifest {
    pub fn media_type(&self) -> &str {
        let media_type = match self {
            Self::Image(image) => &image.media_type,
            Self::Index(index) => &index.media_type,
        };
        media_type.as_deref().unwrap_or_default()
    }

    /// The manifests that an index lists; none for an image.
    pub fn children(&self) -> &[Descriptor] {
        match self {
            Self::Image(_) => &[],
            Self::Index(index) => &index.manifests,
        }
    }

    pub fn config(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => Some(&image.config),
            Self::Index(_) => None,
        }
    }

    /// The layers of an image, lowest first; none for an index.
    pub fn layers(&self) -> &[Descriptor] {
        match self {
            Self::Image(image) => &image.layers,
            Self::Index(_) => &[],
        }
    }

    /// The blobs that must be in the registry before this manifest: config and
    /// layers, without foreign layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config().into_iter().chain(self.layers()).filter(|blob| !media_type::is_foreign(&blob.media_type))
    }

    /// Bytes of config and layers as stored (compressed). Zero for an index:
    /// ECR reports its largest child's, which only the registry knows.
    pub fn content_bytes(&self) -> u64 {
        self.config().into_iter().chain(self.layers()).fold(0, |sum, blob| sum.saturating_add(blob.size))
    }

    /// The kind of artifact: `artifactType`, else, for an image manifest, its
    /// config's media type (OCI distribution specification, "Listing Referrers").
    pub fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Image(image) => Some(image.artifact_type.as_deref().unwrap_or(&image.config.media_type)),
            Self::Index(index) => index.artifact_type.as_deref(),
        }
    }

    /// The manifest that this one is about: a signature's image.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    pub fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Image(image) => &image.annotations,
            Self::Index(index) => &index.annotations,
        }
    }
}

impl Index {
    /// The manifest for a platform, in Go's names (`linux`, `arm64`, `v8`).
    ///
    /// A processor runs programs for its own variant and for the ones below; the
    /// highest of those wins, then the first listed. Without a variant, the one
    /// that Go means is taken: v8 for arm64, v7 for arm, v1 for amd64. A sole
    /// entry that names no platform is taken as it is.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        if let [only @ Descriptor { platform: None, .. }] = &self.manifests[..] {
            return Some(only);
        }
        let highest = variant_rank(wanted);
        let rank = |entry: &Descriptor| {
            let platform = entry.platform.as_ref()?;
            let same = platform.os == wanted.os && platform.architecture == wanted.architecture;
            let rank = variant_rank(platform);
            let exact = platform.variant == wanted.variant;
            (same && (exact || rank.is_some_and(|rank| Some(rank) <= highest))).then_some(rank)
        };
        let ranked = self.manifests.iter().filter_map(|entry| Some((rank(entry)?, entry)));
        // max_by_key takes the last of equals; the first listed should win.
        ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
    }

    /// Where to look for a platform's manifest: at the one that [`Index::choose`] gives, else in the indexes that are
    /// listed without a platform, which may list it (image specification, "Image Index": an entry may be an index).
    pub fn candidates(&self, wanted: &Platform) -> Vec<&Descriptor> {
        if let Some(chosen) = self.choose(wanted) {
            return vec![chosen];
        }
        let nested = |entry: &&Descriptor| entry.platform.is_none() && media_type::is_index(&entry.media_type);
        self.manifests.iter().filter(nested).collect()
    }
}

/// A variant's number, `v7` being 7; none where it is not of that form, or the
/// architecture has no variants and none is given. 32-bit arm without a variant
/// is 7, as container tools take it.
fn variant_rank(platform: &Platform) -> Option<u32> {
    match (platform.variant.as_deref(), platform.architecture.as_str()) {
        (Some(variant), _) => variant.strip_prefix('v')?.parse().ok(),
        (None, "arm64") => Some(8),
        (None, "arm") => Some(7),
        (None, _) => Some(1),
    }
}
