//! Who a caller is that nobody has to prove to be: on a server for test suites, the account's root.

use auth::Identity;
use base::{ApiError, Principal};
use http::request::Parts;
use request::Open;
use state::{ACCESS_KEYS, KeyOwner};
use store::{View, key};
use wire::sigv4;

/// The root of `open`'s account, in the region that a signature names, be it right or wrong.
///
/// # Errors
/// A server that has no key of its root yet: it is about to start.
pub fn identity(view: &View, open: &Open, head: &Parts) -> Result<Identity, ApiError> {
    let root = view.scan(ACCESS_KEYS, &key![]).find(|row| matches!(row.owner, KeyOwner::Root));
    let root = root.ok_or_else(|| ApiError::server("ServiceUnavailable", "starting: try again").with_status(503))?;
    let named = sigv4::parse_auth(head).ok().flatten().map(|auth| auth.region);
    Ok(Identity {
        principal: Principal::Root { account: open.account.clone() },
        region: named.filter(|region| auth::is_region(region)).unwrap_or_else(|| open.region.clone()),
        // What it is given for this key, such as a password of the registry, then holds.
        access_key_id: root.id.clone(),
        signed_headers: Vec::new(),
    })
}
