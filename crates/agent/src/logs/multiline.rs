//! From lines to events of several lines, as Docker's awslogs driver joins them. Pure.

use super::LogEvent;
use super::batch::MESSAGE_BYTES_MAX;
use crate::order::Multiline;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// When lines are one event.
#[derive(Debug)]
pub struct Joining {
    begins: Regex,
    /// Milliseconds after which an event is over although the next has not begun.
    age_ms: i64,
}

impl Joining {
    /// # Errors
    /// When the pattern is none; an order with such a one is refused.
    pub fn new(asked: &Multiline) -> Result<Self, regex::Error> {
        Ok(Self { begins: Regex::new(&asked.pattern)?, age_ms: i64::from(asked.flush_interval_s) * 1000 })
    }

    pub fn age_ms(&self) -> i64 {
        self.age_ms
    }
}

/// The lines of an event that may go on. Both streams are one, each line ends with a newline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joined {
    at_ms: i64,
    text: String,
}

impl Joined {
    /// When the event that is begun was; none when none is.
    pub fn since_ms(&self) -> Option<i64> {
        (!self.text.is_empty()).then_some(self.at_ms)
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Adds a line, which goes on or ends the event before it.
    pub fn add(&mut self, line: LogEvent, how: &Joining) -> Option<LogEvent> {
        let LogEvent { timestamp_ms, message } = line;
        let fits = self.text.len() + message.len() < MESSAGE_BYTES_MAX;
        let aged = (timestamp_ms - self.at_ms).abs() >= how.age_ms;
        let before = if !fits || aged || how.begins.is_match(&message) { self.finish() } else { None };
        if self.text.is_empty() {
            self.at_ms = timestamp_ms;
        }
        self.text.push_str(&message);
        if self.text.len() < MESSAGE_BYTES_MAX {
            self.text.push('\n');
        }
        before
    }

    /// The event as it is.
    pub fn finish(&mut self) -> Option<LogEvent> {
        let since = self.since_ms()?;
        Some(LogEvent { timestamp_ms: since, message: std::mem::take(&mut self.text) })
    }
}
