//! The audit's way out: outbox rows go to trail blocks, and only then away.

use request::Requests;
use state::{OUTBOX, OutboxRow};
use std::collections::BTreeMap;
use std::time::Duration;
use store::{CHANGED_ROWS_MAX, Key, key};

/// How long rows gather before they are drained together.
const GATHER: Duration = Duration::from_millis(500);

/// Pause after a failure of the disk or store.
const RETRY: Duration = Duration::from_secs(5);

pub async fn run(requests: &Requests) {
    let mut feed = requests.feed();
    loop {
        let pause = match slice(requests).await {
            Ok(0) => {
                // Any commit may have brought rows; a lag means that many did.
                let _ = feed.next().await;
                GATHER
            }
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::error!(error, "audit records could not be moved to the trail; they stay in the outbox");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Sequence and JSON of audit records.
type Records = Vec<(u64, Vec<u8>)>;

/// Moves at most one transaction's worth of rows; answers how many.
///
/// The trail knows each record by its sequence, so a row that was appended but
/// not yet deleted when the power went is appended again without harm.
async fn slice(requests: &Requests) -> Result<usize, String> {
    let view = requests.view();
    let rows: Vec<&OutboxRow> = view.scan(OUTBOX, &key![]).take(CHANGED_ROWS_MAX).collect();
    let mut trails: BTreeMap<(&str, &str), Records> = BTreeMap::new();
    for row in &rows {
        trails.entry((&row.account, &row.region)).or_default().push((row.sequence, row.document.clone().into_bytes()));
    }
    for ((account, region), records) in trails {
        requests.telemetry().append_trail(account, region, records).await.map_err(|error| error.to_string())?;
    }
    let keys: Vec<Key> = rows.iter().map(|row| key![&row.account, &row.region, row.sequence]).collect();
    let moved = keys.len();
    if moved > 0 {
        let delete = move |tx: &mut store::Tx| {
            for key in &keys {
                tx.delete(OUTBOX, key);
            }
            Ok(())
        };
        requests.transact(delete).await.map_err(|error| error.to_string())?;
    }
    Ok(moved)
}
