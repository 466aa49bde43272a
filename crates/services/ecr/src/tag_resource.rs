//! TagResource: adds tags to a repository, or gives them new values.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_TagResource.html>

use crate::resource_tags::{arn, bounded, change, pairs, read};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecr::{TagResourceRequest, TagResourceResponse};

pub fn checks(_view: &View, input: &TagResourceRequest, _caller: &Caller) -> Checks {
    let arn = arn(&input.resource_arn)?.to_string();
    Ok(vec![Check::new("ecr:TagResource", arn).with_request_tags(pairs(&input.tags))])
}

pub fn run(tx: &mut Tx, input: TagResourceRequest, cx: &mut Cx) -> Result<TagResourceResponse, ApiError> {
    let new = read(input.tags)?;
    change(tx, &input.resource_arn, &cx.caller, |mut tags| {
        tags.extend(new);
        bounded(tags)
    })?;
    Ok(TagResourceResponse {})
}
