//! RunTask's client tokens: a replay answers the same tasks.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunToken {
    pub account: String,
    pub region: String,
    pub cluster: String,
    pub token: String,
    /// SHA-256 of the request's canonical JSON, hexadecimal: another request with this token is a conflict.
    pub request_sha256: String,
    /// Ids of the tasks that the first request made.
    pub tasks: Vec<String>,
    pub created_at: Timestamp,
}

table! {
    pub RUN_TOKENS: (account, region, cluster, token) => RunToken, kind = 0x0106, version = 1
}
