//! ListAttributes: the attributes of a cluster's container instances, one by one.

use crate::errors::EcsError;
use crate::names::Scope;
use crate::paging::Page;
use crate::{attributes, find};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::{CONTAINER_INSTANCES, ContainerInstance};
use store::{View, key};
use wire::types::ecs::{Attribute, ListAttributesRequest, ListAttributesResponse};

pub fn checks(_view: &View, input: &ListAttributesRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster_arn(scope.cluster(input.cluster.as_deref())?);
    Ok(vec![Check::new("ecs:ListAttributes", cluster)])
}

/// By instance, then by name.
pub fn run(view: &View, input: ListAttributesRequest, cx: &mut Cx) -> Result<ListAttributesResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::cluster(view, scope, cluster)?;
    let (name, value) = (given(&input.attribute_name), given(&input.attribute_value));
    if value.is_some() && name.is_none() {
        return Err(EcsError::AttributeValueAlone.into());
    }
    let page =
        Page::new(List::of(&cx.caller, "ListAttributes", &input), input.max_results, input.next_token.as_deref())?;
    let after = page.after.as_deref().map(|token| token.split_once(' ').ok_or(EcsError::Token)).transpose()?;
    let fits = |known: &str, of: Option<&str>| {
        name.is_none_or(|name| name == known) && value.is_none_or(|value| of == Some(value))
    };
    let shown = |row: &ContainerInstance| -> Vec<Attribute> {
        let first = after.filter(|(id, _)| row.id == *id).map(|(_, name)| name);
        let rest = row.attributes().into_iter().filter(|(name, _)| first.is_none_or(|first| *name > first));
        rest.filter(|(name, value)| fits(name, *value))
            .map(|(name, value)| attributes::show(row, name, value))
            .collect()
    };
    let all = key![scope.account, scope.region, cluster];
    let rows = view.scan(CONTAINER_INSTANCES, &all).filter(|row| row.is_registered());
    let rows = rows.skip_while(|row| after.is_some_and(|(id, _)| row.id.as_str() < id));
    let shown: Vec<Attribute> = rows.flat_map(shown).take(page.needed()).collect();
    let (shown, next_token) = page.cut(shown.iter(), position);
    Ok(ListAttributesResponse { attributes: Some(shown.into_iter().cloned().collect()), next_token })
}

fn given(filter: &Option<String>) -> Option<&str> {
    filter.as_deref().filter(|text| !text.is_empty())
}

/// The instance's id and the attribute's name, which has no space.
fn position(attribute: &Attribute) -> String {
    let instance = attribute.target_id.as_deref().unwrap_or_default();
    format!("{} {}", instance.rsplit('/').next().unwrap_or_default(), attribute.name)
}
