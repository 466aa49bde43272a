//! ListContainerInstances: ARNs of a cluster's nodes, without deregistered ones.

use crate::names::Scope;
use crate::paging::Page;
use crate::{constraints, find};
use auth::Check;
use base::ApiError;
use plan::query::Facts;
use request::{Caller, Checks, Cx, List};
use state::{CONTAINER_INSTANCES, ContainerInstance};
use store::{View, key};
use wire::types::ecs::{ListContainerInstancesRequest, ListContainerInstancesResponse};

pub fn checks(_view: &View, input: &ListContainerInstancesRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster_arn(scope.cluster(input.cluster.as_deref())?);
    Ok(vec![Check::new("ecs:ListContainerInstances", cluster)])
}

pub fn run(
    view: &View,
    input: ListContainerInstancesRequest,
    cx: &mut Cx,
) -> Result<ListContainerInstancesResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(view, scope, cluster)?;
    let filter = input.filter.as_deref().filter(|filter| !filter.is_empty()).map(constraints::query).transpose()?;
    let page = Page::new(
        List::of(&cx.caller, "ListContainerInstances", &input),
        input.max_results,
        input.next_token.as_deref(),
    )?;
    let all = key![scope.account, scope.region, cluster];
    let has_status = |row: &ContainerInstance| match input.status.as_deref() {
        None => row.is_registered(),
        Some(status) => row.status.as_str() == status,
    };
    let meant = |row: &ContainerInstance| {
        filter.as_ref().is_none_or(|filter| filter.holds(&Facts::of(row, &find::held(view, row))))
    };
    let fits = |row: &&ContainerInstance| has_status(row) && meant(row);
    let rows = view.scan_after(CONTAINER_INSTANCES, &all, &page.start(&all)).filter(fits);
    let (rows, next_token) = page.cut(rows, |row| row.id.clone());
    let arns = rows.into_iter().map(|row| row.arn().to_string()).collect();
    Ok(ListContainerInstancesResponse { container_instance_arns: Some(arns), next_token })
}
