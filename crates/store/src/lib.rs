//! Rows in memory, transactions on them, and engines that keep them.
//!
//! ```text
//! transact ─▶ writer: runs on the head ─▶ committer: engine.commit(batch) ─▶ view, feed, answer
//! ```
//!
//! - A table is declared with [`table!`] and reached by its name: `view.get(TASKS, &key![..])`.
//! - Beside rows a table keeps indexes and sums over rows; both are derived and never stored.
//! - One writer runs transactions one by one on the head, a persistent map, and works ahead of the
//!   disk. Views, the feed and every answer show durable versions only.
//! - Batches group themselves: what has run while the last sync was under way goes into the next.
//! - A failed batch stops the store. [`Store::reload`] takes it back to what is durable.
//! - Several servers may share an engine. One leads; the stores of the others follow its batches,
//!   refuse transactions, and one of them leads when the leader is gone: [`Role`].
//! - An outbox is a table like any other: rows that a transaction writes beside its changes, keyed
//!   by [`Tx::next_version`], and that a reader of durable views deletes once it has acted on them.
//!
//! What this room does not know: any row, table, account or service (they are declared elsewhere);
//! time, chance and names; HTTP; who may do what. Engines know neither rows nor their types. No
//! room but this one touches the engine, and nothing else here touches disk or network.

mod engine;
mod error;
mod feed;
mod key;
mod role;
mod row;
mod store;
mod sum;
mod table;
mod tx;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use engine::{
    Batch, Engine, EtcdEngine, EtcdPlace, FjallEngine, Followed, Limits, Loaded, MemoryEngine, Standing, StoredRow,
    Write,
};
pub use error::{EngineError, RowError, StoreError, TransactError};
pub use feed::{Commit, FEED_COMMITS_MAX, Feed, Lagged};
pub use key::{Key, KeyPart};
pub use role::Role;
pub use row::{Row, from_cbor};
pub use store::{Committed, Store};
pub use sum::{Sign, Sum, SumOf, Sums};
pub use table::{Index, Schema, Table, index_entries, sum_row};
pub use tx::{BeforeAfter, CHANGED_BYTES_MAX, CHANGED_ROWS_MAX, Change, KEY_BYTES_MAX, Tx};
pub use view::View;
