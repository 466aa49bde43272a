//! DescribeLogStreams.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html>

use crate::errors::{LogsError, from_telemetry};
use crate::names::{find_group, group_name, group_resource, position, stream_id};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Flow, List};
use state::{LOG_STREAMS, LogStream};
use std::cmp::Reverse;
use store::{View, key};
use telemetry::{StreamId, StreamStats};
use wire::types::logs::{DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogStream as Shown};

/// Streams on a page unless told otherwise, and at most (the model's `limit`).
const PAGE_STREAMS: usize = 50;

pub fn checks(_view: &View, input: &DescribeLogStreamsRequest, caller: &Caller) -> Checks {
    let group = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
    Ok(vec![Check::new("logs:DescribeLogStreams", group_resource(caller, &group))])
}

struct Listed {
    row: LogStream,
    stats: Option<StreamStats>,
}

pub async fn run(flow: Flow, input: DescribeLogStreamsRequest) -> Result<DescribeLogStreamsResponse, ApiError> {
    let by_time = input.order_by.as_deref() == Some("LastEventTime");
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(LogsError::Parameter("Cannot order by LastEventTime with a logStreamNamePrefix.".to_owned()).into());
    }
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_STREAMS);
    let descending = input.descending.unwrap_or_default();
    let mut rows = matching(&flow.requests.view(), &flow.cx.caller, &input)?;
    let list = List::of(&flow.cx.caller, "DescribeLogStreams", &input);
    let after = position(list, input.next_token.as_deref())?;
    if by_time {
        let listed = order_by_time(with_stats(&flow, rows).await?, descending);
        return Ok(page(list, listed, after.as_deref(), limit));
    }
    if descending {
        rows.reverse();
    }
    // Names alone decide this order, so only the page's streams need their statistics.
    let from =
        after.as_deref().and_then(|after| rows.iter().position(|(row, _)| row.name == after)).map_or(0, |at| at + 1);
    let rows = rows.into_iter().skip(from).take(limit + 1).collect();
    Ok(page(list, with_stats(&flow, rows).await?, None, limit))
}

fn matching(
    view: &View,
    caller: &Caller,
    input: &DescribeLogStreamsRequest,
) -> Result<Vec<(LogStream, StreamId)>, LogsError> {
    let name = group_name(input.log_group_name.as_deref(), input.log_group_identifier.as_deref(), caller)?;
    let group = find_group(view, caller, &name)?;
    let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
    let rows = view
        .scan(LOG_STREAMS, &key![&caller.account, &caller.region, &name])
        .filter(|row| row.name.starts_with(prefix));
    Ok(rows.map(|row| (row.clone(), stream_id(group, row))).collect())
}

async fn with_stats(flow: &Flow, rows: Vec<(LogStream, StreamId)>) -> Result<Vec<Listed>, ApiError> {
    let mut listed = Vec::with_capacity(rows.len());
    for (row, id) in rows {
        let stats = flow.requests.telemetry().stream_stats(&id).await.map_err(from_telemetry)?;
        listed.push(Listed { row, stats });
    }
    Ok(listed)
}

fn order_by_time(mut listed: Vec<Listed>, descending: bool) -> Vec<Listed> {
    let time = |stream: &Listed| stream.stats.and_then(|stats| stats.last_event_ms);
    if descending {
        listed.sort_by_key(|stream| Reverse(time(stream)));
    } else {
        listed.sort_by_key(time);
    }
    listed
}

fn page(list: List, mut listed: Vec<Listed>, after: Option<&str>, limit: usize) -> DescribeLogStreamsResponse {
    let from = after.and_then(|after| listed.iter().position(|stream| stream.row.name == after)).map_or(0, |at| at + 1);
    listed.drain(..from);
    let more = listed.len() > limit;
    listed.truncate(limit);
    let next_token = listed.last().filter(|_| more).map(|stream| list.token(&stream.row.name));
    DescribeLogStreamsResponse { log_streams: Some(listed.iter().map(show).collect()), next_token }
}

fn show(stream: &Listed) -> Shown {
    let Listed { row, stats } = stream;
    Shown {
        log_stream_name: Some(row.name.clone()),
        creation_time: Some(row.created_at.as_millis()),
        first_event_timestamp: stats.and_then(|stats| stats.first_event_ms),
        last_event_timestamp: stats.and_then(|stats| stats.last_event_ms),
        last_ingestion_time: stats.and_then(|stats| stats.last_ingestion_ms),
        upload_sequence_token: Some(crate::put_log_events::SEQUENCE_TOKEN.to_owned()),
        arn: Some(LogStream::arn_of(&row.account, &row.region, &row.group, &row.name).to_string()),
        // AWS has answered 0 here for every stream since 2019.
        stored_bytes: Some(0),
    }
}
