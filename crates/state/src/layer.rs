//! Blobs as a repository knows them: who may pull one is decided by repository.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::{key, table};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub account: String,
    pub region: String,
    pub repository: String,
    pub digest: String,
    /// Bytes, as stored.
    pub size: u64,
    pub uploaded_at: Timestamp,
}

table! {
    pub LAYERS: (account, region, repository, digest) => Layer, kind = 0x0204, version = 1,
    by BY_DIGEST(|layer| Some(key![layer.digest]))
}
