//! CreateCluster: a name for tasks and container instances to belong to.

use crate::cluster_settings::Changes;
use crate::errors::EcsError;
use crate::names::{DEFAULT_CLUSTER, NAME_CHARS_MAX, Scope, is_plain};
use crate::show::{self, ClusterParts};
use crate::{settings, supported, tags};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{CLUSTERS, Cluster, ClusterStatus};
use store::{Tx, View, key};
use wire::types::ecs::{ClusterConfiguration, CreateClusterRequest, CreateClusterResponse};

/// Members of the request that mean something here.
const SUPPORTED: [&str; 4] = ["clusterName", "tags", "settings", "configuration"];

pub fn checks(_view: &View, input: &CreateClusterRequest, caller: &Caller) -> Checks {
    let arn = Scope::from(caller).cluster_arn(name(input)?);
    let check = Check::new("ecs:CreateCluster", &arn)
        .with("ecs:capacity-provider", input.capacity_providers.iter().flatten())
        .with("ecs:fargate-ephemeral-storage-kms-key", fargate_key(input.configuration.as_ref()));
    Ok(tags::checks_on_create(check, "CreateCluster", &arn, &input.tags))
}

/// An ACTIVE cluster of that name is answered as it is; a deleted one begins anew.
pub fn run(tx: &mut Tx, input: CreateClusterRequest, cx: &mut Cx) -> Result<CreateClusterResponse, ApiError> {
    supported::only(&input, &SUPPORTED, "")?;
    let name = name(&input)?.to_owned();
    let key = key![cx.account(), cx.region(), name];
    let row = new(tx, input, name, cx)?;
    let existing = tx.get(CLUSTERS, &key).filter(|row| row.status == ClusterStatus::Active);
    if existing.is_none() {
        tx.put(CLUSTERS, row);
    }
    let row = tx.get(CLUSTERS, &key).ok_or(EcsError::ClusterNotFound)?;
    let parts = ClusterParts { configurations: true, settings: true, tags: true, ..ClusterParts::default() };
    Ok(CreateClusterResponse { cluster: Some(show::cluster(tx, row, parts)?) })
}

/// The cluster as the request has it; Container Insights are the account's unless it says.
fn new(view: &View, input: CreateClusterRequest, name: String, cx: &Cx) -> Result<Cluster, EcsError> {
    let insights = settings::named(settings::CONTAINER_INSIGHTS)?;
    let insights = insights.effective(view, Scope::from(&cx.caller), &cx.caller.principal.arn());
    let row = Cluster {
        account: cx.account().to_owned(),
        region: cx.region().to_owned(),
        name,
        status: ClusterStatus::Active,
        created_at: cx.now,
        container_insights: insights.value.unwrap_or_default(),
        configuration: None,
        tags: tags::read(input.tags)?,
    };
    Changes { settings: input.settings, configuration: input.configuration }.apply(row)
}

fn name(input: &CreateClusterRequest) -> Result<&str, EcsError> {
    let name = input.cluster_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_CLUSTER);
    match name.len() <= NAME_CHARS_MAX && is_plain(name) {
        true => Ok(name),
        false => Err(EcsError::ClusterName),
    }
}

/// The key that authorisation is told of.
pub(crate) fn fargate_key(configuration: Option<&ClusterConfiguration>) -> Option<&String> {
    configuration?.managed_storage_configuration.as_ref()?.fargate_ephemeral_storage_kms_key_id.as_ref()
}
