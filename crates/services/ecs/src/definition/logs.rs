//! Log configurations: the awslogs driver.

use crate::errors::{DefinitionError, EcsError};
use crate::supported;
use state::{ContainerSpec, TaskLog};
use wire::types::ecs::LogConfiguration;

/// Options of the driver that mean something here.
const OPTIONS: [&str; 6] =
    ["awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "mode", "max-buffer-size"];

/// The extract of a container's log configuration, if it has one.
pub(super) fn awslogs(path: &str, given: Option<&LogConfiguration>) -> Result<Option<TaskLog>, EcsError> {
    let Some(given) = given else { return Ok(None) };
    let path = format!("{path}logConfiguration.");
    supported::only(given, &["logDriver", "options"], &path)?;
    if given.log_driver != "awslogs" {
        return Err(EcsError::FieldNotSupported(format!("{path}logDriver: {}", given.log_driver)));
    }
    let options = given.options.clone().unwrap_or_default();
    supported::only(&options, &OPTIONS, &format!("{path}options."))?;
    let option = |name: &str| options.get(name).filter(|value| !value.is_empty()).cloned();
    let (Some(region), Some(group)) = (option("awslogs-region"), option("awslogs-group")) else {
        return Err(DefinitionError::LogOptions("awslogs-region, awslogs-group").into());
    };
    one_of("mode", option("mode"), &["blocking", "non-blocking"])?;
    check_buffer_size(option("max-buffer-size"))?;
    let create_group = one_of("awslogs-create-group", option("awslogs-create-group"), &["true", "false"])?;
    Ok(Some(TaskLog {
        group,
        region,
        stream_prefix: option("awslogs-stream-prefix"),
        create_group: create_group.as_deref() == Some("true"),
    }))
}

/// Nodes ship output to their own region, which is that of the definition.
pub(super) fn check_region(containers: &[ContainerSpec], region: &str) -> Result<(), EcsError> {
    match containers.iter().filter_map(|container| container.awslogs.as_ref()).find(|log| log.region != region) {
        None => Ok(()),
        Some(log) => {
            let (allowed, value) = (region.to_owned(), log.region.clone());
            Err(DefinitionError::LogOption { name: "awslogs-region", allowed, value }.into())
        }
    }
}

fn one_of(name: &'static str, value: Option<String>, allowed: &[&str]) -> Result<Option<String>, EcsError> {
    match value {
        Some(value) if !allowed.contains(&value.as_str()) => {
            Err(DefinitionError::LogOption { name, allowed: allowed.join(" or "), value }.into())
        }
        value => Ok(value),
    }
}

/// Digits, and perhaps a unit: `4m`.
fn check_buffer_size(value: Option<String>) -> Result<(), EcsError> {
    let Some(value) = value else { return Ok(()) };
    let digits = value.strip_suffix(['k', 'm', 'g', 'K', 'M', 'G']).unwrap_or(&value);
    match !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(()),
        false => {
            let (name, allowed) = ("max-buffer-size", "like 4m".to_owned());
            Err(DefinitionError::LogOption { name, allowed, value }.into())
        }
    }
}
