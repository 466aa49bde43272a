//! UntagResource: takes tags off a resource; those that it does not carry are passed over.

use crate::names::Scope;
use crate::{tagged, tags};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecs::{UntagResourceRequest, UntagResourceResponse};

pub fn checks(_view: &View, input: &UntagResourceRequest, _caller: &Caller) -> Checks {
    let arn = tagged::parsed(&input.resource_arn)?.to_string();
    Ok(vec![Check::new("ecs:UntagResource", arn).with("aws:TagKeys", &input.tag_keys)])
}

pub fn run(tx: &mut Tx, input: UntagResourceRequest, cx: &mut Cx) -> Result<UntagResourceResponse, ApiError> {
    input.tag_keys.iter().try_for_each(|key| tags::check_key(key))?;
    tagged::retag(tx, Scope::from(&cx.caller), &input.resource_arn, |mut tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(tags)
    })?;
    Ok(UntagResourceResponse {})
}
