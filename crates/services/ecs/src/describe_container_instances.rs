//! DescribeContainerInstances: the nodes of a cluster, and what is left of them.

use crate::find;
use crate::names::{Kind, Scope};
use crate::show::{self, InstanceParts};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{DescribeContainerInstancesRequest, DescribeContainerInstancesResponse};

/// Instances of one call (Amazon ECS API reference, DescribeContainerInstances).
const INSTANCES_MAX: usize = 100;

pub fn checks(_view: &View, input: &DescribeContainerInstancesRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let members = scope.members(Kind::ContainerInstance, cluster, &input.container_instances, INSTANCES_MAX)?;
    let check =
        |arn| Check::new("ecs:DescribeContainerInstances", arn).with("ecs:cluster", [scope.cluster_arn(cluster)]);
    Ok(members.into_iter().map(|member| check(member.arn)).collect())
}

pub fn run(
    view: &View,
    input: DescribeContainerInstancesRequest,
    cx: &mut Cx,
) -> Result<DescribeContainerInstancesResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(view, scope, cluster)?;
    let wants = |part: &str| input.include.iter().flatten().any(|wanted| wanted == part);
    let parts = InstanceParts { health: wants("CONTAINER_INSTANCE_HEALTH"), tags: wants("TAGS") };
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for member in scope.members(Kind::ContainerInstance, cluster, &input.container_instances, INSTANCES_MAX)? {
        match find::instance(view, scope, cluster, &member) {
            Some(row) => instances.push(show::instance(view, row, parts)),
            None => failures.push(show::missing(member)),
        }
    }
    Ok(DescribeContainerInstancesResponse { container_instances: Some(instances), failures: Some(failures) })
}
