//! The options of Docker's `awslogs` log driver.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Output that may wait for shipping when `max-buffer-size` says nothing: 10 MiB (Amazon ECS API
/// Reference, LogConfiguration).
pub const BUFFER_BYTES_DEFAULT: u64 = 10 << 20;

/// Where a container's output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsLogs {
    pub group: String,
    /// None: the container's runtime id is the stream's name.
    pub stream: Option<String>,
    pub create_group: bool,
    /// `mode=blocking`: a container whose output cannot be shipped waits.
    pub blocking: bool,
    pub buffer_bytes: u64,
}

impl AwsLogs {
    /// # Errors
    /// What cannot be done, for people.
    pub fn read(options: &BTreeMap<String, String>, region: &str) -> Result<Self, String> {
        let mut logs = Self { buffer_bytes: BUFFER_BYTES_DEFAULT, ..Self::default() };
        for (name, value) in options {
            match name.as_str() {
                "awslogs-group" => logs.group = value.clone(),
                "awslogs-stream" => logs.stream = Some(value.clone()),
                "awslogs-create-group" => logs.create_group = boolean(name, value)?,
                "awslogs-region" if value == region => {}
                "awslogs-region" => {
                    return Err(format!("awslogs-region {value} is not this node's region; write {region}"));
                }
                "mode" => logs.blocking = blocking(value)?,
                "max-buffer-size" => logs.buffer_bytes = super::size(value).ok_or_else(|| bad_size(value))?,
                _ => return Err(format!("the log option {name} is not supported; remove it")),
            }
        }
        if logs.group.is_empty() {
            return Err("the log driver awslogs needs the option awslogs-group".to_owned());
        }
        Ok(logs)
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    value.to_ascii_lowercase().parse().map_err(|_| format!("the log option {name} must be true or false, not {value}"))
}

fn blocking(mode: &str) -> Result<bool, String> {
    match mode {
        "blocking" => Ok(true),
        "non-blocking" => Ok(false),
        _ => Err(format!("the log option mode must be blocking or non-blocking, not {mode}")),
    }
}

fn bad_size(text: &str) -> String {
    format!("the log option max-buffer-size must be a size such as 10m, not {text}")
}
