//! What a transaction says to the world: written with its rows, delivered after.

use serde::{Deserialize, Serialize};
use store::table;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub account: String,
    pub region: String,
    /// The version of the transaction that wrote it: unique, rising; the trail keeps this order.
    pub sequence: u64,
    pub kind: OutboxKind,
    /// A JSON document: for [`OutboxKind::Audit`] a CloudTrail record.
    pub document: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxKind {
    Audit,
}

table! {
    pub OUTBOX: (account, region, sequence) => OutboxRow, kind = 0x0002, version = 1
}
