//! What nodes tell of their tasks beside their states: kept beside the task's row, and its containers' health in it.
//!
//! An extension of the agent protocol: see docs/decisions/0008-the-story-of-a-task.md.

use crate::session::Node;
use base::Timestamp;
use state::{Health, TASK_EVENTS, TASKS, Task, TaskEvent, TaskEvents};
use std::collections::BTreeMap;
use store::{Tx, key};
use wire::acs;

/// Bytes of an event's text.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Characters of a word: an event's kind, a container's name.
const WORD_CHARS_MAX: usize = 255;

/// Keeps what `node` tells of tasks that are placed on it; the rest is passed over. What was told before is known by
/// its origin and number; what an agent told that was killed before it heard that it is kept, and the next one tells
/// again, by being the same.
pub fn take(tx: &mut Tx, node: &Node, message: &acs::TaskEventsMessage) {
    let events = message.events.as_deref().unwrap_or_default();
    let last = message.sequence.unwrap_or_default();
    let first = last - i64::try_from(events.len()).unwrap_or(i64::MAX) + 1;
    let mut by_task: BTreeMap<&str, Vec<(i64, &acs::TaskEvent)>> = BTreeMap::new();
    for (sequence, event) in (first..).zip(events) {
        by_task.entry(event.task_arn.as_deref().unwrap_or_default()).or_default().push((sequence, event));
    }
    let origin = message.origin.as_deref().unwrap_or_default();
    for (arn, events) in by_task {
        of_task(tx, node, arn, origin, &events);
    }
}

fn of_task(tx: &mut Tx, node: &Node, arn: &str, origin: &str, events: &[(i64, &acs::TaskEvent)]) {
    let Node { account, region, cluster, instance } = node;
    let id = arn.rsplit('/').next().unwrap_or_default();
    let key = key![account, region, cluster, id];
    let Some(before) = tx.get(TASKS, &key).filter(|task| task.instance.as_ref() == Some(instance)) else { return };
    let mut task = before.clone();
    let (unchanged, mut story) = (task.clone(), tx.get(TASK_EVENTS, &key).cloned().unwrap_or_else(|| empty(&task)));
    for (sequence, event) in events {
        if story.origin == origin && *sequence <= story.sequence {
            continue;
        }
        (story.origin, story.sequence) = (origin.to_owned(), *sequence);
        let is_news = learn(&mut task, event);
        let kept = kept(event);
        if is_news && !story.events.contains(&kept) {
            story.push(kept);
        }
    }
    if task != unchanged {
        tx.put(TASKS, task);
    }
    tx.put(TASK_EVENTS, story);
}

fn empty(task: &Task) -> TaskEvents {
    TaskEvents {
        account: task.account.clone(),
        region: task.region.clone(),
        cluster: task.cluster.clone(),
        task: task.id.clone(),
        ..TaskEvents::default()
    }
}

/// Notes a container's health; false for one that was known already. Health makes no event of the task's, so its
/// version stays.
fn learn(task: &mut Task, event: &acs::TaskEvent) -> bool {
    let Some(health) = event.health.as_deref().and_then(Health::parse) else { return true };
    let container = task.containers.iter_mut().find(|it| Some(&it.name) == event.container.as_ref());
    match container.and_then(|container| container.health.as_mut()) {
        Some(known) => std::mem::replace(known, health) != health,
        None => false,
    }
}

fn kept(event: &acs::TaskEvent) -> TaskEvent {
    let word = |text: &Option<String>| text.as_ref().map(|text| text.chars().take(WORD_CHARS_MAX).collect::<String>());
    let mut text = event.text.clone().unwrap_or_default();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    TaskEvent {
        at: Timestamp::from_millis(event.at.unwrap_or_default()),
        kind: word(&event.kind).unwrap_or_default(),
        container: word(&event.container),
        text,
        exit_code: event.exit_code,
        signal: event.signal,
        out_of_memory: event.out_of_memory == Some(true),
        health: event.health.as_deref().and_then(Health::parse).map(|health| health.as_str().to_owned()),
        bytes: event.bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{session, task};
    use base::ApiError;
    use state::DesiredStatus::Running;
    use state::LastStatus;
    use store::{MemoryEngine, Store};

    fn node() -> Node {
        session().node().clone()
    }

    const ARN: &str = "arn:aws:ecs:r:0:task/c/t1";

    fn event(text: &str, health: Option<&str>) -> acs::TaskEvent {
        acs::TaskEvent {
            task_arn: Some(ARN.to_owned()),
            container: Some("app".to_owned()),
            kind: Some("KIND".to_owned()),
            text: Some(text.to_owned()),
            health: health.map(str::to_owned),
            ..acs::TaskEvent::default()
        }
    }

    /// The task's story and its container's health after the messages: origin, last number, events.
    async fn after(node: Node, messages: Vec<(&str, i64, Vec<acs::TaskEvent>)>) -> (Vec<String>, Option<Health>) {
        let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
        let mut row = task("t1", Running, LastStatus::Pending);
        row.containers[0].health = Some(Health::Unknown);
        let messages: Vec<_> = messages
            .into_iter()
            .map(|(origin, sequence, events)| acs::TaskEventsMessage {
                origin: Some(origin.to_owned()),
                sequence: Some(sequence),
                events: Some(events),
            })
            .collect();
        let stored = store.transact(move |tx| {
            tx.put(TASKS, row);
            messages.iter().for_each(|message| take(tx, &node, message));
            Ok::<_, ApiError>(())
        });
        stored.await.expect("stored");
        let (view, key) = (store.view(), key!["0", "r", "c", "t1"]);
        let story = view.get(TASK_EVENTS, &key).map(|story| story.events.iter().map(|it| it.text.clone()).collect());
        (story.unwrap_or_default(), view.get(TASKS, &key).and_then(|task| task.containers[0].health))
    }

    #[tokio::test]
    async fn what_is_told_twice_is_kept_once() {
        let [a, b, c] = ["a", "b", "c"].map(|text| event(text, None));
        let d = event("d", None);
        let told =
            vec![("o", 2, vec![a.clone(), b.clone()]), ("o", 3, vec![b.clone(), c.clone()]), ("p", 2, vec![a, d])];
        assert_eq!(after(node(), told).await.0, ["a", "b", "c", "d"]);
        let (story, _) = after(Node { instance: "other".into(), ..node() }, vec![("o", 1, vec![c])]).await;
        assert_eq!(story, [""; 0], "of another node's task");
    }

    #[tokio::test]
    async fn health_is_noted_and_told_when_it_changes() {
        let (well, ill) = (event("well", Some("HEALTHY")), event("ill", Some("UNHEALTHY")));
        let told = vec![("o", 3, vec![well.clone(), well.clone(), ill])];
        assert_eq!(after(node(), told).await, (vec!["well".to_owned(), "ill".to_owned()], Some(Health::Unhealthy)));
        let unknown = acs::TaskEvent { container: Some("none".to_owned()), ..well };
        assert_eq!(after(node(), vec![("o", 1, vec![unknown])]).await, (Vec::new(), Some(Health::Unknown)));
    }
}
