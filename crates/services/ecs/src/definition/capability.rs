//! What a definition needs of an instance, and which launch types have it.
//!
//! Amazon ECS developer guide, "Task definition requires attributes" and "Container agent
//! capabilities".

use super::{Place, fargate};
use state::{NetworkMode, TaskSpec};
use std::collections::BTreeSet;

const AGENT: &str = "com.amazonaws.ecs.capability.";
const TASK: &str = "ecs.capability.";

/// `requiresAttributes`, sorted.
pub(super) fn requires_attributes(spec: &TaskSpec, place: Place) -> BTreeSet<String> {
    let has_execution_role = spec.execution_role_arn.is_some();
    let containers = || spec.containers.iter();
    let (logs, ecr) = (containers().any(|c| c.awslogs.is_some()), containers().any(|c| is_ecr(&c.image, place)));
    let (soft, vpc) =
        (containers().any(|c| c.memory_reservation_mib.is_some()), spec.network_mode == NetworkMode::Awsvpc);
    let role = match (&spec.task_role_arn, spec.network_mode) {
        (None, _) => None,
        (Some(_), NetworkMode::Host) => Some("task-iam-role-network-host"),
        (Some(_), _) => Some("task-iam-role"),
    };
    let needed = [
        (logs, AGENT, "logging-driver.awslogs"),
        (logs, AGENT, "docker-remote-api.1.19"),
        (logs && has_execution_role, TASK, "execution-role-awslogs"),
        (vpc, TASK, "task-eni"),
        (vpc, AGENT, "docker-remote-api.1.18"),
        (ecr, AGENT, "ecr-auth"),
        (ecr && has_execution_role, TASK, "execution-role-ecr-pull"),
        (role.is_some(), AGENT, role.unwrap_or_default()),
        (soft, AGENT, "docker-remote-api.1.21"),
    ];
    needed.into_iter().filter(|(needed, ..)| *needed).map(|(_, prefix, name)| format!("{prefix}{name}")).collect()
}

/// True for an image of an ECR registry: AWS's host names, or ours.
fn is_ecr(image: &str, place: Place) -> bool {
    let Some((host, _)) = image.split_once('/') else { return false };
    host == place.registry_host || (host.contains(".dkr.ecr.") && host.contains(".amazonaws.com"))
}

/// Every launch type that the definition fits.
pub(super) fn compatibilities(spec: &TaskSpec) -> Vec<String> {
    let fitting = [
        (spec.network_mode != NetworkMode::Awsvpc, "EXTERNAL"),
        (true, "EC2"),
        (fargate::fits(spec), "FARGATE"),
        (fits_managed_instances(spec), "MANAGED_INSTANCES"),
    ];
    fitting.into_iter().filter(|(fits, _)| *fits).map(|(_, name)| name.to_owned()).collect()
}

pub(super) fn fits_managed_instances(spec: &TaskSpec) -> bool {
    matches!(spec.network_mode, NetworkMode::Awsvpc | NetworkMode::Host)
}
