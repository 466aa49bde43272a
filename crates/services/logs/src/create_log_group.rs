//! CreateLogGroup.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>

use crate::errors::LogsError;
use crate::names::group_resource;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use serde_json::Value;
use state::{LOG_GROUPS, LogGroup};
use store::{Tx, View, key};
use wire::types::logs::CreateLogGroupRequest;

pub fn checks(_view: &View, input: &CreateLogGroupRequest, caller: &Caller) -> Checks {
    let tags = input.tags.iter().flatten();
    let check = Check::new("logs:CreateLogGroup", group_resource(caller, &input.log_group_name));
    Ok(vec![check.with_request_tags(tags.map(|(key, value)| (key.as_str(), value.as_str())))])
}

pub fn run(tx: &mut Tx, input: CreateLogGroupRequest, cx: &mut Cx) -> Result<Value, ApiError> {
    refuse_unsupported(&input)?;
    let name = input.log_group_name;
    if name.starts_with("aws/") {
        return Err(LogsError::Parameter("Log groups starting with aws/ are reserved for AWS.".to_owned()).into());
    }
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    if tx.get(LOG_GROUPS, &key![&account, &region, &name]).is_some() {
        return Err(LogsError::GroupExists.into());
    }
    let generation = tx.next_version();
    let tags = input.tags.unwrap_or_default();
    tx.put(LOG_GROUPS, LogGroup { account, region, name, generation, created_at: cx.now, retention_days: None, tags });
    Ok(Value::Null)
}

fn refuse_unsupported(input: &CreateLogGroupRequest) -> Result<(), LogsError> {
    if input.kms_key_id.is_some() {
        return Err(LogsError::Unsupported("kmsKeyId"));
    }
    if input.log_group_class.as_deref().is_some_and(|class| class != "STANDARD") {
        return Err(LogsError::Unsupported("a logGroupClass other than STANDARD"));
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(LogsError::Unsupported("deletionProtectionEnabled"));
    }
    Ok(())
}
