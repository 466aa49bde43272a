//! Where a container's output goes: the log drivers that this agent has, with Docker's options.
//!
//! What is refused is refused in Docker's words where it has some (github.com/moby/moby, daemon/logger).

use super::size::{binary_size, decimal_size};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::acs::docker;

mod multiline;

pub use multiline::Multiline;

/// Output that may wait for shipping when `max-buffer-size` says nothing: 10 MiB, as the ECS agent has it.
pub const BUFFER_BYTES_DEFAULT: u64 = 10 << 20;
/// The files of a container whose definition names no log driver. Docker's own are without bound; a node's disk is not.
const UNASKED_FILE_BYTES: u64 = 10_000_000;
const UNASKED_FILES: u32 = 2;

type Options = BTreeMap<String, String>;

/// A container's log driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Logs {
    /// `none`
    Nowhere,
    /// `json-file`
    File(FileLogs),
    /// `awslogs`
    Aws(AwsLogs),
}

/// Docker's driver where none is named is json-file.
impl Default for Logs {
    fn default() -> Self {
        let (bytes_max, files_max) = (Some(UNASKED_FILE_BYTES), UNASKED_FILES);
        Self::File(FileLogs { bytes_max, files_max, ..FileLogs::default() })
    }
}

impl Logs {
    /// # Errors
    /// What cannot be done, for people.
    pub fn read(config: docker::LogConfig, region: &str) -> Result<Self, String> {
        let options: Options = config.config.unwrap_or_default();
        let driver = config.r#type.unwrap_or_default();
        if driver != "none" {
            check_mode(&options)?;
        }
        match driver.as_str() {
            "" => Ok(Self::default()),
            "none" => Ok(Self::Nowhere),
            "json-file" => FileLogs::read(&options).map(Self::File),
            "awslogs" => AwsLogs::read(&options, region).map(Self::Aws),
            other => {
                Err(format!("the log driver {other} is not supported by this agent; use awslogs, json-file or none"))
            }
        }
    }

    /// What is shipped, if it is.
    pub fn aws(&self) -> Option<&AwsLogs> {
        match self {
            Self::Aws(logs) => Some(logs),
            Self::File(_) | Self::Nowhere => None,
        }
    }
}

/// Options that every driver has.
fn check_mode(options: &Options) -> Result<(), String> {
    match options.get("mode").map(String::as_str).unwrap_or_default() {
        "" | "blocking" | "non-blocking" => {}
        other => return Err(format!("logger: logging mode not supported: {other}")),
    }
    match options.get("max-buffer-size").filter(|size| binary_size(size).is_none()) {
        None => Ok(()),
        Some(size) => Err(format!("the log option max-buffer-size must be a size such as 10m, not {size}")),
    }
}

/// Docker's `json-file`. What is written goes to the disk at once: there is no buffer for a mode to be about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLogs {
    /// Of one file; none for no bound.
    pub bytes_max: Option<u64>,
    pub files_max: u32,
    pub compress: bool,
    /// What stands beside each line as `attrs`.
    pub attributes: Attributes,
}

/// Which of a container's labels and variables are kept, by name and by regular expression, and its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub labels: Vec<String>,
    pub labels_regex: Option<String>,
    pub env: Vec<String>,
    pub env_regex: Option<String>,
    /// With `{{.Name}}` and its kin, see [`crate::launch`].
    pub tag: Option<String>,
}

impl FileLogs {
    fn read(options: &Options) -> Result<Self, String> {
        let mut logs = Self { files_max: 1, ..Self::default() };
        for (name, value) in options {
            let list = || value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            match name.as_str() {
                "max-size" => logs.bytes_max = Some(decimal_size(value).ok_or_else(|| bad_size(value))?),
                "max-file" => logs.files_max = files(value)?,
                "compress" => logs.compress = boolean(name, value)?,
                "labels" => logs.attributes.labels = list(),
                "labels-regex" => logs.attributes.labels_regex = Some(pattern(name, value)?),
                "env" => logs.attributes.env = list(),
                "env-regex" => logs.attributes.env_regex = Some(pattern(name, value)?),
                "tag" => logs.attributes.tag = Some(tag(value)?).filter(|tag| !tag.is_empty()),
                "mode" | "max-buffer-size" => {}
                _ => return Err(unknown(name, "json-file")),
            }
        }
        if logs.compress && (logs.files_max == 1 || logs.bytes_max.is_none()) {
            return Err("compress cannot be true when max-file is less than 2 or max-size is not set".to_owned());
        }
        Ok(logs)
    }
}

/// What a tag may speak of.
pub const TAG_FIELDS: [&str; 4] = ["{{.ID}}", "{{.FullID}}", "{{.Name}}", "{{.ImageName}}"];

fn tag(template: &str) -> Result<String, String> {
    let rest = TAG_FIELDS.iter().fold(template.to_owned(), |rest, field| rest.replace(field, ""));
    match rest.contains("{{") {
        true => Err(format!("the log option tag may have {}, not all of {template}", TAG_FIELDS.join(", "))),
        false => Ok(template.to_owned()),
    }
}

fn files(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("max-file cannot be less than 1".to_owned()),
        Ok(files) => Ok(files),
        Err(_) => Err(format!("the log option max-file must be a number, not {text}")),
    }
}

/// Where and how a container's output is shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsLogs {
    pub group: String,
    /// None: the container's runtime id is the stream's name.
    pub stream: Option<String>,
    pub create_group: bool,
    /// `mode=blocking`: a container whose output cannot be shipped waits.
    pub blocking: bool,
    pub buffer_bytes: u64,
    pub multiline: Option<Multiline>,
}

/// Docker's options of the driver that mean something on its hosts, and nothing here.
const AWSLOGS_ELSEWHERE: [&str; 6] = [
    "awslogs-endpoint",
    "awslogs-credentials-endpoint",
    "awslogs-create-stream",
    "awslogs-format",
    "awslogs-max-buffered-events",
    "tag",
];

impl AwsLogs {
    fn read(options: &Options, region: &str) -> Result<Self, String> {
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
                "mode" => logs.blocking = value == "blocking",
                "max-buffer-size" => logs.buffer_bytes = binary_size(value).unwrap_or(BUFFER_BYTES_DEFAULT),
                "awslogs-multiline-pattern" | "awslogs-datetime-format" | "awslogs-force-flush-interval-seconds" => {}
                other if AWSLOGS_ELSEWHERE.contains(&other) => {
                    return Err(format!("the log option {name} is not supported by this agent; remove it"));
                }
                _ => return Err(unknown(name, "awslogs")),
            }
        }
        if logs.group.is_empty() {
            return Err("must specify a value for log opt 'awslogs-group'".to_owned());
        }
        logs.multiline = Multiline::read(options)?;
        Ok(logs)
    }
}

/// As Go's strconv.ParseBool.
fn boolean(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("must specify valid value for log opt '{name}': {text} is neither true nor false")),
    }
}

fn pattern(name: &str, text: &str) -> Result<String, String> {
    match Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("the log option {name} is no regular expression: {error}")),
    }
}

fn bad_size(text: &str) -> String {
    format!("the log option max-size must be a size such as 10m, not {text}")
}

fn unknown(option: &str, driver: &str) -> String {
    format!("unknown log opt '{option}' for {driver} log driver")
}
