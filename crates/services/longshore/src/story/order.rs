//! Two tellers, one story: the control plane's events and the node's, each in its own order, merged by time.
//!
//! Their clocks differ a little, and a millisecond has room for a cause and what came of it. Where two events are
//! close, what one teller can only have heard from the other comes after it.

use super::Marked;
use std::collections::VecDeque;
use wire::types::longshore::TaskEvent;

/// How far clocks that are kept right may be apart, milliseconds. Events further apart are in order of time.
const CLOSE_MS: i64 = 2_000;

/// What an event is to those of the other teller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    // The control plane's.
    RunSent,
    RunTaken,
    Running,
    /// Somebody asked to stop the task.
    AskedToStop,
    /// The node's reports say that the task ends.
    SeenToStop,
    StopSent,
    StopTaken,
    Stopped,
    // The node's.
    OrderTaken,
    Started,
    Ending,
    ContainerEnded,
    Other,
}

/// Cause and effect, of different tellers.
const CAUSES: [(Mark, Mark); 9] = [
    (Mark::RunSent, Mark::OrderTaken),
    (Mark::OrderTaken, Mark::RunTaken),
    (Mark::Started, Mark::Running),
    (Mark::Ending, Mark::SeenToStop),
    (Mark::AskedToStop, Mark::Ending),
    (Mark::StopSent, Mark::Ending),
    (Mark::Ending, Mark::StopTaken),
    (Mark::Ending, Mark::Stopped),
    (Mark::ContainerEnded, Mark::Stopped),
];

impl Mark {
    pub(super) fn of_node(event: &TaskEvent) -> Self {
        match event.kind.as_deref().unwrap_or_default() {
            "ORDER_TAKEN" => Self::OrderTaken,
            "STARTED" => Self::Started,
            "ENDING" => Self::Ending,
            "EXITED" | "FAILED" => Self::ContainerEnded,
            _ => Self::Other,
        }
    }
}

/// Both, each in the order in which it is given.
pub(super) fn merged(own: Vec<Marked>, theirs: Vec<Marked>) -> Vec<TaskEvent> {
    let (mut own, mut theirs) = (VecDeque::from(own), VecDeque::from(theirs));
    let mut story = Vec::new();
    while let (Some(ours), Some(other)) = (own.front(), theirs.front()) {
        let next = if waits(ours, &theirs) {
            theirs.pop_front()
        } else if waits(other, &own) || ours.1.at <= other.1.at {
            own.pop_front()
        } else {
            theirs.pop_front()
        };
        story.extend(next);
    }
    story.extend(own);
    story.extend(theirs);
    story.into_iter().map(|(_, event)| event).collect()
}

/// True when one of the `others`, none of which is told yet, is close and led to this event.
fn waits(event: &Marked, others: &VecDeque<Marked>) -> bool {
    let led = |other: &Marked| CAUSES.contains(&(other.0, event.0)) && apart_ms(&other.1, &event.1) <= CLOSE_MS;
    others.iter().any(led)
}

fn apart_ms(one: &TaskEvent, other: &TaskEvent) -> i64 {
    one.at.unwrap_or_default().millis_since(other.at.unwrap_or_default()).abs()
}
