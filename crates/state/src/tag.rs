//! Image tags.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::{key, table};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageTag {
    pub account: String,
    pub region: String,
    pub repository: String,
    pub tag: String,
    pub digest: String,
    pub tagged_at: Timestamp,
}

table! {
    pub IMAGE_TAGS: (account, region, repository, tag) => ImageTag, kind = 0x0203, version = 1,
    by BY_DIGEST(|tag| Some(key![tag.account, tag.region, tag.repository, tag.digest]))
}
