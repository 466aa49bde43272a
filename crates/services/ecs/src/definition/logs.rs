//! Log configurations: which drivers there are, and what each of them takes.
//!
//! Nodes have awslogs, json-file and none. The others are registered as well, for nodes of other makes: a definition
//! requires its drivers as attributes, and is placed nowhere else.

use super::capability::{AGENT, Need};
use crate::errors::{DefinitionError, EcsError};
use crate::supported;
use state::{ContainerSpec, TaskLog};
use std::collections::BTreeMap;
use wire::types::ecs::{ContainerDefinition, LogConfiguration};

/// What ECS and Docker ask of a driver's options.
struct Driver {
    name: &'static str,
    /// What a node shows that has it.
    attribute: &'static str,
    /// The version of Docker's API that had it first, for ECS.
    api: &'static str,
    required: &'static [&'static str],
    /// Those that it takes beside [`COMMON`]; none where it takes any.
    options: Option<&'static [&'static str]>,
}

/// Options of every driver: the buffer in front of it (Docker Engine documentation, "Configure the delivery mode of
/// log messages").
const COMMON: [&str; 2] = ["mode", "max-buffer-size"];

/// What drivers that keep attributes beside each message take (Docker Engine documentation, "Logging drivers").
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

const fn driver(name: &'static str, attribute: &'static str, options: &'static [&'static str]) -> Driver {
    Driver { name, attribute, api: "docker-remote-api.1.19", required: &[], options: Some(options) }
}

/// Amazon ECS API reference, LogConfiguration; for options of drivers other than awslogs, Docker's pages on each.
/// `none` is not in that list, but taken by ECS and its agent.
static DRIVERS: [Driver; 9] = [
    Driver {
        required: &["awslogs-region", "awslogs-group"],
        ..driver(
            "awslogs",
            "logging-driver.awslogs",
            &[
                "awslogs-group",
                "awslogs-region",
                "awslogs-stream-prefix",
                "awslogs-create-group",
                "awslogs-datetime-format",
                "awslogs-multiline-pattern",
            ],
        )
    },
    Driver {
        api: "docker-remote-api.1.18",
        ..driver(
            "json-file",
            "logging-driver.json-file",
            &["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"],
        )
    },
    driver("none", "logging-driver.none", &[]),
    Driver { options: None, ..driver("awsfirelens", "logging-driver.awsfirelens", &[]) },
    driver(
        "fluentd",
        "logging-driver.fluentd",
        &[
            "fluentd-address",
            "fluentd-async",
            "fluentd-async-connect",
            "fluentd-async-reconnect-interval",
            "fluentd-buffer-limit",
            "fluentd-max-retries",
            "fluentd-request-ack",
            "fluentd-retry-wait",
            "fluentd-sub-second-precision",
            "fluentd-write-timeout",
            "fluentd-read-timeout",
        ],
    ),
    driver(
        "gelf",
        "logging-driver.gelf",
        &[
            "gelf-address",
            "gelf-compression-type",
            "gelf-compression-level",
            "gelf-tcp-max-reconnect",
            "gelf-tcp-reconnect-delay",
        ],
    ),
    driver("journald", "logging-driver.journald", &[]),
    Driver {
        required: &["splunk-token", "splunk-url"],
        ..driver(
            "splunk",
            "logging-driver.splunk",
            &[
                "splunk-url",
                "splunk-token",
                "splunk-source",
                "splunk-sourcetype",
                "splunk-index",
                "splunk-capath",
                "splunk-caname",
                "splunk-insecureskipverify",
                "splunk-format",
                "splunk-verify-connection",
                "splunk-gzip",
                "splunk-gzip-level",
                "splunk-index-acknowledgment",
            ],
        )
    },
    Driver {
        api: "docker-remote-api.1.18",
        ..driver(
            "syslog",
            "logging-driver.syslog",
            &[
                "syslog-address",
                "syslog-facility",
                "syslog-tls-ca-cert",
                "syslog-tls-cert",
                "syslog-tls-key",
                "syslog-tls-skip-verify",
                "syslog-format",
            ],
        )
    },
];

/// Drivers that Fargate has (Amazon ECS API reference, LogConfiguration).
const OF_FARGATE: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];

type Options = BTreeMap<String, String>;

/// Checks a container's log configuration, if it has one; answers the extract of awslogs's options.
pub(super) fn check(path: &str, given: Option<&LogConfiguration>) -> Result<Option<TaskLog>, EcsError> {
    let Some(given) = given else { return Ok(None) };
    supported::only(given, &["logDriver", "options"], &format!("{path}logConfiguration."))?;
    // The model allows no other names than these.
    let Some(driver) = named(&given.log_driver) else {
        return Err(EcsError::FieldNotSupported(format!("{path}logConfiguration.logDriver: {}", given.log_driver)));
    };
    let options = given.options.clone().unwrap_or_default();
    driver.check(&options)?;
    check_mode(driver.name, &options)?;
    match driver.name {
        "awslogs" => awslogs(&options).map(Some),
        _ => Ok(None),
    }
}

fn named(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name == name)
}

impl Driver {
    fn takes(&self, option: &str) -> bool {
        let Some(own) = self.options else { return true };
        // awslogs sends messages alone, and json-file's own list names which it keeps.
        let keeps = !matches!(self.name, "awslogs" | "json-file" | "none");
        own.contains(&option) || COMMON.contains(&option) || (keeps && ATTRIBUTES.contains(&option))
    }

    fn check(&self, options: &Options) -> Result<(), DefinitionError> {
        let foreign: Vec<&str> = options.keys().map(String::as_str).filter(|option| !self.takes(option)).collect();
        if !foreign.is_empty() {
            return Err(DefinitionError::LogOptionsForeign { driver: self.name, options: foreign.join(", ") });
        }
        let lacks = |name: &&&str| value(options, name).is_none();
        let missing: Vec<&str> = self.required.iter().filter(lacks).copied().collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(DefinitionError::LogOptionsMissing { driver: self.name, options: missing.join(", ") }),
        }
    }
}

/// An option's value; an empty one says nothing.
fn value<'a>(options: &'a Options, name: &str) -> Option<&'a str> {
    options.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// As Docker does before it asks the driver.
fn check_mode(driver: &'static str, options: &Options) -> Result<(), DefinitionError> {
    one_of(driver, "mode", options, &["blocking", "non-blocking"])?;
    let Some(size) = value(options, "max-buffer-size") else { return Ok(()) };
    if value(options, "mode") == Some("blocking") {
        return Err(DefinitionError::LogBufferOfBlocking);
    }
    match is_size(size) {
        true => Ok(()),
        false => {
            let (name, allowed, value) = ("max-buffer-size", "a size such as 10m".to_owned(), size.to_owned());
            Err(DefinitionError::LogOption { driver, name, allowed, value })
        }
    }
}

/// Digits, and perhaps a unit: `4m`, `4MB`, `4 MiB`.
fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let (number, prefix) = (digits.strip_suffix(' ').unwrap_or(digits), unit.trim_start_matches(['k', 'm', 'g', 't']));
    let is_unit = unit.len() - prefix.len() <= 1 && matches!(prefix, "" | "b" | "ib") && unit != "ib";
    is_unit && number.parse::<u64>().is_ok_and(|number| number > 0)
}

fn awslogs(options: &Options) -> Result<TaskLog, EcsError> {
    one_of("awslogs", "awslogs-create-group", options, &["true", "false"])?;
    if ["awslogs-datetime-format", "awslogs-multiline-pattern"].iter().all(|name| value(options, name).is_some()) {
        return Err(DefinitionError::LogPatterns.into());
    }
    let text = |name| value(options, name).map(str::to_owned);
    Ok(TaskLog {
        group: text("awslogs-group").unwrap_or_default(),
        region: text("awslogs-region").unwrap_or_default(),
        stream_prefix: text("awslogs-stream-prefix"),
        create_group: value(options, "awslogs-create-group") == Some("true"),
    })
}

fn one_of(
    driver: &'static str,
    name: &'static str,
    options: &Options,
    allowed: &[&str],
) -> Result<(), DefinitionError> {
    match value(options, name).filter(|value| !allowed.contains(value)) {
        None => Ok(()),
        Some(value) => {
            let (allowed, value) = (allowed.join(" or "), value.to_owned());
            Err(DefinitionError::LogOption { driver, name, allowed, value })
        }
    }
}

/// Nodes ship output to their own region, which is that of the definition.
pub(super) fn check_region(containers: &[ContainerSpec], region: &str) -> Result<(), EcsError> {
    match containers.iter().filter_map(|container| container.awslogs.as_ref()).find(|log| log.region != region) {
        None => Ok(()),
        Some(log) => {
            let (driver, name) = ("awslogs", "awslogs-region");
            let (allowed, value) = (region.to_owned(), log.region.clone());
            Err(DefinitionError::LogOption { driver, name, allowed, value }.into())
        }
    }
}

/// What a node must have for the container's driver.
pub(super) fn needs(container: &ContainerDefinition) -> impl Iterator<Item = Need> {
    let driver = container.log_configuration.as_ref().and_then(|logs| named(&logs.log_driver));
    driver.into_iter().flat_map(|driver| [(true, AGENT, driver.attribute), (true, AGENT, driver.api)])
}

/// The container's driver, if Fargate does not have it.
pub(super) fn lacking_on_fargate(container: &ContainerDefinition) -> Option<&str> {
    let driver = container.log_configuration.as_ref().map(|logs| logs.log_driver.as_str());
    driver.filter(|driver| !OF_FARGATE.contains(driver))
}

#[cfg(test)]
mod tests {
    use super::is_size;

    #[test]
    fn buffers_have_sizes_as_docker_takes_them() {
        for (text, expect) in [
            ("4m", true),
            ("4M", true),
            ("4mb", true),
            ("4MiB", true),
            ("4 g", true),
            ("4096", true),
            ("4b", true),
            ("", false),
            ("m", false),
            ("0", false),
            ("-1m", false),
            ("4ib", false),
            ("4kk", false),
            ("4x", false),
            ("4 ü", false),
        ] {
            assert_eq!(is_size(text), expect, "{text:?}");
        }
    }
}
