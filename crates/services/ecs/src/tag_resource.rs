//! TagResource: adds tags to a resource, or gives them new values.

use crate::names::Scope;
use crate::{tagged, tags};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecs::{TagResourceRequest, TagResourceResponse};

pub fn checks(_view: &View, input: &TagResourceRequest, _caller: &Caller) -> Checks {
    let arn = tagged::parsed(&input.resource_arn)?.to_string();
    Ok(vec![Check::new("ecs:TagResource", arn).with_request_tags(tags::pairs(&input.tags))])
}

pub fn run(tx: &mut Tx, input: TagResourceRequest, cx: &mut Cx) -> Result<TagResourceResponse, ApiError> {
    let new = tags::read(Some(input.tags))?;
    tagged::retag(tx, Scope::from(&cx.caller), &input.resource_arn, |mut tags| {
        tags.extend(new);
        tags::bounded(tags)
    })?;
    Ok(TagResourceResponse {})
}
