//! From records, which end where a reader's buffer did, to lines that an event can hold. Pure.

use super::LogEvent;
use super::batch::MESSAGE_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The beginning of a line that goes on in a later record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    at_ms: i64,
    /// At most [`MESSAGE_BYTES_MAX`] bytes.
    text: String,
    /// The beginning of a character.
    #[serde(with = "hex")]
    broken: Vec<u8>,
}

impl Begun {
    /// When what is begun was; none when nothing is.
    pub fn since_ms(&self) -> Option<i64> {
        (self.len() > 0).then_some(self.at_ms)
    }

    /// Bytes that are begun, at most: a broken character becomes one of three.
    pub fn len(&self) -> usize {
        self.text.len() + if self.broken.is_empty() { 0 } else { char::REPLACEMENT_CHARACTER.len_utf8() }
    }

    /// Adds a record of the time `at_ms`, and answers what is complete by that: a line, perhaps an empty one, in
    /// pieces of at most [`MESSAGE_BYTES_MAX`] bytes. What is not UTF-8 becomes U+FFFD.
    pub fn add(&mut self, at_ms: i64, bytes: &[u8], partial: bool) -> Vec<LogEvent> {
        if self.len() == 0 {
            self.at_ms = at_ms;
        }
        self.decode(bytes);
        if !partial && !std::mem::take(&mut self.broken).is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        let mut whole = Vec::new();
        while self.text.len() > MESSAGE_BYTES_MAX {
            let rest = self.text.split_off(self.text.floor_char_boundary(MESSAGE_BYTES_MAX));
            whole.push(self.event(rest));
        }
        if !partial {
            whole.push(self.event(String::new()));
        }
        whole
    }

    /// The text so far as an event, leaving the rest.
    fn event(&mut self, rest: String) -> LogEvent {
        LogEvent { timestamp_ms: self.at_ms, message: std::mem::replace(&mut self.text, rest) }
    }

    fn decode(&mut self, bytes: &[u8]) {
        let mut bytes = [std::mem::take(&mut self.broken).as_slice(), bytes].concat();
        loop {
            let error = match str::from_utf8(&bytes) {
                Ok(text) => return self.text.push_str(text),
                Err(error) => error,
            };
            let rest = bytes.split_off(error.valid_up_to());
            self.text.push_str(&String::from_utf8_lossy(&bytes));
            match error.error_len() {
                None => return self.broken = rest,
                Some(length) => {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    bytes = rest;
                    bytes.drain(..length);
                }
            }
        }
    }
}
