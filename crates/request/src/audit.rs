//! The audit record: one outbox row for each change, in CloudTrail's format.
//!
//! Record contents: AWS CloudTrail user guide, "CloudTrail record contents".

use crate::Cx;
use base::{ApiError, Principal, Timestamp};
use serde_json::{Map, Value, json};
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
    /// The request document, hidden members replaced.
    parameters: Value,
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
        Self { service, operation, parameters: bounded(parameters) }
    }

    /// Writes the record of how the call ended into the transaction's outbox.
    pub(crate) fn record(&self, tx: &mut Tx, cx: &mut Cx, outcome: Result<&Value, &ApiError>) {
        let document = self.document(cx, outcome).to_string();
        let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
        let sequence = tx.next_version();
        tx.put(OUTBOX, OutboxRow { account, region, sequence, kind: OutboxKind::Audit, document });
    }

    fn document(&self, cx: &mut Cx, outcome: Result<&Value, &ApiError>) -> Value {
        let mut record = json!({
            "eventVersion": EVENT_VERSION,
            "userIdentity": identity(&cx.caller.principal, cx.caller.access_key_id.as_deref()),
            "eventTime": event_time(cx.now),
            "eventSource": format!("{}.amazonaws.com", self.service),
            "eventName": self.operation,
            "awsRegion": cx.region(),
            "sourceIPAddress": cx.caller.source_ip,
            "userAgent": cx.caller.user_agent,
            "requestParameters": self.parameters,
            "responseElements": Value::Null,
            "requestID": cx.caller.request_id,
            "eventID": cx.names.uuid(),
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": cx.account(),
            "eventCategory": "Management",
        });
        match outcome {
            Ok(answer) => {
                let mut answer = answer.clone();
                hide(&mut answer);
                record["responseElements"] = bounded(answer);
            }
            Err(error) => {
                record["errorCode"] = error.code.as_ref().into();
                record["errorMessage"] = error.message.clone().into();
            }
        }
        record
    }
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
fn bounded(element: Value) -> Value {
    if element.to_string().len() > ELEMENT_BYTES_MAX { Value::Null } else { element }
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
