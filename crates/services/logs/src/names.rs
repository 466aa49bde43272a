//! Finding groups and streams by what callers name them, and where pages go on.

use crate::errors::LogsError;
use base::Arn;
use request::{Caller, List};
use state::{LOG_GROUPS, LOG_STREAMS, LogGroup, LogStream};
use store::{View, key};
use telemetry::{GroupId, StreamId};

/// The group's name out of the two members that most reads have.
///
/// # Errors
/// When neither or both are given, or the identifier is an ARN of another account or region.
pub fn group_name(name: Option<&str>, identifier: Option<&str>, caller: &Caller) -> Result<String, LogsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(identifier)) => of_identifier(identifier, caller),
        (None, None) => Err(LogsError::Parameter("logGroupName or logGroupIdentifier is required.".to_owned())),
        (Some(_), Some(_)) => {
            Err(LogsError::Parameter("LogGroup name and LogGroup ARN are mutually exclusive parameters.".to_owned()))
        }
    }
}

/// A name, or an ARN with or without `:*` at its end.
fn of_identifier(identifier: &str, caller: &Caller) -> Result<String, LogsError> {
    let Ok(arn) = identifier.parse::<Arn>() else { return Ok(identifier.to_owned()) };
    let here = arn.account == caller.account && arn.region == caller.region;
    let name = arn.resource.strip_prefix("log-group:").filter(|_| here);
    name.map(|name| name.trim_end_matches(":*").to_owned()).ok_or(LogsError::GroupNotFound)
}

/// The ARN that policies name for the events and streams of a group.
pub fn group_resource(caller: &Caller, name: &str) -> String {
    format!("{}:*", LogGroup::arn_of(&caller.account, &caller.region, name))
}

pub fn stream_resource(caller: &Caller, group: &str, stream: &str) -> String {
    LogStream::arn_of(&caller.account, &caller.region, group, stream).to_string()
}

pub fn find_group<'a>(view: &'a View, caller: &Caller, name: &str) -> Result<&'a LogGroup, LogsError> {
    view.get(LOG_GROUPS, &key![&caller.account, &caller.region, name]).ok_or(LogsError::GroupNotFound)
}

pub fn find_stream<'a>(view: &'a View, caller: &Caller, group: &str, name: &str) -> Result<&'a LogStream, LogsError> {
    find_group(view, caller, group)?;
    view.get(LOG_STREAMS, &key![&caller.account, &caller.region, group, name]).ok_or(LogsError::StreamNotFound)
}

/// The group as telemetry knows it.
pub fn group_id(group: &LogGroup) -> GroupId {
    GroupId {
        account: group.account.clone(),
        region: group.region.clone(),
        name: group.name.clone(),
        generation: group.generation,
    }
}

pub fn stream_id(group: &LogGroup, stream: &LogStream) -> StreamId {
    StreamId { group: group_id(group), name: stream.name.clone(), generation: stream.generation }
}

/// What the page before ended with, by its token.
pub fn position(list: List, token: Option<&str>) -> Result<Option<String>, LogsError> {
    token.map(|token| list.position(token).ok_or(LogsError::Token)).transpose()
}
