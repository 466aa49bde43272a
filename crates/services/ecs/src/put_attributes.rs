//! PutAttributes: gives container instances attributes of a user's own, or new values to those they have.

use crate::attributes::{self, ATTRIBUTES_MAX};
use crate::errors::EcsError;
use crate::find;
use crate::names::Scope;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::CONTAINER_INSTANCES;
use store::{Tx, View};
use wire::types::ecs::{PutAttributesRequest, PutAttributesResponse};

pub fn checks(_view: &View, input: &PutAttributesRequest, caller: &Caller) -> Checks {
    attributes::checks("ecs:PutAttributes", caller, input.cluster.as_deref(), &input.attributes)
}

pub fn run(tx: &mut Tx, input: PutAttributesRequest, cx: &mut Cx) -> Result<PutAttributesResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    find::active_cluster(tx, scope, cluster)?;
    let mut shown = Vec::new();
    for (target, attribute) in attributes::targets(scope, cluster, &input.attributes)? {
        attributes::check(attribute)?;
        let mut row = attributes::instance(tx, scope, cluster, &target)?;
        row.custom_attributes.insert(attribute.name.clone(), attribute.value.clone());
        if row.custom_attributes.len() > ATTRIBUTES_MAX {
            return Err(EcsError::TooManyAttributes.into());
        }
        shown.push(attributes::show(&row, &attribute.name, attribute.value.as_deref()));
        tx.put(CONTAINER_INSTANCES, row);
    }
    Ok(PutAttributesResponse { attributes: Some(shown) })
}
