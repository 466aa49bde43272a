//! CreateLogStream.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html>

use crate::errors::LogsError;
use crate::names::{find_group, stream_resource};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use serde_json::Value;
use state::{LOG_STREAMS, LogStream};
use store::{Tx, View, key};
use wire::types::logs::CreateLogStreamRequest;

pub fn checks(_view: &View, input: &CreateLogStreamRequest, caller: &Caller) -> Checks {
    let resource = stream_resource(caller, &input.log_group_name, &input.log_stream_name);
    Ok(vec![Check::new("logs:CreateLogStream", resource)])
}

pub fn run(tx: &mut Tx, input: CreateLogStreamRequest, cx: &mut Cx) -> Result<Value, ApiError> {
    let CreateLogStreamRequest { log_group_name: group, log_stream_name: name } = input;
    find_group(tx, &cx.caller, &group)?;
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    if tx.get(LOG_STREAMS, &key![&account, &region, &group, &name]).is_some() {
        return Err(LogsError::StreamExists.into());
    }
    let generation = tx.next_version();
    tx.put(LOG_STREAMS, LogStream { account, region, group, name, generation, created_at: cx.now });
    Ok(Value::Null)
}
