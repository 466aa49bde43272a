//! Appending to a stream.

use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, PRODUCER_BYTES_MAX};
use crate::model::event_bytes;
use crate::rows::StreamRow;
use crate::stage::Stage;
use crate::{Appended, LogEvent, StreamId, TelemetryError, keys};

/// An append whose limits have been checked.
pub(crate) struct Append {
    stream: StreamId,
    events: Vec<LogEvent>,
    ingestion_ms: i64,
    batch: Option<BatchToken>,
}

impl Append {
    pub(crate) fn new(
        stream: &StreamId,
        events: Vec<LogEvent>,
        ingestion_ms: i64,
        batch: Option<&str>,
    ) -> Result<Self, TelemetryError> {
        stream.check()?;
        let batch = batch.map(BatchToken::parse).transpose()?;
        let append = Self { stream: stream.clone(), events, ingestion_ms, batch };
        let (events, bytes) = (append.events.len(), append.bytes());
        if events > APPEND_EVENTS_MAX || bytes > APPEND_BYTES_MAX {
            return Err(TelemetryError::TooLarge { events, bytes });
        }
        Ok(append)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(|event| event_bytes(&event.message)).sum()
    }

    pub(crate) fn stage(self, stage: &mut Stage) -> Result<Appended, TelemetryError> {
        let Self { stream: id, events, ingestion_ms, batch } = self;
        let (group_key, mut group) = stage.group(&id.group)?;
        let key = keys::stream(group.number, &id.name, id.generation);
        let mut stream = stage.row(&key)?.unwrap_or_else(|| StreamRow::new(stage.number()));
        if group.deleted || stream.deleted {
            return Err(TelemetryError::Deleted);
        }
        if let Some(batch) = batch {
            let producer = keys::producer(stream.number, &batch.producer);
            if stage.row(&producer)?.is_some_and(|highest: u64| batch.sequence <= highest) {
                return Ok(Appended::Repeat);
            }
            stage.put_row(producer, &batch.sequence)?;
        }
        let before = stream.stored_bytes;
        for event in &events {
            stage.put_event(stream.number, event, ingestion_ms);
            stream.count(event, ingestion_ms);
        }
        group.stored_bytes += stream.stored_bytes - before;
        stage.put_row(group_key, &group)?;
        stage.put_row(key, &stream)?;
        Ok(Appended::Stored)
    }
}

/// The agent's `x-longshore-batch`.
struct BatchToken {
    producer: String,
    sequence: u64,
}

impl BatchToken {
    fn parse(text: &str) -> Result<Self, TelemetryError> {
        let parts = text.rsplit_once(':').and_then(|(producer, sequence)| {
            let digits = sequence.bytes().all(|b| b.is_ascii_digit());
            Some((producer, digits.then(|| sequence.parse().ok()).flatten()?))
        });
        match parts {
            Some((producer, sequence)) if (1..=PRODUCER_BYTES_MAX).contains(&producer.len()) => {
                Ok(Self { producer: producer.to_owned(), sequence })
            }
            _ => Err(TelemetryError::BatchToken(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BatchToken;

    #[test]
    fn tokens_are_a_producer_and_a_sequence() {
        for (text, expect) in [
            ("task/web:7", Some(("task/web", 7))),
            ("a:b:0", Some(("a:b", 0))),
            ("a:18446744073709551615", Some(("a", u64::MAX))),
            ("a:18446744073709551616", None),
            ("a:+1", None),
            ("a:", None),
            (":1", None),
            ("7", None),
            ("", None),
        ] {
            let parsed = BatchToken::parse(text).ok();
            assert_eq!(parsed.as_ref().map(|token| (token.producer.as_str(), token.sequence)), expect, "{text}");
        }
        assert!(BatchToken::parse(&format!("{}:1", "p".repeat(257))).is_err());
    }
}
