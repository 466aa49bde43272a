//! DeleteLogStream: the row goes first, then its events.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogStream.html>

use crate::errors::from_telemetry;
use crate::names::{find_group, find_stream, stream_id, stream_resource};
use auth::Check;
use base::ApiError;
use request::{Call, Caller, Checks, Flow};
use serde_json::{Value, json};
use state::LOG_STREAMS;
use store::{View, key};
use wire::types::logs::DeleteLogStreamRequest;

pub fn checks(_view: &View, input: &DeleteLogStreamRequest, caller: &Caller) -> Checks {
    let resource = stream_resource(caller, &input.log_group_name, &input.log_stream_name);
    Ok(vec![Check::new("logs:DeleteLogStream", resource)])
}

pub async fn run(flow: Flow, input: DeleteLogStreamRequest) -> Result<Value, ApiError> {
    let document = json!({ "logGroupName": input.log_group_name, "logStreamName": input.log_stream_name });
    let call = Call::new(flow.service, flow.operation, &document);
    let caller = flow.cx.caller.clone();
    let stream = {
        let view = flow.requests.view();
        let stream = find_group(&view, &caller, &input.log_group_name);
        stream
            .and_then(|group| {
                Ok(stream_id(group, find_stream(&view, &caller, &input.log_group_name, &input.log_stream_name)?))
            })
            .ok()
    };
    let deleted = flow.requests.commit(caller, call, move |tx, cx| {
        find_stream(tx, &cx.caller, &input.log_group_name, &input.log_stream_name)?;
        tx.delete(LOG_STREAMS, &key![cx.account(), cx.region(), &input.log_group_name, &input.log_stream_name]);
        Ok(Value::Null)
    });
    deleted.await?;
    if let Some(stream) = stream {
        flow.requests.telemetry().delete_stream(&stream).await.map_err(from_telemetry)?;
    }
    Ok(Value::Null)
}
