//! A store that stopped writing is loaded again, until the disk takes it.

use request::Requests;
use std::time::Duration;

/// Pause before each reload: whatever stopped the disk needs time to pass.
const PAUSE: Duration = Duration::from_secs(2);

pub async fn run(requests: &Requests) {
    loop {
        let reason = requests.store_failed().await;
        tracing::error!(%reason, "the store stopped writing; it is loaded again");
        tokio::time::sleep(PAUSE).await;
        match requests.reload_store().await {
            Ok(()) => tracing::info!("the store is loaded again"),
            Err(error) => tracing::error!(%error, "the store could not be loaded again"),
        }
    }
}
