//! CreateCluster: a name for tasks and container instances to belong to.

use crate::errors::EcsError;
use crate::names::{DEFAULT_CLUSTER, NAME_CHARS_MAX, Scope, is_plain};
use crate::show::{self, ClusterParts};
use crate::{supported, tags};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{CLUSTERS, Cluster, ClusterStatus};
use store::{Tx, View, key};
use wire::types::ecs::{ClusterSetting, CreateClusterRequest, CreateClusterResponse};

/// Members of the request that mean something here.
const SUPPORTED: [&str; 3] = ["clusterName", "tags", "settings"];

pub fn checks(_view: &View, input: &CreateClusterRequest, caller: &Caller) -> Checks {
    let arn = Scope::from(caller).cluster_arn(name(input)?);
    let check = Check::new("ecs:CreateCluster", &arn);
    Ok(tags::checks_on_create(check, "CreateCluster", &arn, &input.tags))
}

/// An ACTIVE cluster of that name is answered as it is; a deleted one begins anew.
pub fn run(tx: &mut Tx, input: CreateClusterRequest, cx: &mut Cx) -> Result<CreateClusterResponse, ApiError> {
    supported::only(&input, &SUPPORTED, "")?;
    input.settings.iter().flatten().try_for_each(check_setting)?;
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    let key = key![account, region, name(&input)?];
    if tx.get(CLUSTERS, &key).is_none_or(|row| row.status == ClusterStatus::Inactive) {
        let (name, tags) = (name(&input)?.to_owned(), tags::read(input.tags)?);
        let status = ClusterStatus::Active;
        tx.put(CLUSTERS, Cluster { account, region, name, status, created_at: cx.now, tags });
    }
    let row = tx.get(CLUSTERS, &key).ok_or(EcsError::ClusterNotFound)?;
    let parts = ClusterParts { settings: true, tags: true, ..ClusterParts::default() };
    Ok(CreateClusterResponse { cluster: Some(show::cluster(tx, row, parts)) })
}

fn name(input: &CreateClusterRequest) -> Result<&str, EcsError> {
    let name = input.cluster_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_CLUSTER);
    match name.len() <= NAME_CHARS_MAX && is_plain(name) {
        true => Ok(name),
        false => Err(EcsError::ClusterName),
    }
}

/// Container Insights cannot be turned on yet; saying that it is off changes nothing.
fn check_setting(setting: &ClusterSetting) -> Result<(), EcsError> {
    match (setting.name.as_deref(), setting.value.as_deref()) {
        (Some("containerInsights"), Some("disabled")) => Ok(()),
        (name, value) => {
            let (name, value) = (name.unwrap_or_default(), value.unwrap_or_default());
            Err(EcsError::FieldNotSupported(format!("settings {name}: {value}")))
        }
    }
}
