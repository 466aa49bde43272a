//! Uploads under way; their bytes are in the blob store's staging.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    pub account: String,
    pub region: String,
    pub repository: String,
    /// A UUID.
    pub id: String,
    pub created_at: Timestamp,
    /// Where the first part of UploadLayerPart ended that was too short for any but the last, in bytes.
    #[serde(default)]
    pub short_part_end: Option<u64>,
}

table! {
    pub UPLOADS: (account, region, repository, id) => Upload, kind = 0x0205, version = 1
}
