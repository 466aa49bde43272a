//! Agents' reports: from the wire to plan's words, and into the task's row.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use auth::{CONTEXT_TASK, Check};
use plan::task_state::{ContainerReport, Observed, Report, reported};
use request::{Caller, Checks, Cx};
use state::{NetworkBinding, PortProtocol, TASKS};
use store::Tx;
use wire::types::ecs::{ContainerStateChange, NetworkBinding as Given};

/// Characters of a container's reason (Amazon ECS developer guide, "Stopped tasks error codes").
const REASON_CHARS_MAX: usize = 1024;

/// What agents are answered.
pub(crate) const ACKNOWLEDGEMENT: &str = "ACK";

/// `action` on the cluster, naming the task that the report is about.
pub(crate) fn checks(action: &'static str, caller: &Caller, cluster: Option<&str>, task: Option<&str>) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(cluster)?;
    let task = scope.member(Kind::Task, cluster, named(task)?)?;
    Ok(vec![Check::new(action, scope.cluster_arn(cluster)).with(CONTEXT_TASK, [task.arn])])
}

/// Writes what `report` makes of the task, if it makes a difference.
pub(crate) fn submit(
    tx: &mut Tx,
    cx: &Cx,
    cluster: Option<&str>,
    task: Option<&str>,
    report: &Report,
) -> Result<(), EcsError> {
    let scope = Scope::from(&cx.caller);
    let row = find::one_task(tx, scope, scope.cluster(cluster)?, named(task)?)?;
    let next = reported(row, report, cx.now);
    let gives_room = row.holds_resources() && !next.holds_resources();
    if next != *row {
        if gives_room {
            find::touch_instance(tx, &next);
        }
        tx.put(TASKS, next);
    }
    Ok(())
}

fn named(task: Option<&str>) -> Result<&str, EcsError> {
    task.filter(|task| !task.is_empty()).ok_or(EcsError::Empty { what: "Task" })
}

pub(crate) fn observed(status: Option<&str>) -> Result<Option<Observed>, EcsError> {
    let status = status.filter(|status| !status.is_empty());
    status.map(|status| Observed::parse(status).ok_or_else(|| EcsError::Status(status.to_owned()))).transpose()
}

pub(crate) fn container(given: ContainerStateChange) -> Result<ContainerReport, EcsError> {
    let bindings = given.network_bindings.unwrap_or_default().into_iter().map(binding);
    Ok(ContainerReport {
        name: given.container_name.filter(|name| !name.is_empty()).ok_or(EcsError::Empty { what: "containerName" })?,
        status: observed(given.status.as_deref())?,
        runtime_id: given.runtime_id,
        image_digest: given.image_digest,
        exit_code: given.exit_code,
        reason: given.reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect()),
        bindings: bindings.collect::<Result<_, _>>()?,
    })
}

fn binding(given: Given) -> Result<NetworkBinding, EcsError> {
    let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok()).ok_or(EcsError::Binding);
    let protocol = if given.protocol.as_deref() == Some("udp") { PortProtocol::Udp } else { PortProtocol::Tcp };
    let bind_ip = given.bind_ip.unwrap_or_default();
    let inside = given.container_port_range.as_deref().filter(|range| !range.is_empty());
    let Some(inside) = inside else {
        let (container_port, host_port) = (port(given.container_port)?, port(given.host_port)?);
        return Ok(NetworkBinding { bind_ip, container_port, host_port, protocol, range_ends: None });
    };
    let (container_port, last_inside) = range(inside)?;
    let (host_port, last) = range(given.host_port_range.as_deref().unwrap_or_default())?;
    Ok(NetworkBinding { bind_ip, container_port, host_port, protocol, range_ends: Some((last_inside, last)) })
}

/// `first-last`.
fn range(text: &str) -> Result<(u16, u16), EcsError> {
    let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    ends.filter(|(first, last)| first <= last).ok_or(EcsError::Binding)
}
