//! ListTaskDefinitions: revisions by family, then number.

use crate::errors::EcsError;
use crate::paging::Page;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::{TASK_DEFINITIONS, TaskDefinition};
use store::{View, key};
use wire::types::ecs::{ListTaskDefinitionsRequest, ListTaskDefinitionsResponse};

pub fn checks(_view: &View, _input: &ListTaskDefinitionsRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:ListTaskDefinitions")])
}

/// `familyPrefix` is a whole family's name, in spite of its own (Amazon ECS API reference).
pub fn run(
    view: &View,
    input: ListTaskDefinitionsRequest,
    cx: &mut Cx,
) -> Result<ListTaskDefinitionsResponse, ApiError> {
    let page =
        Page::new(List::of(&cx.caller, "ListTaskDefinitions", &input), input.max_results, input.next_token.as_deref())?;
    let after = page.after.as_deref().map(position).transpose()?;
    let all = key![cx.account(), cx.region()];
    let prefix = input.family_prefix.iter().filter(|family| !family.is_empty()).fold(all.clone(), store::Key::push);
    let wanted = input.status.as_deref().unwrap_or("ACTIVE");
    let has_status = |row: &&TaskDefinition| row.status.as_str() == wanted;
    let (rows, next_token) = if input.sort.as_deref() == Some("DESC") {
        let rows = view.scan(TASK_DEFINITIONS, &prefix).rev();
        let rows = rows
            .skip_while(|row| after.as_ref().is_some_and(|after| (&row.family, row.revision) >= (&after.0, after.1)));
        page.cut(rows.filter(has_status), show_position)
    } else {
        let start = after.map_or_else(|| prefix.clone(), |(family, revision)| all.push(family).push(revision));
        page.cut(view.scan_after(TASK_DEFINITIONS, &prefix, &start).filter(has_status), show_position)
    };
    let arns = rows.into_iter().map(|row| row.arn().to_string()).collect();
    Ok(ListTaskDefinitionsResponse { task_definition_arns: Some(arns), next_token })
}

fn show_position(row: &TaskDefinition) -> String {
    format!("{}:{}", row.family, row.revision)
}

fn position(token: &str) -> Result<(String, u32), EcsError> {
    let (family, revision) = token.split_once(':').ok_or(EcsError::Token)?;
    Ok((family.to_owned(), revision.parse().map_err(|_| EcsError::Token)?))
}
