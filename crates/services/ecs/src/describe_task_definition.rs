//! DescribeTaskDefinition: one revision, or the latest ACTIVE one of a family.

use crate::errors::EcsError;
use crate::names::Scope;
use crate::{find, show, tags};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse};

pub fn checks(_view: &View, _input: &DescribeTaskDefinitionRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:DescribeTaskDefinition")])
}

pub fn run(
    view: &View,
    input: DescribeTaskDefinitionRequest,
    cx: &mut Cx,
) -> Result<DescribeTaskDefinitionResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let name = scope.definition(&input.task_definition)?;
    let row = find::definition(view, scope, &name).ok_or(EcsError::DefinitionUnknown)?;
    let with_tags = input.include.iter().flatten().any(|part| part == "TAGS");
    Ok(DescribeTaskDefinitionResponse {
        task_definition: Some(show::definition(row)?),
        tags: with_tags.then(|| tags::show(&row.tags)),
    })
}
