//! Links: names by which a container knows others of its task.
//!
//! Amazon ECS API reference, ContainerDefinition, "links".

use crate::errors::DefinitionError;
use crate::names::{NAME_CHARS_MAX, is_plain};
use state::NetworkMode;
use std::collections::BTreeMap;
use wire::types::ecs::ContainerDefinition;

/// Checks every container's links; they order the start, so there is no way round in them.
pub(super) fn check(containers: &[ContainerDefinition], mode: NetworkMode) -> Result<(), DefinitionError> {
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in containers {
        let name = container.name.as_deref().unwrap_or_default();
        let links = container.links.as_deref().unwrap_or_default();
        if !links.is_empty() && mode != NetworkMode::Bridge {
            return Err(DefinitionError::LinksInMode(mode.as_str()));
        }
        for link in links {
            check_one(containers, link).map_err(|problem| invalid(name, problem))?;
        }
        graph.insert(name, links.iter().map(|link| target(link)).collect());
    }
    while let Some(name) =
        graph.iter().find(|(_, to)| !to.iter().any(|to| graph.contains_key(to))).map(|(name, _)| *name)
    {
        graph.remove(name);
    }
    match graph.keys().next() {
        Some(name) => Err(invalid(name, "The links lead round in a circle.".to_owned())),
        None => Ok(()),
    }
}

/// `name` or `name:alias`.
fn target(link: &str) -> &str {
    link.split_once(':').map_or(link, |(name, _)| name)
}

fn check_one(containers: &[ContainerDefinition], link: &str) -> Result<(), String> {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    if alias.is_empty() || alias.len() > NAME_CHARS_MAX || !is_plain(alias) {
        return Err(format!("'{link}' is not name:alias. Use letters, digits, hyphens and underscores."));
    }
    match containers.iter().any(|container| container.name.as_deref() == Some(name)) {
        true => Ok(()),
        false => Err(format!("Container '{name}' is not in the task definition.")),
    }
}

fn invalid(container: &str, problem: String) -> DefinitionError {
    DefinitionError::Setting { container: container.to_owned(), member: "links", problem }
}
