use crate::errors::EcsError;
use state::TaskDefinition;
use wire::types::ecs::TaskDefinition as Shown;

/// The stored document, with what belongs to the revision.
pub(crate) fn definition(row: &TaskDefinition) -> Result<Shown, EcsError> {
    let document: Shown = serde_json::from_str(&row.document).map_err(|error| EcsError::Stored(error.to_string()))?;
    Ok(Shown {
        task_definition_arn: Some(row.arn().to_string()),
        revision: Some(super::quantity(row.revision)),
        status: Some(row.status.as_str().to_owned()),
        registered_at: Some(row.registered_at),
        deregistered_at: row.deregistered_at,
        delete_requested_at: row.delete_requested_at,
        registered_by: Some(row.registered_by.clone()),
        ..document
    })
}
