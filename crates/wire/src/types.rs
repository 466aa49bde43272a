//! Typed requests and responses of the operations that are implemented.
//!
//! They are read from and written to canonical documents (see [`crate::codec`]); `cargo xtask
//! codegen` generates them. They go no further than an operation's file: state has rows of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

#[rustfmt::skip]
#[path = "types/gen/ecr.rs"]
pub mod ecr;
#[rustfmt::skip]
#[path = "types/gen/ecs.rs"]
pub mod ecs;
#[rustfmt::skip]
#[path = "types/gen/logs.rs"]
pub mod logs;
#[rustfmt::skip]
#[path = "types/gen/longshore.rs"]
pub mod longshore;
#[rustfmt::skip]
#[path = "types/gen/sts.rs"]
pub mod sts;

/// A value that is never shown in logs: its `Debug` says only «sensitive».
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive<T>(pub T);

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("«sensitive»")
    }
}

impl<T> Deref for Sensitive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Sensitive<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// Bytes, which canonical documents carry as base64 text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&base64::display::Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Blob, Sensitive, ecr, ecs, sts};
    use base::Timestamp;
    use serde_json::json;

    #[test]
    fn members_go_by_their_wire_names_and_absent_ones_do_not_go() {
        let task = ecs::Task {
            task_arn: Some("a".into()),
            created_at: Some(Timestamp::from_millis(1500)),
            ..ecs::Task::default()
        };
        assert_eq!(serde_json::to_value(&task).expect("JSON"), json!({"taskArn": "a", "createdAt": 1.5}));
        let caller = sts::GetCallerIdentityResponse { user_id: Some("u".into()), ..Default::default() };
        assert_eq!(serde_json::to_value(&caller).expect("JSON"), json!({"UserId": "u"}));
    }

    #[test]
    fn required_members_of_requests_are_plain_and_null_is_absent() {
        let text = r#"{"taskDefinition": "web:1", "count": null}"#;
        let run: ecs::RunTaskRequest = serde_json::from_str(text).expect("a request");
        assert_eq!((run.task_definition.as_str(), run.count), ("web:1", None));
    }

    #[test]
    fn blobs_are_base64_texts() {
        let part: ecr::UploadLayerPartRequest = serde_json::from_value(json!({
            "repositoryName": "web", "uploadId": "u", "partFirstByte": 0, "partLastByte": 2, "layerPartBlob": "AAEC"
        }))
        .expect("a request");
        assert_eq!(part.layer_part_blob, Blob(vec![0, 1, 2]));
        assert_eq!(serde_json::to_value(&part.layer_part_blob).expect("JSON"), json!("AAEC"));
        assert!(serde_json::from_value::<Blob>(json!("not base64!")).is_err());
    }

    #[test]
    fn sensitive_values_do_not_show() {
        let container = ecs::ContainerDefinition {
            environment: Some(Sensitive(vec![ecs::KeyValuePair {
                name: Some("KEY".into()),
                value: Some("hush".into()),
            }])),
            ..Default::default()
        };
        assert!(format!("{container:?}").contains("environment: Some(«sensitive»)"));
    }
}
