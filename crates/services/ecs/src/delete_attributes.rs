//! DeleteAttributes: takes a user's attributes off container instances; those that are not there are passed over.

use crate::errors::EcsError;
use crate::names::Scope;
use crate::{attributes, find};
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::CONTAINER_INSTANCES;
use store::{Tx, View};
use wire::types::ecs::{DeleteAttributesRequest, DeleteAttributesResponse};

pub fn checks(_view: &View, input: &DeleteAttributesRequest, caller: &Caller) -> Checks {
    attributes::checks("ecs:DeleteAttributes", caller, input.cluster.as_deref(), &input.attributes)
}

/// An attribute is named without its value (Amazon ECS API reference, DeleteAttributes).
pub fn run(tx: &mut Tx, input: DeleteAttributesRequest, cx: &mut Cx) -> Result<DeleteAttributesResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::active_cluster(tx, scope, cluster)?;
    let mut shown = Vec::new();
    for (target, attribute) in attributes::targets(scope, cluster, &input.attributes)? {
        attributes::check(attribute)?;
        if attribute.value.is_some() {
            return Err(EcsError::AttributeWithValue(attribute.name.clone()).into());
        }
        let mut row = attributes::instance(tx, scope, cluster, &target)?;
        if let Some(value) = row.custom_attributes.remove(&attribute.name) {
            shown.push(attributes::show(&row, &attribute.name, value.as_deref()));
            tx.put(CONTAINER_INSTANCES, row);
        }
    }
    Ok(DeleteAttributesResponse { attributes: Some(shown) })
}
