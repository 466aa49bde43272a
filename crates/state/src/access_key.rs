//! Access keys: what a SigV4 signature names and is checked with.

use base::{Sealed, Timestamp};
use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    pub account: String,
    /// 20 characters, `AKIA…`.
    pub id: String,
    /// The 40-character secret, sealed for [`AccessKey::seal_context`].
    pub secret: Sealed,
    pub owner: KeyOwner,
    pub created_at: Timestamp,
}

/// Whom a signature with this key speaks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum KeyOwner {
    /// The account's root.
    Root,
    /// A node of one cluster; `instance` is the container instance's id once it registered.
    Node { region: String, cluster: String, instance: Option<String> },
}

impl AccessKey {
    /// The sealing context of the secret of key `id`.
    pub fn seal_context(id: &str) -> String {
        format!("access-key/{id}")
    }
}

table! {
    /// Looked up by id alone, since a signature names no account: ids are unique in the installation.
    pub ACCESS_KEYS: (id) => AccessKey, kind = 0x0001, version = 1
}
