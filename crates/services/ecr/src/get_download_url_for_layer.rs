//! GetDownloadUrlForLayer: an address of the registry that gives one layer, for an hour, to whoever has it.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html>

use crate::errors::{EcrError, from_seal};
use crate::repositories::{find, resource};
use auth::{Check, LAYER_GRANT, seal_layer_grant};
use base::ApiError;
use oci::Digest;
use plan::image::within;
use request::{Caller, Checks, Cx};
use state::LAYERS;
use store::View;
use wire::types::ecr::{GetDownloadUrlForLayerRequest, GetDownloadUrlForLayerResponse};

pub fn checks(_view: &View, input: &GetDownloadUrlForLayerRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:GetDownloadUrlForLayer", resource)])
}

pub fn run(
    view: &View,
    input: GetDownloadUrlForLayerRequest,
    cx: &mut Cx,
) -> Result<GetDownloadUrlForLayerResponse, ApiError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?;
    let digest: Digest = input
        .layer_digest
        .parse()
        .map_err(|error: oci::DigestError| EcrError::parameter("layerDigest", error.to_string()))?;
    if view.get(LAYERS, &within(repository).push(digest.as_str())).is_none() {
        let (name, account) = (repository.name.clone(), repository.account.clone());
        return Err(EcrError::LayerNotFound { digest: digest.to_string(), name, account }.into());
    }
    let key_id = cx.caller.access_key_id.as_deref().ok_or(EcrError::NoAccessKey)?;
    let path = format!("/v2/{}/blobs/{digest}", repository.name);
    let grant = seal_layer_grant(&cx.installation.master, &*cx.secrets, key_id, cx.region(), &path, cx.now);
    let grant = grant.map_err(|error| from_seal(&error))?;
    Ok(GetDownloadUrlForLayerResponse {
        download_url: Some(format!("{}{path}?{LAYER_GRANT}={grant}", cx.caller.endpoint)),
        layer_digest: Some(digest.to_string()),
    })
}
