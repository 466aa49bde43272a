//! The audit record: one outbox row for each change, in CloudTrail's format.
//!
//! Record contents: AWS CloudTrail user guide, "CloudTrail record contents".

use crate::Cx;
use base::{ApiError, Principal, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use state::{OUTBOX, OutboxKind, OutboxRow};
use store::Tx;

/// Version of the record format that we write.
const EVENT_VERSION: &str = "1.11";

/// What replaces a value that an audit record must not hold.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// Members that CloudTrail hides although their models do not mark them sensitive.
const HIDDEN_MEMBERS: [&str; 2] = ["environment", "logEvents"];

/// Bytes of JSON that `requestParameters` and `responseElements` may have; what is larger is
/// left out (CloudTrail record contents).
const ELEMENT_BYTES_MAX: usize = 100 * 1024;

/// The call that an audit record tells of.
#[derive(Clone, Debug)]
pub struct Call {
    pub service: &'static str,
    pub operation: &'static str,
    /// The request document as JSON, hidden members replaced.
    parameters: Box<RawValue>,
}

impl Call {
    pub fn new(service: &'static str, operation: &'static str, document: &Value) -> Self {
        let sensitive =
            |value: &Value| match wire::service(service).and_then(|s| s.operation(operation).map(|o| (s, o))) {
                Some((service, operation)) => wire::redact(service, operation, value, HIDDEN),
                None => value.clone(),
            };
        let mut parameters = sensitive(document);
        hide(&mut parameters);
        Self { service, operation, parameters: bounded(&parameters) }
    }

    /// Writes the record of how the call ended into the transaction's outbox.
    pub(crate) fn record(&self, tx: &mut Tx, cx: &mut Cx, outcome: Result<Value, &ApiError>) {
        // Nothing in a record can fail to be JSON.
        let document = serde_json::to_string(&self.document(cx, outcome)).unwrap_or_default();
        let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
        let sequence = tx.next_version();
        tx.put(OUTBOX, OutboxRow { account, region, sequence, kind: OutboxKind::Audit, document });
    }

    fn document<'a>(&'a self, cx: &'a mut Cx, outcome: Result<Value, &'a ApiError>) -> Record<'a> {
        let event_id = cx.names.uuid();
        let (answer, error) = match outcome {
            Ok(mut answer) => {
                hide(&mut answer);
                (answer, None)
            }
            Err(error) => (Value::Null, Some(error)),
        };
        Record {
            event_version: EVENT_VERSION,
            user_identity: identity(&cx.caller.principal, cx.caller.access_key_id.as_deref()),
            event_time: event_time(cx.now),
            event_source: format!("{}.amazonaws.com", self.service),
            event_name: self.operation,
            aws_region: cx.region(),
            source_ip_address: &cx.caller.source_ip,
            user_agent: &cx.caller.user_agent,
            request_parameters: &self.parameters,
            response_elements: bounded(&answer),
            request_id: &cx.caller.request_id,
            event_id,
            read_only: false,
            event_type: "AwsApiCall",
            management_event: true,
            recipient_account_id: cx.account(),
            event_category: "Management",
            error_code: error.map(|error| error.code.as_ref()),
            error_message: error.map(|error| error.message.as_ref()),
        }
    }
}

/// As CloudTrail names its members. What callers sent and got is text already: a record is written while other
/// transactions wait.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    user_identity: Value,
    event_time: String,
    event_source: String,
    event_name: &'static str,
    aws_region: &'a str,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
    user_agent: &'a str,
    request_parameters: &'a RawValue,
    response_elements: Box<RawValue>,
    #[serde(rename = "requestID")]
    request_id: &'a str,
    #[serde(rename = "eventID")]
    event_id: String,
    read_only: bool,
    event_type: &'static str,
    management_event: bool,
    recipient_account_id: &'a str,
    event_category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
}

/// `2026-11-22T18:10:40Z`: records have whole seconds.
fn event_time(at: Timestamp) -> String {
    Timestamp::from_secs(at.as_secs()).iso8601().replace(".000Z", "Z")
}

fn identity(principal: &Principal, access_key_id: Option<&str>) -> Value {
    let kind = match principal {
        Principal::Root { .. } => "Root",
        Principal::Node { .. } => "AssumedRole",
        Principal::Service { .. } => "AWSService",
    };
    let mut identity = Map::new();
    identity.insert("type".into(), kind.into());
    identity.insert("principalId".into(), principal.user_id().into());
    identity.insert("arn".into(), principal.arn().into());
    identity.insert("accountId".into(), principal.account().into());
    if let Some(id) = access_key_id {
        identity.insert("accessKeyId".into(), id.into());
    }
    Value::Object(identity)
}

/// An image manifest of 4 MiB would not fit the transaction that its record belongs to.
fn bounded(element: &Value) -> Box<RawValue> {
    let text = serde_json::value::to_raw_value(element).ok().filter(|text| text.get().len() <= ELEMENT_BYTES_MAX);
    text.unwrap_or_else(|| RawValue::NULL.to_owned())
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if HIDDEN_MEMBERS.contains(&name.as_str()) { *member = HIDDEN.into() } else { hide(member) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Hosts, Installation};
    use base::{MasterKey, Names, OsSecrets};
    use serde_json::json;
    use std::sync::Arc;

    fn cx() -> Cx {
        let caller = Caller {
            principal: Principal::Root { account: "000000000000".into() },
            account: "000000000000".into(),
            region: "us-east-1".into(),
            access_key_id: Some("AKIA".into()),
            request_id: "request".into(),
            source_ip: "127.0.0.1".into(),
            user_agent: "agent".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            log_batch: None,
        };
        let installation = Installation {
            endpoint: "http://127.0.0.1:4566".into(),
            hosts: Hosts::new("127.0.0.1:4566".parse().expect("an address")),
            master: MasterKey::new(&[1; 32]).expect("a key"),
            open: None,
        };
        let (secrets, installation) = (Arc::new(OsSecrets), Arc::new(installation));
        Cx { caller, now: Timestamp::from_millis(1_800), names: Names::new([0; 16]), secrets, installation }
    }

    fn recorded(document: &Value, outcome: Result<Value, &ApiError>) -> Value {
        let call = Call::new("ecs", "RegisterTaskDefinition", document);
        serde_json::to_value(call.document(&mut cx(), outcome)).expect("JSON")
    }

    #[test]
    fn a_record_has_cloudtrails_members_and_hides_what_must_not_be_read() {
        let container = json!({ "name": "app", "environment": [{ "name": "PASSWORD", "value": "x" }] });
        let hidden = json!({ "containerDefinitions": [{ "name": "app", "environment": HIDDEN }] });
        let document = json!({ "containerDefinitions": [container] });
        let mut record = recorded(&document, Ok(json!({ "taskDefinition": document })));
        let id = record.as_object_mut().and_then(|record| record.remove("eventID"));
        assert!(id.is_some_and(|id| id.as_str().is_some_and(|id| id.len() == 36)));
        let expect = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "Root",
                "principalId": "000000000000",
                "arn": "arn:aws:iam::000000000000:root",
                "accountId": "000000000000",
                "accessKeyId": "AKIA",
            },
            "eventTime": "1970-01-01T00:00:01Z",
            "eventSource": "ecs.amazonaws.com",
            "eventName": "RegisterTaskDefinition",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "127.0.0.1",
            "userAgent": "agent",
            "requestParameters": hidden,
            "responseElements": { "taskDefinition": hidden },
            "requestID": "request",
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": "000000000000",
            "eventCategory": "Management",
        });
        assert_eq!(record, expect);
    }

    #[test]
    fn a_failure_is_told_and_what_is_too_large_is_left_out() {
        let large = json!({ "family": "x".repeat(ELEMENT_BYTES_MAX) });
        let record = recorded(&large, Err(&ApiError::client("ClientException", "no")));
        let of = |name: &str| record.get(name).cloned();
        assert_eq!((of("errorCode"), of("errorMessage")), (Some("ClientException".into()), Some("no".into())));
        assert_eq!((of("requestParameters"), of("responseElements")), (Some(Value::Null), Some(Value::Null)));
        let record = recorded(&json!({}), Ok(large));
        assert_eq!((record.get("errorCode"), &record["responseElements"]), (None, &Value::Null));
    }
}
