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
