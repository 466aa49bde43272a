//! Grants: an address that gives one layer to whoever has it, as GetDownloadUrlForLayer hands out.
//!
//! Sealed as tokens are, so nothing is stored. A grant is bound to the address, ends soon, and dies with
//! the access key that it was made with; what that key's principal may do is asked again when it is used.

use crate::TokenError;
use crate::signature::principal_of;
use base::{MasterKey, Principal, SealError, Sealed, Secrets, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use state::ACCESS_KEYS;
use store::{View, key};

/// The address's parameter that holds a grant.
pub const LAYER_GRANT: &str = "X-Longshore-Grant";
/// One hour. Ours: Amazon ECR's addresses have about as long.
pub const LAYER_GRANT_TTL_SECS: i64 = 3600;

const CONTEXT: &str = "layer-grant";

#[derive(Serialize, Deserialize)]
struct Claims {
    access_key_id: String,
    region: String,
    /// Of the address, such as `/v2/web/blobs/sha256:…`.
    path: String,
    expires_at: Timestamp,
}

/// Makes the grant of what `path` gives, with the rights of the holder of `access_key_id`.
pub fn seal_layer_grant(
    master: &MasterKey,
    secrets: &dyn Secrets,
    access_key_id: &str,
    region: &str,
    path: &str,
    now: Timestamp,
) -> Result<String, SealError> {
    let claims = Claims {
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
        path: path.to_owned(),
        expires_at: now.plus_secs(LAYER_GRANT_TTL_SECS),
    };
    let plain = serde_json::to_vec(&claims).map_err(|_| SealError)?;
    Ok(URL_SAFE_NO_PAD.encode(master.seal(secrets, CONTEXT, &plain)?.as_bytes()))
}

/// In whose name `path` may be asked for, and the region.
pub fn open_layer_grant(
    view: &View,
    master: &MasterKey,
    grant: &str,
    path: &str,
    now: Timestamp,
) -> Result<(Principal, String), TokenError> {
    let sealed = URL_SAFE_NO_PAD.decode(grant).map_err(|_| TokenError::Invalid)?;
    let plain = master.open(CONTEXT, &Sealed::from_bytes(sealed)).map_err(|_| TokenError::Invalid)?;
    let claims: Claims = serde_json::from_slice(&plain).map_err(|_| TokenError::Invalid)?;
    if claims.path != path {
        return Err(TokenError::Invalid);
    }
    if now >= claims.expires_at {
        return Err(TokenError::Expired);
    }
    let row = view.get(ACCESS_KEYS, &key![&claims.access_key_id]).ok_or(TokenError::Invalid)?;
    Ok((principal_of(row), claims.region))
}
