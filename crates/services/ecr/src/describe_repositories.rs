//! DescribeRepositories.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html>

use crate::page::Page;
use crate::repositories::{find, registry, resource, shown};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use state::REPOSITORIES;
use store::{View, key};
use wire::types::ecr::{DescribeRepositoriesRequest, DescribeRepositoriesResponse};

pub fn checks(_view: &View, input: &DescribeRepositoriesRequest, caller: &Caller) -> Checks {
    let check =
        |name: &str| Check::new("ecr:DescribeRepositories", resource(input.registry_id.as_deref(), name, caller));
    Ok(match &input.repository_names {
        Some(names) => names.iter().map(|name| check(name)).collect(),
        None => vec![check("*")],
    })
}

pub fn run(
    view: &View,
    input: DescribeRepositoriesRequest,
    cx: &mut Cx,
) -> Result<DescribeRepositoriesResponse, ApiError> {
    let explicit = input.repository_names.as_ref().map(|_| "repositoryNames");
    let page = Page::read(
        List::of(&cx.caller, "DescribeRepositories", &input),
        input.max_results,
        input.next_token.as_deref(),
        explicit,
    )?;
    let registry_id = input.registry_id.as_deref();
    let (rows, next_token) = match &input.repository_names {
        Some(names) => {
            let rows = names.iter().map(|name| find(view, registry_id, name, &cx.caller));
            (rows.collect::<Result<Vec<_>, _>>()?, None)
        }
        None => {
            let all = key![registry(registry_id, &cx.caller), cx.region()];
            let after = page.after.as_ref().map_or(all.clone(), |name| all.clone().push(name));
            page.cut(view.scan_after(REPOSITORIES, &all, &after), |row| row.name.clone())
        }
    };
    let repositories = rows.into_iter().map(|row| shown(row, &cx.caller)).collect();
    Ok(DescribeRepositoriesResponse { repositories: Some(repositories), next_token })
}
