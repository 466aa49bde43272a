//! ListTagsForResource, of repositories: the one kind of resource here that has tags.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListTagsForResource.html>

use crate::errors::EcrError;
use crate::repositories::find;
use auth::Check;
use base::{ApiError, Arn};
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecr::{ListTagsForResourceRequest, ListTagsForResourceResponse, Tag};

pub fn checks(_view: &View, input: &ListTagsForResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("ecr:ListTagsForResource", read_arn(input)?.to_string())])
}

pub fn run(
    view: &View,
    input: ListTagsForResourceRequest,
    cx: &mut Cx,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let arn = read_arn(&input)?;
    let name = arn.resource_of_kind("repository").unwrap_or_default();
    let repository = find(view, Some(&arn.account), name, &cx.caller)?;
    let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: value.clone() };
    Ok(ListTagsForResourceResponse { tags: Some(repository.tags.iter().map(tag).collect()) })
}

fn read_arn(input: &ListTagsForResourceRequest) -> Result<Arn, EcrError> {
    let arn = input.resource_arn.parse::<Arn>().ok();
    let is_repository = |arn: &Arn| arn.service == "ecr" && arn.resource_of_kind("repository").is_some();
    arn.filter(is_repository).ok_or_else(|| EcrError::parameter("resourceArn", "Invalid ARN"))
}
