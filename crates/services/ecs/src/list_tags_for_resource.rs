//! ListTagsForResource: the tags of a cluster, task, container instance or task definition.

use crate::errors::EcsError;
use crate::names::{Kind, Scope};
use crate::{find, tags};
use auth::Check;
use base::{ApiError, Arn};
use request::{Caller, Checks, Cx};
use state::Tags;
use store::View;
use wire::types::ecs::{ListTagsForResourceRequest, ListTagsForResourceResponse};

pub fn checks(_view: &View, input: &ListTagsForResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("ecs:ListTagsForResource", parsed(&input.resource_arn)?.to_string())])
}

pub fn run(
    view: &View,
    input: ListTagsForResourceRequest,
    cx: &mut Cx,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let tags = tags_of(view, Scope::from(&cx.caller), &input.resource_arn)?;
    Ok(ListTagsForResourceResponse { tags: Some(tags::show(tags)) })
}

fn parsed(arn: &str) -> Result<Arn, EcsError> {
    let parsed: Option<Arn> = arn.parse().ok();
    parsed.filter(|arn| arn.service == "ecs").ok_or(EcsError::Identifier("Resource"))
}

fn tags_of<'a>(view: &'a View, scope: Scope, arn: &str) -> Result<&'a Tags, EcsError> {
    let resource = parsed(arn)?.resource;
    let (kind, rest) = resource.split_once('/').ok_or(EcsError::Identifier("Resource"))?;
    let cluster = rest.split('/').next().unwrap_or_default();
    let tags = match kind {
        "cluster" => return Ok(&find::cluster(view, scope, scope.cluster(Some(arn))?)?.tags),
        "task-definition" => find::definition(view, scope, &scope.definition(arn)?).map(|row| &row.tags),
        "task" => {
            let member = scope.member(Kind::Task, cluster, arn)?;
            find::task(view, scope, cluster, &member).map(|row| &row.tags)
        }
        "container-instance" => {
            let member = scope.member(Kind::ContainerInstance, cluster, arn)?;
            find::instance(view, scope, cluster, &member).map(|row| &row.tags)
        }
        _ => None,
    };
    tags.ok_or(EcsError::ResourceNotFound)
}
