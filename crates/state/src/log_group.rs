//! CloudWatch Logs groups. Events are telemetry, not state.

use crate::Tags;
use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    pub account: String,
    pub region: String,
    pub name: String,
    /// Which group of this name: a group made anew shows none of its forerunner's events.
    pub generation: u64,
    pub created_at: Timestamp,
    /// Absent: events never expire.
    pub retention_days: Option<u32>,
    pub tags: Tags,
}

impl LogGroup {
    /// The ARN without the trailing `:*` that DescribeLogGroups' `arn` has.
    pub fn arn(&self) -> Arn {
        Self::arn_of(&self.account, &self.region, &self.name)
    }

    pub fn arn_of(account: &str, region: &str, name: &str) -> Arn {
        Arn::new("logs", region, account, format!("log-group:{name}"))
    }
}

table! {
    pub LOG_GROUPS: (account, region, name) => LogGroup, kind = 0x0301, version = 1
}
