//! What has been over for long enough goes: stopped tasks and old client tokens.

use base::Timestamp;
use request::Requests;
use state::{RUN_TOKENS, TASKS};
use std::time::Duration;
use store::{CHANGED_ROWS_MAX, Key, View, key};

/// Stopped tasks stay visible for 24 hours (ECS: at least one).
pub const STOPPED_TASK_TTL_MS: i64 = 24 * 3600 * 1000;

/// A RunTask token is remembered as long as the tasks it made.
pub const RUN_TOKEN_TTL_MS: i64 = STOPPED_TASK_TTL_MS;

const INTERVAL: Duration = Duration::from_secs(60);

pub async fn run(requests: &Requests) {
    loop {
        let (tasks, tokens) = expired(&requests.view(), requests.now());
        let full = tasks.len() + tokens.len() >= CHANGED_ROWS_MAX;
        let swept = requests.transact(move |tx| {
            for key in &tasks {
                tx.delete(TASKS, key);
            }
            for key in &tokens {
                tx.delete(RUN_TOKENS, key);
            }
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::error!(%error, "old rows could not be swept");
        } else if full {
            continue;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Keys of tasks and tokens whose time is over, at most a transaction's worth together. Pure.
pub fn expired(view: &View, now: Timestamp) -> (Vec<Key>, Vec<Key>) {
    let over = |at: Timestamp, ttl_ms: i64| now.millis_since(at) > ttl_ms;
    let tasks: Vec<Key> = view
        .scan(TASKS, &key![])
        .filter(|task| task.times.stopped.is_some_and(|at| over(at, STOPPED_TASK_TTL_MS)))
        .map(|task| key![&task.account, &task.region, &task.cluster, &task.id])
        .take(CHANGED_ROWS_MAX)
        .collect();
    let tokens = view
        .scan(RUN_TOKENS, &key![])
        .filter(|token| over(token.created_at, RUN_TOKEN_TTL_MS))
        .map(|token| key![&token.account, &token.region, &token.cluster, &token.token])
        .take(CHANGED_ROWS_MAX - tasks.len())
        .collect();
    (tasks, tokens)
}
