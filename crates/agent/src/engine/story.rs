//! The tasks' story on its way to the control plane: gathered, told, kept until it is taken.
//!
//! It is told after the fact, so that no task waits for it; but a task's end is reported only once all of its story is
//! taken, so that who sees the end finds it whole. What a control plane does not want (Amazon's) is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use wire::acs::{TaskEvent, TaskEventsMessage};

/// How long events gather before they are told together.
const GATHER_TIME: Duration = Duration::from_millis(100);
/// How long a report waits at most for the story to be taken.
const TAKE_TIME: Duration = Duration::from_secs(5);
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
    /// The control plane wants to hear; none before the first session has told.
    wanted: Option<bool>,
    /// When the next are told.
    due: Option<Instant>,
    /// Somebody waits for what there is to be taken.
    hurried: bool,
    /// The number of the last one that was taken, or dropped.
    taken: watch::Sender<i64>,
}

impl Story {
    /// `origin` tells this life of the agent from others.
    pub fn new(origin: String) -> Self {
        let (taken, events) = (watch::Sender::new(0), VecDeque::new());
        Self { origin, events, first: 1, told: 0, wanted: None, due: None, hurried: false, taken }
    }

    pub fn add(&mut self, events: Vec<TaskEvent>) {
        self.events.extend(events);
        let excess = self.events.len().saturating_sub(KEPT_EVENTS_MAX);
        self.forget(excess);
        self.schedule();
    }

    /// A session began whose control plane wants to hear all that it has not taken.
    pub fn want(&mut self) {
        (self.wanted, self.told) = (Some(true), 0);
        self.schedule();
    }

    /// A session began; one whose control plane wants to hear has said so by now.
    pub fn met(&mut self) {
        self.wanted.get_or_insert(false);
    }

    pub fn taken(&mut self, origin: &str, sequence: i64) {
        let count = usize::try_from(sequence - self.first + 1).unwrap_or_default();
        if origin == self.origin {
            self.forget(count.min(self.told));
            self.schedule();
        }
    }

    /// Tells what there is at once, and returns when it is taken; nobody waits longer than [`TAKE_TIME`], nor for a
    /// control plane that does not want to hear.
    pub fn whole(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let (mut taken, last) = (self.taken.subscribe(), self.last());
        let waits = self.wanted != Some(false) && !self.events.is_empty();
        self.hurried |= waits;
        self.schedule();
        async move {
            if waits && timeout(TAKE_TIME, taken.wait_for(|number| *number >= last)).await.is_err() {
                tracing::warn!("the control plane does not take the story of tasks; an end is reported before it");
            }
        }
    }

    /// What was not taken yet of a task's story.
    pub fn of(&self, task: &str) -> Vec<TaskEvent> {
        self.events.iter().filter(|event| event.task_arn.as_deref() == Some(task)).cloned().collect()
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
        (self.due, self.hurried) = (None, false);
        let events: Vec<TaskEvent> = self.events.iter().skip(self.told).take(MESSAGE_EVENTS_MAX).cloned().collect();
        if events.is_empty() || self.wanted != Some(true) {
            return None;
        }
        self.told += events.len();
        let sequence = self.first + count(self.told) - 1;
        Some(TaskEventsMessage { origin: Some(self.origin.clone()), sequence: Some(sequence), events: Some(events) })
    }

    /// Whoever hurries waits for no more than the answer to what is told already: meanwhile, more gathers.
    fn schedule(&mut self) {
        if self.wanted == Some(true) && self.told < self.events.len() {
            let gather = if self.hurried && self.told == 0 { Duration::ZERO } else { GATHER_TIME };
            let due = Instant::now() + gather;
            self.due = Some(self.due.map_or(due, |before| before.min(due)));
        }
    }

    fn forget(&mut self, number: usize) {
        self.events.drain(..number);
        self.first += count(number);
        self.told = self.told.saturating_sub(number);
        self.taken.send_replace(self.first - 1);
    }

    /// The number of the last event that there is.
    fn last(&self) -> i64 {
        self.first + count(self.events.len()) - 1
    }
}

fn count(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
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

    #[tokio::test(start_paused = true)]
    async fn an_end_waits_until_its_story_is_taken() {
        let mut story = Story::new("o".to_owned());
        let begun = Instant::now();
        story.add(events(1..3));
        let whole = tokio::spawn(story.whole());
        tokio::task::yield_now().await;
        assert!(!whole.is_finished() && story.due.is_none(), "nobody is there yet who could want it");
        story.want();
        story.met();
        story.is_due().await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "it is told at once");
        assert_eq!(told(&mut story).map(|(last, _)| last), Some(2));
        story.add(events(3..4));
        let next = tokio::spawn(story.whole());
        tokio::task::yield_now().await;
        assert!(!whole.is_finished());
        story.taken("o", 2);
        whole.await.expect("taken");
        assert_eq!(story.due, Some(begun), "what gathered meanwhile is told at once, too");
        assert_eq!(told(&mut story), Some((3, vec!["3".to_owned()])));
        next.await.expect("given up");
        assert_eq!(begun.elapsed(), TAKE_TIME, "a control plane that does not answer is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_want_the_story_is_not_waited_for() {
        let (mut story, begun) = (Story::new("o".to_owned()), Instant::now());
        story.add(events(1..3));
        story.met();
        story.whole().await;
        assert_eq!((begun.elapsed(), story.due), (Duration::ZERO, None));
    }

    #[test]
    fn what_was_not_taken_of_a_task_is_known() {
        let mut story = Story::new("o".to_owned());
        let of = |task: &str| TaskEvent { task_arn: Some(task.to_owned()), ..TaskEvent::default() };
        story.add(vec![of("a"), of("b")]);
        assert_eq!(story.of("a"), [of("a")]);
        story.want();
        assert_eq!(told(&mut story).map(|(last, _)| last), Some(2));
        assert_eq!(story.of("b"), [of("b")], "told is not yet taken");
        story.taken("o", 2);
        assert_eq!(story.of("b"), []);
    }
}
