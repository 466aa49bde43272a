//! What is over goes: stopped tasks and client tokens after a while, deleted task definitions once no task uses them.

use base::Timestamp;
use request::Requests;
use state::{DefinitionStatus, RUN_TOKENS, TASK_DEFINITIONS, TASK_EVENTS, TASKS, Task, TaskDefinition};
use std::time::Duration;
use store::{CHANGED_ROWS_MAX, Key, Tx, View, key};

/// Stopped tasks stay visible for 24 hours (ECS: at least one).
pub const STOPPED_TASK_TTL_MS: i64 = 24 * 3600 * 1000;

/// A RunTask token is remembered as long as the tasks it made.
pub const RUN_TOKEN_TTL_MS: i64 = STOPPED_TASK_TTL_MS;

const INTERVAL: Duration = Duration::from_secs(60);

pub async fn run(requests: &Requests) {
    loop {
        let expired = Expired::of(&requests.view(), requests.now());
        let full = expired.len() + 1 >= CHANGED_ROWS_MAX;
        let swept = requests.transact(move |tx| {
            expired.delete(tx);
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

/// Keys of what is over, at most a transaction's worth together.
#[derive(Debug, Default)]
pub struct Expired {
    pub tasks: Vec<Key>,
    pub tokens: Vec<Key>,
    /// Deleted task definitions that no task uses any more.
    pub definitions: Vec<Key>,
}

impl Expired {
    /// What is over at `now`. Pure.
    pub fn of(view: &View, now: Timestamp) -> Self {
        let over = |at: Timestamp, ttl_ms: i64| now.millis_since(at) > ttl_ms;
        let tasks: Vec<Key> = view
            .scan(TASKS, &key![])
            .filter(|task| task.times.stopped.is_some_and(|at| over(at, STOPPED_TASK_TTL_MS)))
            .map(|task| key![&task.account, &task.region, &task.cluster, &task.id])
            // Each goes with its story.
            .take(CHANGED_ROWS_MAX / 2)
            .collect();
        let room = CHANGED_ROWS_MAX - 2 * tasks.len();
        let tokens: Vec<Key> = view
            .scan(RUN_TOKENS, &key![])
            .filter(|token| over(token.created_at, RUN_TOKEN_TTL_MS))
            .map(|token| key![&token.account, &token.region, &token.cluster, &token.token])
            .take(room)
            .collect();
        let room = room - tokens.len();
        Self { definitions: unused_definitions(view).take(room).collect(), tasks, tokens }
    }

    fn len(&self) -> usize {
        2 * self.tasks.len() + self.tokens.len() + self.definitions.len()
    }

    fn delete(&self, tx: &mut Tx) {
        for key in &self.tasks {
            tx.delete(TASKS, key);
            tx.delete(TASK_EVENTS, key);
        }
        for key in &self.tokens {
            tx.delete(RUN_TOKENS, key);
        }
        for key in &self.definitions {
            tx.delete(TASK_DEFINITIONS, key);
        }
    }
}

/// Deleted task definitions that no task runs by. None can start to: RunTask refuses them.
fn unused_definitions(view: &View) -> impl Iterator<Item = Key> {
    let deleted = view.scan(TASK_DEFINITIONS, &key![]).filter(|row| row.status == DefinitionStatus::DeleteInProgress);
    deleted
        .filter(|row| !view.scan(TASKS, &key![row.account, row.region]).any(|task| uses(task, row)))
        .map(|row| key![&row.account, &row.region, &row.family, row.revision])
}

fn uses(task: &Task, definition: &TaskDefinition) -> bool {
    task.holds_resources() && task.family == definition.family && task.revision == definition.revision
}
