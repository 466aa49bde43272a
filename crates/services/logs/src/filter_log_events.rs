//! FilterLogEvents, without filter patterns yet: the events of a group, merged over its streams.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>

use crate::errors::{LogsError, from_telemetry};
use crate::names::{find_group, find_stream, group_id, group_name, group_resource, position};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Flow, List};
use std::sync::Arc;
use store::View;
use telemetry::{FilterQuery, FilteredEvent, GroupId, Limits, StreamSelection};
use wire::types::logs::{FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent};

pub fn checks(_view: &View, input: &FilterLogEventsRequest, caller: &Caller) -> Checks {
    let group = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
    Ok(vec![Check::new("logs:FilterLogEvents", group_resource(caller, &group))])
}

pub async fn run(flow: Flow, input: FilterLogEventsRequest) -> Result<FilterLogEventsResponse, ApiError> {
    refuse_unsupported(&input)?;
    let (group, streams) = select(&flow.requests.view(), &flow.cx.caller, &input)?;
    let mut limits = Limits::default();
    limits.events = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits.events);
    let list = List::of(&flow.cx.caller, "FilterLogEvents", &input);
    let from = position(list, input.next_token.as_deref())?;
    let from = from.as_deref().map(str::parse).transpose().map_err(|_| LogsError::Token)?;
    let query = FilterQuery { group, streams, start_ms: input.start_time, end_ms: input.end_time, from, limits };
    let page = flow.requests.telemetry().filter(query, Arc::new(|_| true)).await.map_err(from_telemetry)?;
    Ok(FilterLogEventsResponse {
        events: Some(page.events.into_iter().map(show).collect()),
        searched_log_streams: Some(Vec::new()),
        next_token: page.next.map(|position| list.token(&position.to_string())),
    })
}

fn refuse_unsupported(input: &FilterLogEventsRequest) -> Result<(), LogsError> {
    if input.filter_pattern.as_deref().is_some_and(|pattern| !pattern.trim().is_empty()) {
        return Err(LogsError::Unsupported("filterPattern"));
    }
    if input.start_from_head == Some(false) {
        return Err(LogsError::Unsupported("startFromHead false"));
    }
    if input.unmask == Some(true) {
        return Err(LogsError::Unsupported("unmask"));
    }
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        let text = "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.";
        return Err(LogsError::Parameter(text.to_owned()));
    }
    Ok(())
}

fn select(
    view: &View,
    caller: &Caller,
    input: &FilterLogEventsRequest,
) -> Result<(GroupId, StreamSelection), LogsError> {
    let name = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
    let group = group_id(find_group(view, caller, &name)?);
    let streams = match (&input.log_stream_names, &input.log_stream_name_prefix) {
        (Some(names), _) => {
            let known = names
                .iter()
                .map(|stream| find_stream(view, caller, &name, stream).map(|row| (row.name.clone(), row.generation)));
            StreamSelection::Named(known.collect::<Result<_, _>>()?)
        }
        (None, Some(prefix)) => StreamSelection::Prefix(prefix.clone()),
        (None, None) => StreamSelection::All,
    };
    Ok((group, streams))
}

fn show(found: FilteredEvent) -> FilteredLogEvent {
    FilteredLogEvent {
        event_id: Some(found.event_id().to_string()),
        log_stream_name: Some(found.stream),
        timestamp: Some(found.event.timestamp_ms),
        message: Some(found.event.message),
        ingestion_time: Some(found.event.ingestion_ms),
    }
}
