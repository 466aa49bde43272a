//! ECR repositories.

use crate::Tags;
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    pub account: String,
    pub region: String,
    pub name: String,
    pub created_at: Timestamp,
    pub tags: Tags,
    #[serde(default)]
    pub mutability: TagMutability,
}

/// Which image tags may be moved to another image: mutable ones, and all are unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMutability {
    /// What holds for tags that no exclusion matches.
    pub immutable: bool,
    /// Wildcards, `*` for any run of characters: for tags that match, the opposite holds.
    pub exclusions: Vec<String>,
}

impl Repository {
    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.name)
    }

    pub fn arn_of(account: &str, region: &str, name: &str) -> Arn {
        Arn::new("ecr", region, account, format!("repository/{name}"))
    }
}

table! {
    pub REPOSITORIES: (account, region, name) => Repository, kind = 0x0201, version = 1
}
