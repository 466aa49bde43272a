//! DescribeClusters: clusters and what they hold.

use crate::errors::EcsError;
use crate::find;
use crate::names::{DEFAULT_CLUSTER, Scope};
use crate::show::{self, ClusterParts};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{DescribeClustersRequest, DescribeClustersResponse};

/// Clusters of one call (Amazon ECS API reference, DescribeClusters).
const CLUSTERS_MAX: usize = 100;

pub fn checks(_view: &View, input: &DescribeClustersRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let arns = asked(input)?.into_iter().map(|given| arn(scope, &given));
    Ok(arns.map(|arn| Check::new("ecs:DescribeClusters", arn)).collect())
}

pub fn run(view: &View, input: DescribeClustersRequest, cx: &mut Cx) -> Result<DescribeClustersResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let wants = |part: &str| input.include.iter().flatten().any(|wanted| wanted == part);
    let parts = ClusterParts {
        attachments: wants("ATTACHMENTS"),
        configurations: wants("CONFIGURATIONS"),
        settings: wants("SETTINGS"),
        statistics: wants("STATISTICS"),
        tags: wants("TAGS"),
    };
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for given in asked(&input)? {
        let found = scope.cluster(Some(&given)).and_then(|name| find::cluster(view, scope, name));
        match found {
            Ok(row) => clusters.push(show::cluster(view, row, parts)?),
            Err(_) => failures.push(show::failure(arn(scope, &given), show::MISSING)),
        }
    }
    Ok(DescribeClustersResponse { clusters: Some(clusters), failures: Some(failures) })
}

/// The clusters asked for; without any, the default one.
fn asked(input: &DescribeClustersRequest) -> Result<Vec<String>, EcsError> {
    match input.clusters.as_deref().unwrap_or_default() {
        [] => Ok(vec![DEFAULT_CLUSTER.to_owned()]),
        given if given.len() > CLUSTERS_MAX => Err(EcsError::TooMany { what: "clusters", most: CLUSTERS_MAX }),
        given => Ok(given.to_vec()),
    }
}

/// The ARN given, or the one of that name here.
fn arn(scope: Scope, given: &str) -> String {
    if given.starts_with("arn:") { given.to_owned() } else { scope.cluster_arn(given) }
}
