//! ListTaskDefinitionFamilies: families with revisions left, by name.

use crate::paging::Page;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::{FAMILIES, Family, TASK_DEFINITIONS};
use store::{View, key};
use wire::types::ecs::{ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse};

pub fn checks(_view: &View, _input: &ListTaskDefinitionFamiliesRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:ListTaskDefinitionFamilies")])
}

pub fn run(
    view: &View,
    input: ListTaskDefinitionFamiliesRequest,
    cx: &mut Cx,
) -> Result<ListTaskDefinitionFamiliesResponse, ApiError> {
    let page = Page::new(
        List::of(&cx.caller, "ListTaskDefinitionFamilies", &input),
        input.max_results,
        input.next_token.as_deref(),
    )?;
    let all = key![cx.account(), cx.region()];
    let prefix = input.family_prefix.unwrap_or_default();
    let wanted = input.status.as_deref().unwrap_or("ALL");
    let fits = |family: &&Family| family.name.starts_with(&prefix) && has_status(view, family, wanted);
    let rows = view.scan_after(FAMILIES, &all, &page.start(&all)).filter(fits);
    let (rows, next_token) = page.cut(rows, |family| family.name.clone());
    Ok(ListTaskDefinitionFamiliesResponse {
        families: Some(rows.into_iter().map(|family| family.name.clone()).collect()),
        next_token,
    })
}

/// A family is ACTIVE by one ACTIVE revision; one whose revisions are all deleted is not shown at all.
fn has_status(view: &View, family: &Family, wanted: &str) -> bool {
    let mut revisions = view.scan(TASK_DEFINITIONS, &key![family.account, family.region, family.name]).rev().peekable();
    if revisions.peek().is_none() {
        return false;
    }
    match wanted {
        "ACTIVE" => revisions.any(|row| row.is_active()),
        "INACTIVE" => !revisions.any(|row| row.is_active()),
        _ => true,
    }
}
