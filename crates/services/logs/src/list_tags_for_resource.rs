//! ListTagsForResource, of log groups: the one kind of resource here that has tags.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsForResource.html>

use crate::names::{find_group, group_name};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::logs::{ListTagsForResourceRequest, ListTagsForResourceResponse};

pub fn checks(_view: &View, input: &ListTagsForResourceRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::new("logs:ListTagsForResource", &input.resource_arn)])
}

pub fn run(
    view: &View,
    input: ListTagsForResourceRequest,
    cx: &mut Cx,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let name = group_name(None, Some(&input.resource_arn), &cx.caller)?;
    Ok(ListTagsForResourceResponse { tags: Some(find_group(view, &cx.caller, &name)?.tags.clone()) })
}
