//! DeleteTaskDefinitions: INACTIVE revisions go, each as soon as no task uses it.

use crate::errors::EcsError;
use crate::names::{DefinitionName, Scope};
use crate::{find, show};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{DefinitionStatus, TASK_DEFINITIONS, TaskDefinition};
use store::{Tx, View};
use wire::types::ecs::{DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse};

/// Definitions of one call (Amazon ECS API reference, DeleteTaskDefinitions).
const DEFINITIONS_MAX: usize = 10;

/// `reason` of failures.
const STILL_ACTIVE: &str =
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again.";
const MISSING: &str =
    "The specified task definition does not exist. Specify a valid account, family, revision and try again.";

pub fn checks(_view: &View, input: &DeleteTaskDefinitionsRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let named = named(scope, &input.task_definitions)?;
    Ok(named.into_iter().map(|name| Check::new("ecs:DeleteTaskDefinitions", arn(scope, &name))).collect())
}

/// Control's sweep takes the rows away.
pub fn run(
    tx: &mut Tx,
    input: DeleteTaskDefinitionsRequest,
    cx: &mut Cx,
) -> Result<DeleteTaskDefinitionsResponse, ApiError> {
    let caller = cx.caller.clone();
    let scope = Scope::from(&caller);
    let (mut definitions, mut failures) = (Vec::new(), Vec::new());
    for name in named(scope, &input.task_definitions)? {
        match find::definition(tx, scope, &name).cloned() {
            None => failures.push(show::failure(arn(scope, &name), MISSING)),
            Some(row) if row.is_active() => failures.push(show::failure(row.arn().to_string(), STILL_ACTIVE)),
            Some(mut row) => {
                row.status = DefinitionStatus::DeleteInProgress;
                row.delete_requested_at.get_or_insert(cx.now);
                definitions.push(show::definition(&row)?);
                tx.put(TASK_DEFINITIONS, row);
            }
        }
    }
    Ok(DeleteTaskDefinitionsResponse { task_definitions: Some(definitions), failures: Some(failures) })
}

fn named(scope: Scope, given: &[String]) -> Result<Vec<DefinitionName>, EcsError> {
    if given.is_empty() {
        return Err(EcsError::Empty { what: "taskDefinitions" });
    }
    if given.len() > DEFINITIONS_MAX {
        return Err(EcsError::TooMany { what: "taskDefinitions", most: DEFINITIONS_MAX });
    }
    let named = given.iter().map(|given| scope.definition(given));
    named
        .map(|name| {
            name.and_then(|name| if name.revision.is_some() { Ok(name) } else { Err(EcsError::RevisionMissing) })
        })
        .collect()
}

fn arn(scope: Scope, name: &DefinitionName) -> String {
    let revision = name.revision.unwrap_or_default();
    TaskDefinition::arn_of(scope.account, scope.region, &name.family, revision).to_string()
}
