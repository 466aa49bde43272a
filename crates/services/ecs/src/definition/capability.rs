//! What a definition needs of an instance, and which launch types have it.
//!
//! Amazon ECS developer guide, "Task definition requires attributes" and "Container agent
//! capabilities".

use super::{Place, Shared, fargate, logs};
use state::{NetworkMode, TaskSpec};
use std::collections::BTreeSet;
use wire::types::ecs::ContainerDefinition;

pub(super) const AGENT: &str = "com.amazonaws.ecs.capability.";
const TASK: &str = "ecs.capability.";

/// `requiresAttributes`, sorted.
pub(super) fn requires_attributes(
    spec: &TaskSpec,
    definitions: &[ContainerDefinition],
    shared: &Shared,
    place: Place,
) -> BTreeSet<String> {
    let has_execution_role = spec.execution_role_arn.is_some();
    let containers = || spec.containers.iter();
    let (awslogs, ecr) = (containers().any(|c| c.awslogs.is_some()), containers().any(|c| is_ecr(&c.image, place)));
    let (soft, vpc) =
        (containers().any(|c| c.memory_reservation_mib.is_some()), spec.network_mode == NetworkMode::Awsvpc);
    let role = match (&spec.task_role_arn, spec.network_mode) {
        (None, _) => None,
        (Some(_), NetworkMode::Host) => Some("task-iam-role-network-host"),
        (Some(_), _) => Some("task-iam-role"),
    };
    let needed = [
        (awslogs && has_execution_role, TASK, "execution-role-awslogs"),
        (vpc, TASK, "task-eni"),
        (vpc, AGENT, "docker-remote-api.1.18"),
        (ecr, AGENT, "ecr-auth"),
        (ecr && has_execution_role, TASK, "execution-role-ecr-pull"),
        (role.is_some(), AGENT, role.unwrap_or_default()),
        (soft, AGENT, "docker-remote-api.1.21"),
    ];
    let needed = needed.into_iter().chain(definitions.iter().flat_map(of_container)).chain(of_shared(shared));
    let needed =
        needed.chain(definitions.iter().flat_map(of_lifecycle)).chain(definitions.iter().flat_map(logs::needs));
    needed.filter(|(needed, ..)| *needed).map(|(_, prefix, name)| format!("{prefix}{name}")).collect()
}

/// Whether it is needed, and the attribute in two parts.
pub(super) type Need = (bool, &'static str, &'static str);

/// What the machine must give a container. Docker's API had each of it first in the version that is named
/// (Docker Engine API version history; the members of ContainerDefinition name some of them, too).
fn of_container(container: &ContainerDefinition) -> [Need; 11] {
    let linux = container.linux_parameters.clone().unwrap_or_default();
    let security = |name: &str| {
        let options = container.docker_security_options.iter().flatten();
        options.into_iter().any(|option| option.split([':', '=']).next() == Some(name))
    };
    let present = |list: Option<usize>| list.is_some_and(|length| length > 0);
    let ranges = container.port_mappings.iter().flatten().any(|port| port.container_port_range.is_some());
    [
        (container.privileged == Some(true), AGENT, "privileged-container"),
        (present(container.docker_labels.as_ref().map(|labels| labels.len())), AGENT, "docker-remote-api.1.18"),
        (present(container.ulimits.as_ref().map(Vec::len)), AGENT, "docker-remote-api.1.18"),
        (security("label"), AGENT, "selinux"),
        (security("apparmor"), AGENT, "apparmor"),
        (present(container.system_controls.as_ref().map(Vec::len)), AGENT, "docker-remote-api.1.24"),
        (linux.shared_memory_size.is_some(), AGENT, "docker-remote-api.1.22"),
        (present(linux.tmpfs.as_ref().map(Vec::len)), AGENT, "docker-remote-api.1.22"),
        (linux.max_swap.is_some(), AGENT, "docker-remote-api.1.20"),
        (linux.init_process_enabled == Some(true), AGENT, "docker-remote-api.1.25"),
        (ranges, TASK, "network.container-port-range"),
    ]
}

fn of_lifecycle(container: &ContainerDefinition) -> [Need; 4] {
    let ordered = container.depends_on.as_ref().is_some_and(|needs| !needs.is_empty());
    let (checked, restarted) = (container.health_check.is_some(), container.restart_policy.as_ref());
    [
        (ordered, TASK, "container-ordering"),
        (checked, TASK, "container-health-check"),
        (checked, AGENT, "docker-remote-api.1.24"),
        (restarted.is_some_and(|policy| policy.enabled), TASK, "container-restart-policy"),
    ]
}

/// Docker's volumes need both of theirs, as AWS registers such definitions.
fn of_shared(shared: &Shared) -> [Need; 3] {
    let docker = shared.volumes.iter().any(|volume| volume.docker_volume_configuration.is_some());
    [
        (shared.pid.is_some() || shared.ipc.is_some(), TASK, "pid-ipc-namespace-sharing"),
        (docker, TASK, "docker-plugin.local"),
        (docker, AGENT, "docker-remote-api.1.25"),
    ]
}

/// True for an image of an ECR registry: AWS's host names, or ours.
fn is_ecr(image: &str, place: Place) -> bool {
    let Some((host, _)) = image.split_once('/') else { return false };
    place.hosts.has_image(image) || (host.contains(".dkr.ecr.") && host.contains(".amazonaws.com"))
}

/// Every launch type that the definition fits.
pub(super) fn compatibilities(spec: &TaskSpec, definitions: &[ContainerDefinition], shared: &Shared) -> Vec<String> {
    let fitting = [
        (spec.network_mode != NetworkMode::Awsvpc, "EXTERNAL"),
        (true, "EC2"),
        (fargate::fits(spec, definitions, shared), "FARGATE"),
        (fits_managed_instances(spec), "MANAGED_INSTANCES"),
    ];
    fitting.into_iter().filter(|(fits, _)| *fits).map(|(_, name)| name.to_owned()).collect()
}

pub(super) fn fits_managed_instances(spec: &TaskSpec) -> bool {
    matches!(spec.network_mode, NetworkMode::Awsvpc | NetworkMode::Host)
}
