//! GetLogEvents.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>

use crate::errors::{LogsError, from_telemetry};
use crate::names::{find_group, find_stream, group_name, stream_id, stream_resource};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Flow};
use store::View;
use telemetry::{Cursor, Limits, Position, StoredEvent, TimeRange};
use wire::types::logs::{GetLogEventsRequest, GetLogEventsResponse, OutputLogEvent};

pub fn checks(_view: &View, input: &GetLogEventsRequest, caller: &Caller) -> Checks {
    let group = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
    Ok(vec![Check::new("logs:GetLogEvents", stream_resource(caller, &group, &input.log_stream_name))])
}

pub async fn run(flow: Flow, input: GetLogEventsRequest) -> Result<GetLogEventsResponse, ApiError> {
    if input.unmask == Some(true) {
        return Err(LogsError::Unsupported("unmask").into());
    }
    let caller = &flow.cx.caller;
    let stream = {
        let view = flow.requests.view();
        let name = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
        let stream = find_stream(&view, caller, &name, &input.log_stream_name)?;
        stream_id(find_group(&view, caller, &name)?, stream)
    };
    let range = TimeRange { start_ms: input.start_time, end_ms: input.end_time };
    let mut limits = Limits::default();
    limits.events = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits.events);
    let from = cursor(input.next_token.as_deref(), input.start_from_head.unwrap_or_default())?;
    let page = flow.requests.telemetry().get(&stream, range, from, limits).await.map_err(from_telemetry)?;
    Ok(GetLogEventsResponse {
        events: Some(page.events.into_iter().map(show).collect()),
        next_forward_token: Some(format!("f/{}/s", page.forward)),
        next_backward_token: Some(format!("b/{}/s", page.backward)),
    })
}

/// A token decides the direction; without one, the head or the tail does.
fn cursor(token: Option<&str>, from_head: bool) -> Result<Cursor, LogsError> {
    let Some(token) = token else { return Ok(if from_head { Cursor::Head } else { Cursor::Tail }) };
    let (direction, position) = token.split_once('/').ok_or(LogsError::Token)?;
    let position: Position = position.trim_end_matches("/s").parse().map_err(|_| LogsError::Token)?;
    match direction {
        "f" => Ok(Cursor::Forward(position)),
        "b" => Ok(Cursor::Backward(position)),
        _ => Err(LogsError::Token),
    }
}

fn show(event: StoredEvent) -> OutputLogEvent {
    OutputLogEvent {
        timestamp: Some(event.timestamp_ms),
        message: Some(event.message),
        ingestion_time: Some(event.ingestion_ms),
    }
}
