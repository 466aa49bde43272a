//! DeleteLogGroup: streams go in slices, then the group, then its events.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html>

use crate::errors::from_telemetry;
use crate::names::{find_group, group_id, group_resource};
use auth::Check;
use base::ApiError;
use request::{Call, Caller, Checks, Flow};
use serde_json::{Value, json};
use state::{LOG_GROUPS, LOG_STREAMS};
use store::{Key, Tx, View, key};
use wire::types::logs::DeleteLogGroupRequest;

/// Streams that one transaction deletes: a transaction changes at most 128 rows.
const SLICE_STREAMS: usize = 100;

pub fn checks(_view: &View, input: &DeleteLogGroupRequest, caller: &Caller) -> Checks {
    Ok(vec![Check::new("logs:DeleteLogGroup", group_resource(caller, &input.log_group_name))])
}

pub async fn run(flow: Flow, input: DeleteLogGroupRequest) -> Result<Value, ApiError> {
    let (requests, caller, name) = (&flow.requests, flow.cx.caller.clone(), input.log_group_name);
    let call = Call::new(flow.service, flow.operation, &json!({ "logGroupName": name }));
    let id = find_group(&requests.view(), &caller, &name).map(group_id).ok();
    let streams = key![&caller.account, &caller.region, &name];
    loop {
        let streams = streams.clone();
        if requests.transact(move |tx| Ok(delete_streams(tx, &streams))).await? == 0 {
            break;
        }
    }
    let deleted = requests.commit(caller, call, move |tx, cx| {
        find_group(tx, &cx.caller, &name)?;
        // A stream made since the last slice goes with the group.
        delete_streams(tx, &streams);
        tx.delete(LOG_GROUPS, &key![cx.account(), cx.region(), &name]);
        Ok(Value::Null)
    });
    deleted.await?;
    if let Some(id) = id {
        requests.telemetry().delete_group(&id).await.map_err(from_telemetry)?;
    }
    Ok(Value::Null)
}

/// Deletes some of the group's streams; answers how many.
fn delete_streams(tx: &mut Tx, group: &Key) -> usize {
    let keys: Vec<Key> = tx
        .scan(LOG_STREAMS, group)
        .take(SLICE_STREAMS)
        .map(|row| key![&row.account, &row.region, &row.group, &row.name])
        .collect();
    for key in &keys {
        tx.delete(LOG_STREAMS, key);
    }
    keys.len()
}
