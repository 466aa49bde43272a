//! Registry passwords: what GetAuthorizationToken hands out and `/v2` takes back.
//!
//! A token is a sealed statement, so nothing is stored: the access key it was
//! made with, and when it ends. It dies with its key.

use crate::signature::principal_of;
use base::{MasterKey, Principal, SealError, Sealed, Secrets, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use state::ACCESS_KEYS;
use store::{View, key};

/// 12 hours (Amazon ECR API reference, GetAuthorizationToken).
pub const REGISTRY_TOKEN_TTL_SECS: i64 = 12 * 3600;

const CONTEXT: &str = "registry-token";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("Your authorization token is not one of this registry. Run get-login-password again.")]
    Invalid,
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    access_key_id: String,
    region: String,
    expires_at: Timestamp,
}

/// Makes the password for the holder of `access_key_id`, good in `region` until the returned time.
pub fn seal_registry_token(
    master: &MasterKey,
    secrets: &dyn Secrets,
    access_key_id: &str,
    region: &str,
    now: Timestamp,
) -> Result<(String, Timestamp), SealError> {
    let expires_at = now.plus_secs(REGISTRY_TOKEN_TTL_SECS);
    let claims = Claims { access_key_id: access_key_id.to_owned(), region: region.to_owned(), expires_at };
    let plain = serde_json::to_vec(&claims).map_err(|_| SealError)?;
    let sealed = master.seal(secrets, CONTEXT, &plain)?;
    Ok((URL_SAFE_NO_PAD.encode(sealed.as_bytes()), expires_at))
}

/// Who holds this password, and the region it is good for.
pub fn open_registry_token(
    view: &View,
    master: &MasterKey,
    token: &str,
    now: Timestamp,
) -> Result<(Principal, String), TokenError> {
    let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
    let plain = master.open(CONTEXT, &Sealed::from_bytes(sealed)).map_err(|_| TokenError::Invalid)?;
    let claims: Claims = serde_json::from_slice(&plain).map_err(|_| TokenError::Invalid)?;
    if now >= claims.expires_at {
        return Err(TokenError::Expired);
    }
    let row = view.get(ACCESS_KEYS, &key![&claims.access_key_id]).ok_or(TokenError::Invalid)?;
    Ok((principal_of(row), claims.region))
}
