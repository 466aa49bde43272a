//! DeleteCluster: an empty cluster becomes INACTIVE.

use crate::errors::EcsError;
use crate::find;
use crate::names::Scope;
use crate::show::{self, ClusterParts};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{CLUSTERS, CONTAINER_INSTANCES, ClusterStatus, InstanceStatus, TASKS, Task};
use store::{Tx, View, key};
use wire::types::ecs::{DeleteClusterRequest, DeleteClusterResponse};

pub fn checks(_view: &View, input: &DeleteClusterRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    Ok(vec![Check::new("ecs:DeleteCluster", scope.cluster_arn(scope.cluster(Some(&input.cluster))?))])
}

pub fn run(tx: &mut Tx, input: DeleteClusterRequest, cx: &mut Cx) -> Result<DeleteClusterResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let name = scope.cluster(Some(&input.cluster))?;
    find::cluster(tx, scope, name)?;
    let key = key![scope.account, scope.region, name];
    if tx.scan(CONTAINER_INSTANCES, &key).any(|instance| instance.status != InstanceStatus::Inactive) {
        return Err(EcsError::ClusterContainsContainerInstances.into());
    }
    if tx.scan(TASKS, &key).any(Task::holds_resources) {
        return Err(EcsError::ClusterContainsTasks.into());
    }
    tx.update(CLUSTERS, &key, |row| row.status = ClusterStatus::Inactive);
    let row = find::cluster(tx, scope, name)?;
    Ok(DeleteClusterResponse { cluster: Some(show::cluster(tx, row, ClusterParts::default())?) })
}
