//! UpdateContainerInstancesState: drains instances, or takes them back into service.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use crate::show::{self, InstanceParts};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{CONTAINER_INSTANCES, InstanceStatus};
use store::{Tx, View};
use wire::types::ecs::{UpdateContainerInstancesStateRequest, UpdateContainerInstancesStateResponse};

/// Instances of one call (Amazon ECS API reference, UpdateContainerInstancesState).
const INSTANCES_MAX: usize = 10;

/// `reason` of failures about deregistered instances.
const INACTIVE: &str = "INACTIVE";

pub fn checks(_view: &View, input: &UpdateContainerInstancesStateRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let members = scope.members(Kind::ContainerInstance, cluster, &input.container_instances, INSTANCES_MAX)?;
    let check =
        |arn| Check::new("ecs:UpdateContainerInstancesState", arn).with("ecs:cluster", [scope.cluster_arn(cluster)]);
    Ok(members.into_iter().map(|member| check(member.arn)).collect())
}

/// Running tasks stay; a DRAINING instance gets no new ones.
pub fn run(
    tx: &mut Tx,
    input: UpdateContainerInstancesStateRequest,
    cx: &mut Cx,
) -> Result<UpdateContainerInstancesStateResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(tx, scope, cluster)?;
    let status = match input.status.as_str() {
        "ACTIVE" => InstanceStatus::Active,
        "DRAINING" => InstanceStatus::Draining,
        other => return Err(EcsError::InstanceStatus(other.to_owned()).into()),
    };
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for member in scope.members(Kind::ContainerInstance, cluster, &input.container_instances, INSTANCES_MAX)? {
        match find::instance(tx, scope, cluster, &member).cloned() {
            None => failures.push(show::missing(member)),
            Some(row) if row.status == InstanceStatus::Inactive => failures.push(show::failure(member.arn, INACTIVE)),
            Some(mut row) => {
                row.version += u64::from(row.status != status);
                row.status = status;
                instances.push(show::instance(tx, &row, InstanceParts::default()));
                tx.put(CONTAINER_INSTANCES, row);
            }
        }
    }
    Ok(UpdateContainerInstancesStateResponse { container_instances: Some(instances), failures: Some(failures) })
}
