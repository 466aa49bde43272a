//! DeregisterTaskDefinition: a revision becomes INACTIVE; tasks of it run on.

use crate::errors::EcsError;
use crate::names::Scope;
use crate::{find, show};
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{DefinitionStatus, TASK_DEFINITIONS};
use store::{Tx, View};
use wire::types::ecs::{DeregisterTaskDefinitionRequest, DeregisterTaskDefinitionResponse};

pub fn checks(_view: &View, _input: &DeregisterTaskDefinitionRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:DeregisterTaskDefinition")])
}

pub fn run(
    tx: &mut Tx,
    input: DeregisterTaskDefinitionRequest,
    cx: &mut Cx,
) -> Result<DeregisterTaskDefinitionResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let name = scope.definition(&input.task_definition)?;
    if name.revision.is_none() {
        return Err(EcsError::RevisionMissing.into());
    }
    let mut row = find::definition(tx, scope, &name).cloned().ok_or(EcsError::DefinitionToDeregister)?;
    if row.is_active() {
        row.status = DefinitionStatus::Inactive;
    }
    row.deregistered_at.get_or_insert(cx.now);
    let answer = DeregisterTaskDefinitionResponse { task_definition: Some(show::definition(&row)?) };
    tx.put(TASK_DEFINITIONS, row);
    Ok(answer)
}
