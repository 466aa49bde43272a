//! ListClusters: the ARNs of ACTIVE clusters.

use crate::paging::Page;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::{CLUSTERS, ClusterStatus};
use store::{View, key};
use wire::types::ecs::{ListClustersRequest, ListClustersResponse};

pub fn checks(_view: &View, _input: &ListClustersRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:ListClusters")])
}

pub fn run(view: &View, input: ListClustersRequest, cx: &mut Cx) -> Result<ListClustersResponse, ApiError> {
    let page = Page::new(List::of(&cx.caller, "ListClusters", &input), input.max_results, input.next_token.as_deref())?;
    let all = key![cx.account(), cx.region()];
    let active = view.scan_after(CLUSTERS, &all, &page.start(&all)).filter(|row| row.status == ClusterStatus::Active);
    let (rows, next_token) = page.cut(active, |row| row.name.clone());
    let cluster_arns = rows.into_iter().map(|row| row.arn().to_string()).collect();
    Ok(ListClustersResponse { cluster_arns: Some(cluster_arns), next_token })
}
