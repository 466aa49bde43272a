//! UpdateClusterSettings: a cluster's Container Insights.

use crate::cluster_settings::Changes;
use crate::errors::EcsError;
use crate::find;
use crate::names::Scope;
use crate::show::{self, ClusterParts};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::CLUSTERS;
use store::{Tx, View};
use wire::types::ecs::{UpdateClusterSettingsRequest, UpdateClusterSettingsResponse};

pub fn checks(_view: &View, input: &UpdateClusterSettingsRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    Ok(vec![Check::new("ecs:UpdateClusterSettings", scope.cluster_arn(scope.cluster(Some(&input.cluster))?))])
}

pub fn run(
    tx: &mut Tx,
    input: UpdateClusterSettingsRequest,
    cx: &mut Cx,
) -> Result<UpdateClusterSettingsResponse, ApiError> {
    if input.settings.is_empty() {
        return Err(EcsError::Empty { what: "settings" }.into());
    }
    let scope = Scope::from(&cx.caller);
    let row = find::active_cluster(tx, scope, scope.cluster(Some(&input.cluster))?)?.clone();
    let row = Changes { settings: Some(input.settings), configuration: None }.apply(row)?;
    let parts = ClusterParts { configurations: true, settings: true, tags: true, ..ClusterParts::default() };
    let cluster = show::cluster(tx, &row, parts)?;
    tx.put(CLUSTERS, row);
    Ok(UpdateClusterSettingsResponse { cluster: Some(cluster) })
}
