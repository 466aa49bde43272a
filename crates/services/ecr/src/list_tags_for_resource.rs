//! ListTagsForResource, of repositories: the one kind of resource here that has tags.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListTagsForResource.html>

use crate::resource_tags::{arn, tagged};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::REPOSITORIES;
use store::View;
use wire::types::ecr::{ListTagsForResourceRequest, ListTagsForResourceResponse, Tag};

pub fn checks(_view: &View, input: &ListTagsForResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("ecr:ListTagsForResource", arn(&input.resource_arn)?.to_string())])
}

pub fn run(
    view: &View,
    input: ListTagsForResourceRequest,
    cx: &mut Cx,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let key = tagged(view, &input.resource_arn, &cx.caller)?;
    let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: value.clone() };
    let tags = view.get(REPOSITORIES, &key).map(|row| row.tags.iter().map(tag).collect());
    Ok(ListTagsForResourceResponse { tags })
}
