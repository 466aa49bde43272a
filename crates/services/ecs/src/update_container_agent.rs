//! UpdateContainerAgent: there is never an update to install, for Longshore's agents come with its server and others
//! with their machines' packages. It answers as ECS does of an agent that is up to date.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{UpdateContainerAgentRequest, UpdateContainerAgentResponse};

pub fn checks(_view: &View, input: &UpdateContainerAgentRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let member = scope.member(Kind::ContainerInstance, cluster, &input.container_instance)?;
    Ok(vec![Check::new("ecs:UpdateContainerAgent", member.arn).with("ecs:cluster", [scope.cluster_arn(cluster)])])
}

pub fn run(
    view: &View,
    input: UpdateContainerAgentRequest,
    cx: &mut Cx,
) -> Result<UpdateContainerAgentResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::active_cluster(view, scope, cluster)?;
    let member = scope.member(Kind::ContainerInstance, cluster, &input.container_instance)?;
    let row = find::instance(view, scope, cluster, &member).ok_or(EcsError::InstanceNotFound)?;
    match (row.is_registered(), &row.agent_version) {
        (false, _) => Err(EcsError::InstanceInactive.into()),
        (true, None) => Err(EcsError::AgentVersionUnknown.into()),
        (true, Some(_)) => Err(EcsError::NoAgentUpdate.into()),
    }
}
