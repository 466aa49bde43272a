//! What a node tells of a task beside its states: a bounded list, kept as long as the task.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use store::table;

/// Entries of one task. The first half stays as it is; beyond, the oldest of the second half go.
pub const TASK_EVENTS_MAX: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskEvents {
    pub account: String,
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The task's id.
    pub task: String,
    /// As they were told.
    pub events: Vec<TaskEvent>,
    /// How many had to go.
    pub dropped: u64,
    /// The life of the agent that told the last, and its number there: what is told twice is known by it.
    pub origin: String,
    pub sequence: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    pub at: Timestamp,
    /// Such as `PULLED`.
    pub kind: String,
    pub container: Option<String>,
    pub text: String,
    pub exit_code: Option<i64>,
    pub signal: Option<i64>,
    pub out_of_memory: bool,
    pub health: Option<String>,
    /// Fetched from a registry.
    pub bytes: Option<i64>,
}

impl TaskEvents {
    pub fn push(&mut self, event: TaskEvent) {
        if self.events.len() >= TASK_EVENTS_MAX {
            self.events.remove(TASK_EVENTS_MAX / 2);
            self.dropped += 1;
        }
        self.events.push(event);
    }
}

table! {
    pub TASK_EVENTS: (account, region, cluster, task) => TaskEvents, kind = 0x0108, version = 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_latest_stay() {
        let mut story = TaskEvents::default();
        for number in 0..TASK_EVENTS_MAX + 5 {
            story.push(TaskEvent { text: number.to_string(), ..TaskEvent::default() });
        }
        assert_eq!((story.events.len(), story.dropped), (TASK_EVENTS_MAX, 5));
        let at = |index: usize| story.events[index].text.as_str();
        assert_eq!((at(0), at(99), at(100), at(199)), ("0", "99", "105", "204"));
    }
}
