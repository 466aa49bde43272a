//! Images: a manifest or an index of a repository. The manifest's bytes are a blob.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::{Key, key, table};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub account: String,
    pub region: String,
    pub repository: String,
    /// `sha256:…` of the manifest's bytes.
    pub digest: String,
    pub media_type: String,
    pub artifact_type: Option<String>,
    pub subject: Option<String>,
    /// Bytes of config and layers, compressed; an index has its largest child's.
    pub size: u64,
    /// Bytes of the manifest itself.
    pub manifest_size: u64,
    pub pushed_at: Timestamp,
    /// When it was last pulled, to the day as ECR records it.
    pub last_pulled_at: Option<Timestamp>,
    /// Digests of an index's manifests.
    pub children: Vec<String>,
    /// Digests of config and layers.
    pub blobs: Vec<String>,
}

impl Image {
    /// The key under which `digest`, of the same repository, is found in this table's indexes.
    fn beside(&self, digest: &str) -> Key {
        key![self.account, self.region, self.repository, digest]
    }
}

table! {
    pub IMAGES: (account, region, repository, digest) => Image, kind = 0x0202, version = 1,
    by BY_CHILD(|image| image.children.iter().map(|child| image.beside(child)).collect::<Vec<_>>()),
    by BY_SUBJECT(|image| image.subject.as_ref().map(|subject| image.beside(subject))),
    by BY_BLOB(|image| image.blobs.iter().map(|blob| image.beside(blob)).collect::<BTreeSet<_>>()),
    by BY_DIGEST(|image| Some(key![image.digest]))
}
