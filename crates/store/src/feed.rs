//! The change feed: every durable transaction that changed rows, in order.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::{Change, Store};

/// Commits that a reader may fall behind before it is told that it lagged. Ours: some seconds of
/// the busiest installation, a few MiB of rows.
pub const FEED_COMMITS_MAX: usize = 1_024;

/// One durable transaction.
pub struct Commit {
    /// [`View::version`](crate::View::version) from which on its changes are seen.
    pub version: u64,
    /// At least one.
    pub changes: Vec<Change>,
}

/// Commits were missed. Read what matters from [`Store::view`] again; the feed goes on with later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of the change feed fell behind: read the view again")]
pub struct Lagged;

/// What goes through the ring.
#[derive(Clone)]
pub(crate) enum FeedItem {
    Commit(Arc<Commit>),
    /// The rows were loaded again, and what changed by that is not known.
    Reloaded,
}

/// A reader's place in the feed. Keeps the store open.
pub struct Feed {
    items: broadcast::Receiver<FeedItem>,
    _store: Store,
}

impl Feed {
    pub(crate) fn new(items: broadcast::Receiver<FeedItem>, store: Store) -> Self {
        Self { items, _store: store }
    }

    /// The next commit after the subscription or the last call. Cancelling it loses nothing.
    ///
    /// # Errors
    /// [`Lagged`] when commits were missed, or the store reloaded.
    pub async fn next(&mut self) -> Result<Arc<Commit>, Lagged> {
        match self.items.recv().await {
            Ok(FeedItem::Commit(commit)) => Ok(commit),
            Ok(FeedItem::Reloaded) | Err(RecvError::Lagged(_)) => Err(Lagged),
            // The store is open, so only a dead writer ends the feed: nothing will change any more.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
