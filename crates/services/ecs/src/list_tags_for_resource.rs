//! ListTagsForResource: the tags of a cluster, task, container instance or task definition.

use crate::names::Scope;
use crate::tagged::{self, Tagged};
use crate::tags;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{ListTagsForResourceRequest, ListTagsForResourceResponse};

pub fn checks(_view: &View, input: &ListTagsForResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("ecs:ListTagsForResource", tagged::parsed(&input.resource_arn)?.to_string())])
}

pub fn run(
    view: &View,
    input: ListTagsForResourceRequest,
    cx: &mut Cx,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let tags = Tagged::find(view, Scope::from(&cx.caller), &input.resource_arn)?.tags();
    Ok(ListTagsForResourceResponse { tags: Some(tags::show(tags)) })
}
