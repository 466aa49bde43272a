//! RegisterTaskDefinition: the next revision of a family.

use crate::definition::{self, Place};
use crate::{roles, show, tags};
use auth::Check;
use base::{ApiError, Arn};
use request::{Caller, Checks, Cx};
use state::{DefinitionStatus, FAMILIES, Family, TASK_DEFINITIONS, TaskDefinition};
use store::{Tx, View, key};
use wire::types::ecs::{RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse};

/// The revision is not known before it is made: policies are asked about all of the family.
pub fn checks(_view: &View, input: &RegisterTaskDefinitionRequest, caller: &Caller) -> Checks {
    let family = format!("task-definition/{}:*", input.family);
    let arn = Arn::new("ecs", &caller.region, &caller.account, family).to_string();
    let check = Check::new("ecs:RegisterTaskDefinition", &arn)
        .with("ecs:task-cpu", input.cpu.clone())
        .with("ecs:task-memory", input.memory.clone())
        .with("ecs:compute-compatibility", input.requires_compatibilities.clone().unwrap_or_default());
    let mut checks = tags::checks_on_create(check, "RegisterTaskDefinition", &arn, &input.tags);
    checks
        .extend(roles::checks(&caller.account, [input.task_role_arn.as_deref(), input.execution_role_arn.as_deref()])?);
    Ok(checks)
}

pub fn run(
    tx: &mut Tx,
    mut input: RegisterTaskDefinitionRequest,
    cx: &mut Cx,
) -> Result<RegisterTaskDefinitionResponse, ApiError> {
    let tags = tags::read(input.tags.take())?;
    if cx.installation.open.as_ref().is_some_and(|open| !open.allows_host) {
        definition::host::check(&input)?;
    }
    let place = Place { account: cx.account(), region: cx.region(), hosts: &cx.installation.hosts };
    let normal = definition::normalise(input, place)?;
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    let row = TaskDefinition {
        revision: next_revision(tx, &account, &region, &normal.family),
        account,
        region,
        family: normal.family,
        status: DefinitionStatus::Active,
        registered_at: cx.now,
        deregistered_at: None,
        delete_requested_at: None,
        registered_by: cx.caller.principal.arn(),
        document: normal.document,
        spec: normal.spec,
        tags,
    };
    let answer = RegisterTaskDefinitionResponse {
        task_definition: Some(show::definition(&row)?),
        tags: (!row.tags.is_empty()).then(|| tags::show(&row.tags)),
    };
    tx.put(TASK_DEFINITIONS, row);
    Ok(answer)
}

/// Counts on even when every revision before is gone.
fn next_revision(tx: &mut Tx, account: &str, region: &str, name: &str) -> u32 {
    let last = tx.get(FAMILIES, &key![account, region, name]).map_or(0, |family| family.last_revision);
    let last_revision = last + 1;
    let (account, region, name) = (account.to_owned(), region.to_owned(), name.to_owned());
    tx.put(FAMILIES, Family { account, region, name, last_revision });
    last_revision
}
