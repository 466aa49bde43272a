//! UpdateCluster: what a cluster is set to; what is not given stays.

use crate::cluster_settings::Changes;
use crate::create_cluster::fargate_key;
use crate::names::Scope;
use crate::show::{self, ClusterParts};
use crate::{find, supported};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::CLUSTERS;
use store::{Tx, View};
use wire::types::ecs::{UpdateClusterRequest, UpdateClusterResponse};

/// Members of the request that mean something here.
const SUPPORTED: [&str; 3] = ["cluster", "settings", "configuration"];

pub fn checks(_view: &View, input: &UpdateClusterRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let arn = scope.cluster_arn(scope.cluster(Some(&input.cluster))?);
    let key = fargate_key(input.configuration.as_ref());
    Ok(vec![Check::new("ecs:UpdateCluster", arn).with("ecs:fargate-ephemeral-storage-kms-key", key)])
}

pub fn run(tx: &mut Tx, input: UpdateClusterRequest, cx: &mut Cx) -> Result<UpdateClusterResponse, ApiError> {
    supported::only(&input, &SUPPORTED, "")?;
    let scope = Scope::from(&cx.caller);
    let row = find::active_cluster(tx, scope, scope.cluster(Some(&input.cluster))?)?.clone();
    let row = Changes { settings: input.settings, configuration: input.configuration }.apply(row)?;
    let parts = ClusterParts { configurations: true, settings: true, tags: true, ..ClusterParts::default() };
    let cluster = show::cluster(tx, &row, parts)?;
    tx.put(CLUSTERS, row);
    Ok(UpdateClusterResponse { cluster: Some(cluster) })
}
