use super::{long, quantity};
use crate::errors::EcsError;
use crate::tags;
use base::Arn;
use state::{CONTAINER_INSTANCES, Cluster, ContainerInstance, NetworkBinding, Task, TaskContainer, TaskDefinition};
use store::{View, key};
use wire::types::ecs::{Attribute, Container, NetworkBinding as ShownBinding, Task as Shown, TaskOverride};

/// The instance attribute that a task shows as its own.
const CPU_ARCHITECTURE: &str = "ecs.cpu-architecture";

/// The instance attribute that becomes a task's `availabilityZone`.
const AVAILABILITY_ZONE: &str = "ecs.availability-zone";

/// A task as RunTask and DescribeTasks answer it; tags only where they are asked for.
pub(crate) fn task(view: &View, row: &Task, with_tags: bool) -> Result<Shown, EcsError> {
    let Task { account, region, cluster, times, .. } = row;
    let instance =
        row.instance.as_ref().and_then(|id| view.get(CONTAINER_INSTANCES, &key![account, region, cluster, id]));
    let overrides: TaskOverride =
        serde_json::from_str(&row.overrides).map_err(|error| EcsError::Stored(error.to_string()))?;
    Ok(Shown {
        attachments: Some(Vec::new()),
        attributes: Some(instance.and_then(architecture).into_iter().collect()),
        availability_zone: instance.and_then(|instance| instance.attribute(AVAILABILITY_ZONE)).map(str::to_owned),
        cluster_arn: Some(Cluster::arn_of(account, region, cluster).to_string()),
        connectivity: times.connectivity.map(|_| connectivity(instance).to_owned()),
        connectivity_at: times.connectivity,
        container_instance_arn: instance.map(|instance| instance.arn().to_string()),
        containers: Some(row.containers.iter().map(|container| self::container(row, container)).collect()),
        cpu: row.cpu_shown.clone(),
        created_at: Some(times.created),
        desired_status: Some(row.desired.as_str().to_owned()),
        enable_execute_command: Some(false),
        execution_stopped_at: times.execution_stopped,
        group: Some(row.group.clone()),
        health_status: Some(row.health().as_str().to_owned()),
        last_status: Some(row.last.as_str().to_owned()),
        launch_type: Some(row.launch_type.clone()),
        memory: row.memory_shown.clone(),
        overrides: Some(overrides),
        pull_started_at: times.pull_started,
        pull_stopped_at: times.pull_stopped,
        started_at: times.started,
        started_by: row.started_by.clone(),
        stop_code: row.stop_code.clone(),
        stopped_at: times.stopped,
        stopped_reason: row.stopped_reason.clone(),
        stopping_at: times.stopping,
        tags: Some(if with_tags { tags::show(&row.tags) } else { Vec::new() }),
        task_arn: Some(row.arn().to_string()),
        task_definition_arn: Some(TaskDefinition::arn_of(account, region, &row.family, row.revision).to_string()),
        version: Some(long(row.version)),
        ..Shown::default()
    })
}

fn architecture(instance: &ContainerInstance) -> Option<Attribute> {
    let value = instance.attribute(CPU_ARCHITECTURE)?.to_owned();
    Some(Attribute { name: CPU_ARCHITECTURE.to_owned(), value: Some(value), ..Attribute::default() })
}

fn connectivity(instance: Option<&ContainerInstance>) -> &'static str {
    match instance {
        Some(instance) if instance.agent_connected => "CONNECTED",
        _ => "DISCONNECTED",
    }
}

/// `container/<cluster>/<task id>/<uuid>`.
fn container_arn(task: &Task, container: &TaskContainer) -> Arn {
    let resource = format!("container/{}/{}/{}", task.cluster, task.id, container.uuid);
    Arn::new("ecs", &task.region, &task.account, resource)
}

fn container(task: &Task, row: &TaskContainer) -> Container {
    Container {
        container_arn: Some(container_arn(task, row).to_string()),
        task_arn: Some(task.arn().to_string()),
        name: Some(row.name.clone()),
        image: Some(row.image.clone()),
        image_digest: row.image_digest.clone(),
        runtime_id: row.runtime_id.clone(),
        last_status: Some(row.last.as_str().to_owned()),
        exit_code: row.exit_code,
        reason: row.reason.clone(),
        network_bindings: Some(row.bindings.iter().map(binding).collect()),
        network_interfaces: Some(Vec::new()),
        health_status: Some(row.health.unwrap_or_default().as_str().to_owned()),
        cpu: Some(row.cpu.to_string()),
        memory: row.memory_mib.map(|mib| mib.to_string()),
        memory_reservation: row.memory_reservation_mib.map(|mib| mib.to_string()),
        ..Container::default()
    }
}

/// A range shows its ends in place of single ports.
fn binding(row: &NetworkBinding) -> ShownBinding {
    let shown = ShownBinding {
        bind_ip: Some(row.bind_ip.clone()),
        protocol: Some(row.protocol.as_str().to_owned()),
        ..ShownBinding::default()
    };
    match row.range_ends {
        None => ShownBinding {
            container_port: Some(quantity(row.container_port.into())),
            host_port: Some(quantity(row.host_port.into())),
            ..shown
        },
        Some((last_inside, last)) => ShownBinding {
            container_port_range: Some(format!("{}-{last_inside}", row.container_port)),
            host_port_range: Some(format!("{}-{last}", row.host_port)),
            ..shown
        },
    }
}
