//! PutImageTagMutability: which tags may be moved from now on.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageTagMutability.html>

use crate::repositories::{find, resource};
use crate::settings;
use auth::Check;
use base::ApiError;
use plan::image::{mutability_text, within};
use request::{Caller, Checks, Cx};
use state::REPOSITORIES;
use store::{Tx, View};
use wire::types::ecr::{PutImageTagMutabilityRequest, PutImageTagMutabilityResponse};

pub fn checks(_view: &View, input: &PutImageTagMutabilityRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:PutImageTagMutability", resource)])
}

pub fn run(
    tx: &mut Tx,
    input: PutImageTagMutabilityRequest,
    cx: &mut Cx,
) -> Result<PutImageTagMutabilityResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
    let filters = input.image_tag_mutability_exclusion_filters.unwrap_or_default();
    let mutability = settings::mutability(&input.image_tag_mutability, filters)?;
    let answer = PutImageTagMutabilityResponse {
        registry_id: Some(repository.account.clone()),
        repository_name: Some(repository.name.clone()),
        image_tag_mutability: Some(mutability_text(&mutability).to_owned()),
        image_tag_mutability_exclusion_filters: settings::exclusions(&mutability),
    };
    tx.update(REPOSITORIES, &within(&repository), |row| row.mutability = mutability);
    Ok(answer)
}
