use super::{int, long, quantity};
use crate::{find, tags};
use plan::reservation::remaining;
use state::{ContainerInstance, Resources};
use std::collections::BTreeSet;
use store::View;
use wire::types::ecs::{
    Attribute, ContainerInstance as Shown, ContainerInstanceHealthStatus, InstanceHealthCheckResult, Resource,
    VersionInfo,
};

/// What `include` asks for beyond the plain instance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InstanceParts {
    pub health: bool,
    pub tags: bool,
}

pub(crate) fn instance(view: &View, row: &ContainerInstance, parts: InstanceParts) -> Shown {
    let held = find::held(view, row);
    Shown {
        container_instance_arn: Some(row.arn().to_string()),
        ec2_instance_id: row.ec2_instance_id.clone(),
        version: Some(long(row.version)),
        version_info: Some(VersionInfo {
            agent_version: row.agent_version.clone(),
            agent_hash: row.agent_hash.clone(),
            docker_version: row.docker_version.clone(),
        }),
        remaining_resources: Some(resources(&remaining(row, &held.resources()))),
        registered_resources: Some(resources(&row.registered)),
        status: Some(row.status.as_str().to_owned()),
        agent_connected: Some(row.agent_connected),
        running_tasks_count: Some(int(held.running())),
        pending_tasks_count: Some(int(held.pending())),
        attributes: Some(row.attributes().into_iter().map(attribute).collect()),
        registered_at: Some(row.registered_at),
        attachments: Some(Vec::new()),
        tags: Some(if parts.tags { tags::show(&row.tags) } else { Vec::new() }),
        health_status: parts.health.then(health),
        ..Shown::default()
    }
}

fn attribute((name, value): (&str, Option<&str>)) -> Attribute {
    Attribute { name: name.to_owned(), value: value.map(str::to_owned), ..Attribute::default() }
}

fn resources(of: &Resources) -> Vec<Resource> {
    vec![
        number("CPU", of.cpu),
        number("MEMORY", of.memory_mib),
        ports("PORTS", &of.ports_tcp),
        ports("PORTS_UDP", &of.ports_udp),
    ]
}

fn number(name: &str, value: u32) -> Resource {
    Resource { integer_value: Some(quantity(value)), ..resource(name, "INTEGER") }
}

fn ports(name: &str, ports: &BTreeSet<u16>) -> Resource {
    Resource { string_set_value: Some(ports.iter().map(u16::to_string).collect()), ..resource(name, "STRINGSET") }
}

fn resource(name: &str, kind: &str) -> Resource {
    Resource {
        name: Some(name.to_owned()),
        r#type: Some(kind.to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(0),
        ..Resource::default()
    }
}

/// Agents do not report health yet, and this is how the API says so.
fn health() -> ContainerInstanceHealthStatus {
    let unknown = || Some("INSUFFICIENT_DATA".to_owned());
    let runtime = InstanceHealthCheckResult {
        r#type: Some("CONTAINER_RUNTIME".to_owned()),
        status: unknown(),
        ..InstanceHealthCheckResult::default()
    };
    ContainerInstanceHealthStatus { overall_status: unknown(), details: Some(vec![runtime]) }
}
