//! UntagResource: takes tags away from a repository; keys that it has not are no error.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UntagResource.html>

use crate::resource_tags::{arn, change};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecr::{UntagResourceRequest, UntagResourceResponse};

pub fn checks(_view: &View, input: &UntagResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("ecr:UntagResource", arn(&input.resource_arn)?.to_string())])
}

pub fn run(tx: &mut Tx, input: UntagResourceRequest, cx: &mut Cx) -> Result<UntagResourceResponse, ApiError> {
    change(tx, &input.resource_arn, &cx.caller, |mut tags| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(tags)
    })?;
    Ok(UntagResourceResponse {})
}
