//! DescribeLogGroups.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html>

use crate::errors::{LogsError, from_telemetry};
use crate::names::{group_id, group_resource, position};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Flow, List};
use state::{LOG_GROUPS, LogGroup};
use store::{View, key};
use wire::types::logs::{DescribeLogGroupsRequest, DescribeLogGroupsResponse, LogGroup as Shown};

/// Groups on a page unless told otherwise, and at most (the model's `limit`).
const PAGE_GROUPS: usize = 50;

pub fn checks(_view: &View, _input: &DescribeLogGroupsRequest, caller: &Caller) -> Checks {
    Ok(vec![Check::new("logs:DescribeLogGroups", group_resource(caller, ""))])
}

pub async fn run(flow: Flow, input: DescribeLogGroupsRequest) -> Result<DescribeLogGroupsResponse, ApiError> {
    refuse_unsupported(&input)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_GROUPS);
    let list = List::of(&flow.cx.caller, "DescribeLogGroups", &input);
    let after = position(list, input.next_token.as_deref())?;
    let mut groups = matching(&flow.requests.view(), &flow.cx.caller, &input, after.as_deref(), limit + 1);
    let more = groups.len() > limit;
    groups.truncate(limit);
    let next_token = groups.last().filter(|_| more).map(|group| list.token(&group.name));
    let mut shown = Vec::with_capacity(groups.len());
    for group in groups {
        let stats = flow.requests.telemetry().group_stats(&group_id(&group)).await.map_err(from_telemetry)?;
        shown.push(show(&group, stats.map_or(0, |stats| stats.stored_bytes)));
    }
    Ok(DescribeLogGroupsResponse { log_groups: Some(shown), next_token })
}

fn refuse_unsupported(input: &DescribeLogGroupsRequest) -> Result<(), LogsError> {
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        let text = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        return Err(LogsError::Parameter(text.to_owned()));
    }
    if input.include_linked_accounts == Some(true)
        || input.account_identifiers.as_ref().is_some_and(|ids| !ids.is_empty())
    {
        return Err(LogsError::Unsupported("a look into other accounts (includeLinkedAccounts, accountIdentifiers)"));
    }
    if input.log_group_identifiers.as_ref().is_some_and(|ids| !ids.is_empty()) {
        return Err(LogsError::Unsupported("logGroupIdentifiers"));
    }
    Ok(())
}

fn matching(
    view: &View,
    caller: &Caller,
    input: &DescribeLogGroupsRequest,
    after: Option<&str>,
    most: usize,
) -> Vec<LogGroup> {
    let prefix = input.log_group_name_prefix.as_deref().unwrap_or_default();
    let pattern = input.log_group_name_pattern.as_deref().unwrap_or_default();
    let standard = input.log_group_class.as_deref().is_none_or(|class| class == "STANDARD");
    let wanted = |group: &&LogGroup| {
        standard
            && group.name.starts_with(prefix)
            && group.name.contains(pattern)
            && after.is_none_or(|after| group.name.as_str() > after)
    };
    view.scan(LOG_GROUPS, &key![&caller.account, &caller.region]).filter(wanted).take(most).cloned().collect()
}

fn show(group: &LogGroup, stored_bytes: u64) -> Shown {
    let arn = group.arn().to_string();
    Shown {
        log_group_name: Some(group.name.clone()),
        creation_time: Some(group.created_at.as_millis()),
        retention_in_days: group.retention_days.and_then(|days| i32::try_from(days).ok()),
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        stored_bytes: Some(i64::try_from(stored_bytes).unwrap_or(i64::MAX)),
        log_group_class: Some("STANDARD".to_owned()),
        deletion_protection_enabled: Some(false),
        ..Shown::default()
    }
}
