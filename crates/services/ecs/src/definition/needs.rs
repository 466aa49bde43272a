//! What a definition asks of the instances that its tasks are placed on.

use crate::constraints;
use crate::errors::{DefinitionError, EcsError};
use state::Needs;
use wire::types::ecs::{RuntimePlatform, TaskDefinition, TaskDefinitionPlacementConstraint};

/// Instance attributes that the platform is matched with.
const CPU_ARCHITECTURE: &str = "ecs.cpu-architecture";
const OS_TYPE: &str = "ecs.os-type";

/// Refuses platforms that no node of ours is, and constraints that mean nothing in a definition.
pub(super) fn check(
    platform: Option<&RuntimePlatform>,
    given: &[TaskDefinitionPlacementConstraint],
) -> Result<(), EcsError> {
    let system = platform.and_then(|platform| platform.operating_system_family.as_deref()).unwrap_or("LINUX");
    if system != "LINUX" {
        return Err(DefinitionError::OperatingSystem(system.to_owned()).into());
    }
    constraints::check_count(given.len())?;
    for constraint in given {
        constraints::member_of(constraint.r#type.as_deref(), constraint.expression.as_deref())?;
    }
    Ok(())
}

/// Read from the document, so that what is asked for is what is shown.
pub(super) fn of(document: &str) -> Result<Needs, EcsError> {
    let document: TaskDefinition =
        serde_json::from_str(document).map_err(|error| EcsError::Stored(error.to_string()))?;
    let required = document.requires_attributes.unwrap_or_default().into_iter();
    let required = required.map(|attribute| (attribute.name, attribute.value));
    let constraints = document.placement_constraints.unwrap_or_default().into_iter();
    Ok(Needs {
        attributes: required.chain(platform(document.runtime_platform)).collect(),
        constraints: constraints.filter_map(|constraint| constraint.expression).collect(),
    })
}

fn platform(given: Option<RuntimePlatform>) -> impl Iterator<Item = (String, Option<String>)> {
    let RuntimePlatform { cpu_architecture, operating_system_family } = given.unwrap_or_default();
    let architecture = cpu_architecture.map(|name| (CPU_ARCHITECTURE.to_owned(), Some(name.to_lowercase())));
    let system = operating_system_family.map(|_| (OS_TYPE.to_owned(), Some("linux".to_owned())));
    architecture.into_iter().chain(system)
}
