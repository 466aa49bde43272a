//! The lease that the leader's key lives under.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::client::Client;
use crate::EngineError;

/// After which a leader that fell silent is followed by another one. Ours: takeover within seconds,
/// at least etcd's minimum for its default election timeout, which is two.
const TTL_S: i64 = 5;

/// Renewals within the time to live, so that one or two may fail.
const RENEWALS: u32 = 4;

/// Renewed until dropped.
pub struct Lease {
    pub id: i64,
    alive_until: Arc<Mutex<Instant>>,
    renewal: AbortHandle,
}

impl Lease {
    /// Wants to be in a runtime.
    pub async fn grant(client: &Client) -> Result<Self, EngineError> {
        let asked = Instant::now();
        let granted = client.grant_lease(TTL_S).await?;
        let ttl = seconds(granted.ttl);
        let alive_until = Arc::new(Mutex::new(asked + ttl));
        let renewal = tokio::spawn(renew(client.clone(), granted.id, ttl / RENEWALS, alive_until.clone()));
        Ok(Self { id: granted.id, alive_until, renewal: renewal.abort_handle() })
    }

    /// Counted from when the last renewal was asked for, so it is never true after etcd let it go.
    pub fn is_alive(&self) -> bool {
        Instant::now() < *self.alive_until.lock()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn renew(client: Client, id: i64, interval: Duration, alive_until: Arc<Mutex<Instant>>) {
    loop {
        tokio::time::sleep(interval).await;
        let asked = Instant::now();
        match tokio::time::timeout(interval, client.keep_lease_alive(id)).await {
            Ok(Ok(ttl_s @ 1..)) => *alive_until.lock() = asked + seconds(ttl_s),
            Ok(Ok(_)) => {
                *alive_until.lock() = asked;
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the leader's lease was not renewed; it is tried again"),
            Err(_) => tracing::warn!("etcd was too slow to renew the leader's lease; it is tried again"),
        }
    }
}

fn seconds(ttl_s: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl_s).unwrap_or_default())
}
