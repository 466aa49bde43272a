//! GetAuthorizationToken: the password for `/v2`, made for the caller's access key.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>

use crate::errors::{EcrError, from_seal};
use auth::{Check, seal_registry_token};
use base::ApiError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecr::{AuthorizationData, GetAuthorizationTokenRequest, GetAuthorizationTokenResponse};

/// The user name of every token (Amazon ECR user guide, "Private registry authentication").
const USER: &str = "AWS";

pub fn checks(_view: &View, _input: &GetAuthorizationTokenRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecr:GetAuthorizationToken")])
}

pub fn run(
    _view: &View,
    input: GetAuthorizationTokenRequest,
    cx: &mut Cx,
) -> Result<GetAuthorizationTokenResponse, ApiError> {
    let registries = input.registry_ids.unwrap_or_else(|| vec![cx.account().to_owned()]);
    if let Some(foreign) = registries.iter().find(|id| *id != cx.account()) {
        let reason = format!("registry '{foreign}' is not the caller's own: leave registryIds out");
        return Err(EcrError::parameter("registryIds", reason).into());
    }
    let key_id = cx.caller.access_key_id.as_deref().ok_or(EcrError::NoAccessKey)?;
    let sealed = seal_registry_token(&cx.installation.master, &*cx.secrets, key_id, cx.region(), cx.now);
    let (password, expires_at) = sealed.map_err(|error| from_seal(&error))?;
    let data = AuthorizationData {
        authorization_token: Some(STANDARD.encode(format!("{USER}:{password}"))),
        expires_at: Some(expires_at),
        proxy_endpoint: Some(cx.caller.endpoint.clone()),
    };
    Ok(GetAuthorizationTokenResponse { authorization_data: Some(vec![data; registries.len()]) })
}
