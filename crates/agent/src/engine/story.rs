//! The tasks' story on its way to the control plane: gathered, told, kept until it is taken.
//!
//! It is told after the fact, so that no task waits for it. What a control plane does not want (Amazon's) is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wire::acs::{TaskEvent, TaskEventsMessage};

/// How long events gather before they are told together.
const GATHER_TIME: Duration = Duration::from_millis(100);
/// Events of one message: with the row of each one's task it changes, they fit one transaction of the control plane.
const MESSAGE_EVENTS_MAX: usize = 50;
/// Events that are kept while no control plane takes them; older ones are dropped.
const KEPT_EVENTS_MAX: usize = 5_000;

pub struct Story {
    origin: String,
    /// Not taken yet, in order.
    events: VecDeque<TaskEvent>,
    /// The sequence number of the first of them.
    first: i64,
    /// How many of them were told in this session.
    told: usize,
    /// This session's control plane wants to hear.
    wanted: bool,
    /// When the next are told.
    due: Option<Instant>,
}

impl Story {
    /// `origin` tells this life of the agent from others.
    pub fn new(origin: String) -> Self {
        Self { origin, events: VecDeque::new(), first: 1, told: 0, wanted: false, due: None }
    }

    pub fn add(&mut self, events: Vec<TaskEvent>) {
        self.events.extend(events);
        let excess = self.events.len().saturating_sub(KEPT_EVENTS_MAX);
        self.forget(excess);
        self.schedule();
    }

    /// A session began whose control plane wants to hear all that it has not taken.
    pub fn want(&mut self) {
        (self.wanted, self.told) = (true, 0);
        self.schedule();
    }

    pub fn taken(&mut self, origin: &str, sequence: i64) {
        let count = usize::try_from(sequence - self.first + 1).unwrap_or_default();
        if origin == self.origin {
            self.forget(count.min(self.told));
        }
    }

    /// Returns when there is something to tell.
    pub async fn is_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// What there is to tell now.
    pub fn next(&mut self) -> Option<TaskEventsMessage> {
        self.due = None;
        let events: Vec<TaskEvent> = self.events.iter().skip(self.told).take(MESSAGE_EVENTS_MAX).cloned().collect();
        if events.is_empty() || !self.wanted {
            return None;
        }
        self.told += events.len();
        let sequence = self.first + i64::try_from(self.told).unwrap_or(i64::MAX) - 1;
        Some(TaskEventsMessage { origin: Some(self.origin.clone()), sequence: Some(sequence), events: Some(events) })
    }

    fn schedule(&mut self) {
        if self.wanted && self.told < self.events.len() {
            self.due.get_or_insert_with(|| Instant::now() + GATHER_TIME);
        }
    }

    fn forget(&mut self, count: usize) {
        self.events.drain(..count);
        self.first += i64::try_from(count).unwrap_or(i64::MAX);
        self.told = self.told.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(numbers: impl Iterator<Item = usize>) -> Vec<TaskEvent> {
        numbers.map(|number| TaskEvent { text: Some(number.to_string()), ..TaskEvent::default() }).collect()
    }

    fn told(story: &mut Story) -> Option<(i64, Vec<String>)> {
        let message = story.next()?;
        let texts = message.events.into_iter().flatten().filter_map(|event| event.text);
        Some((message.sequence?, texts.collect()))
    }

    #[test]
    fn what_was_not_taken_is_told_again_to_the_next_session() {
        let mut story = Story::new("o".to_owned());
        story.add(events(1..4));
        assert_eq!(told(&mut story), None, "nobody wants it yet");
        story.want();
        let all = |from: usize, to: usize| (from..=to).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(told(&mut story), Some((3, all(1, 3))));
        story.add(events(4..5));
        assert_eq!(told(&mut story), Some((4, all(4, 4))));
        story.taken("another life", 4);
        story.taken("o", 2);
        assert_eq!(told(&mut story), None, "all is told");
        story.want();
        assert_eq!(told(&mut story), Some((4, all(3, 4))));
        story.taken("o", 99);
        story.want();
        assert_eq!(told(&mut story), None);
    }

    #[test]
    fn messages_and_memory_are_bounded() {
        let mut story = Story::new("o".to_owned());
        story.want();
        story.add(events(0..KEPT_EVENTS_MAX + 10));
        let (sequence, texts) = told(&mut story).expect("events");
        assert_eq!((sequence, texts.len(), texts[0].as_str()), (60, MESSAGE_EVENTS_MAX, "10"));
    }
}
