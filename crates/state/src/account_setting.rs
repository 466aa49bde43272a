//! ECS account settings, one row for each that somebody chose.

use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSetting {
    pub account: String,
    pub region: String,
    /// ARN of the principal that it holds for; the root's holds for all that chose nothing themselves.
    pub principal: String,
    pub name: String,
    pub value: String,
}

table! {
    pub ACCOUNT_SETTINGS: (account, region, principal, name) => AccountSetting, kind = 0x0107, version = 1
}
