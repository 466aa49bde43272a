//! PutLogEvents: checked whole, stored, and durable before it is answered.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>

use crate::errors::{LogsError, from_telemetry};
use crate::names::{find_group, find_stream, stream_id, stream_resource};
use auth::Check;
use base::{ApiError, Timestamp};
use request::{Caller, Checks, Flow};
use store::View;
use telemetry::{APPEND_BYTES_MAX, EVENT_OVERHEAD_BYTES, LogEvent};
use wire::types::logs::{InputLogEvent, PutLogEventsRequest, PutLogEventsResponse, RejectedLogEventsInfo};

/// Sequence tokens mean nothing any more, but old clients send one back.
pub const SEQUENCE_TOKEN: &str = "49640000000000000000000000000000000000000000000000000000";

/// Bytes of one event: 1 MB less its overhead.
const EVENT_BYTES_MAX: usize = APPEND_BYTES_MAX - EVENT_OVERHEAD_BYTES;

/// A batch spans at most 24 hours.
const SPAN_MS_MAX: i64 = 24 * 3600 * 1000;

/// Events further in the future than 2 hours are refused.
const FUTURE_MS_MAX: i64 = 2 * 3600 * 1000;

/// Events older than 14 days are refused.
const PAST_MS_MAX: i64 = 14 * 24 * 3600 * 1000;

const DAY_MS: i64 = 24 * 3600 * 1000;

pub fn checks(_view: &View, input: &PutLogEventsRequest, caller: &Caller) -> Checks {
    let resource = stream_resource(caller, &input.log_group_name, &input.log_stream_name);
    Ok(vec![Check::new("logs:PutLogEvents", resource)])
}

pub async fn run(flow: Flow, input: PutLogEventsRequest) -> Result<PutLogEventsResponse, ApiError> {
    if input.entity.is_some() {
        return Err(LogsError::Unsupported("entity").into());
    }
    let now = flow.cx.now;
    let (stream, retention_days) = {
        let view = flow.requests.view();
        let group = find_group(&view, &flow.cx.caller, &input.log_group_name)?;
        let stream = find_stream(&view, &flow.cx.caller, &input.log_group_name, &input.log_stream_name)?;
        (stream_id(group, stream), group.retention_days)
    };
    let sorted = Sorted::of(input.log_events, now, retention_days)?;
    if !sorted.accepted.is_empty() {
        let batch = flow.cx.caller.log_batch.as_deref();
        let append = flow.requests.telemetry().append(&stream, sorted.accepted, now.as_millis(), batch);
        append.await.map_err(from_telemetry)?;
    }
    Ok(PutLogEventsResponse {
        next_sequence_token: Some(SEQUENCE_TOKEN.to_owned()),
        rejected_log_events_info: sorted.rejected,
        rejected_entity_info: None,
    })
}

/// A batch with what lies too far from now taken out.
#[derive(Debug, PartialEq)]
pub struct Sorted {
    pub accepted: Vec<LogEvent>,
    pub rejected: Option<RejectedLogEventsInfo>,
}

impl Sorted {
    /// # Errors
    /// When the batch as a whole is refused: too large, not in order, or of too long a span.
    pub fn of(events: Vec<InputLogEvent>, now: Timestamp, retention_days: Option<u32>) -> Result<Self, LogsError> {
        check_sizes(&events)?;
        if !events.is_sorted_by_key(|event| event.timestamp) {
            return Err(LogsError::NotChronological);
        }
        let now = now.as_millis();
        let kept_from = retention_days.map_or(i64::MIN, |days| now - i64::from(days) * DAY_MS);
        let old = events.partition_point(|event| event.timestamp < now - PAST_MS_MAX);
        let expired = events.partition_point(|event| event.timestamp < kept_from);
        let new = events.partition_point(|event| event.timestamp <= now + FUTURE_MS_MAX);
        let accepted = &events[old.max(expired).min(new)..new];
        if let [first, .., last] = accepted
            && last.timestamp - first.timestamp > SPAN_MS_MAX
        {
            return Err(LogsError::SpanTooLong);
        }
        let index = |at: usize| i32::try_from(at).ok();
        let rejected = RejectedLogEventsInfo {
            too_new_log_event_start_index: index(new).filter(|_| new < events.len()),
            too_old_log_event_end_index: index(old).filter(|_| old > 0),
            expired_log_event_end_index: index(expired).filter(|_| expired > old),
        };
        Ok(Self {
            accepted: accepted.iter().map(stored).collect(),
            rejected: (rejected != RejectedLogEventsInfo::default()).then_some(rejected),
        })
    }
}

fn check_sizes(events: &[InputLogEvent]) -> Result<(), LogsError> {
    if let Some(large) = events.iter().find(|event| event.message.len() > EVENT_BYTES_MAX) {
        return Err(LogsError::EventTooLarge {
            bytes: large.message.len() + EVENT_OVERHEAD_BYTES,
            max: APPEND_BYTES_MAX,
        });
    }
    let bytes = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    if bytes > APPEND_BYTES_MAX {
        return Err(LogsError::BatchTooLarge { bytes, max: APPEND_BYTES_MAX });
    }
    Ok(())
}

fn stored(event: &InputLogEvent) -> LogEvent {
    LogEvent { timestamp_ms: event.timestamp, message: event.message.clone() }
}
