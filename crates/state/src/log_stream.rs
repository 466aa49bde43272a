//! CloudWatch Logs streams.

use base::{Arn, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    pub account: String,
    pub region: String,
    pub group: String,
    pub name: String,
    /// Which stream of this name.
    pub generation: u64,
    pub created_at: Timestamp,
}

impl LogStream {
    pub fn arn_of(account: &str, region: &str, group: &str, name: &str) -> Arn {
        Arn::new("logs", region, account, format!("log-group:{group}:log-stream:{name}"))
    }
}

table! {
    pub LOG_STREAMS: (account, region, group, name) => LogStream, kind = 0x0302, version = 1
}
