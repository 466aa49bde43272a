//! The SigV4 check of a request: who signed it, and whether the signature holds.
//!
//! The order of checks, codes and texts are AWS's: see "Troubleshoot Signature
//! Version 4 signed requests" in the IAM user guide.

use base::{ApiError, MasterKey, Principal, Timestamp};
use http::request::Parts;
use state::{ACCESS_KEYS, AccessKey, KeyOwner};
use store::{View, key};
use wire::model::{Protocol, Service};
use wire::sigv4::{self, AuthParts, TERMINATOR};

/// A signature's time may differ this much from ours, both ways: 15 minutes.
pub const SKEW_SECS_MAX: i64 = 15 * 60;

/// A verified request's signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub principal: Principal,
    /// The credential scope's region: the request acts there.
    pub region: String,
    pub access_key_id: String,
    /// Names of the headers that the signature covers, lower-case.
    pub signed_headers: Vec<String>,
}

/// Why a request is not let in. Codes depend on the service's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Missing,
    Incomplete(String),
    /// Skew, scope or signature.
    Invalid(String),
    UnknownKey,
    /// A token that we never gave out: sessions come with identity.
    UnknownToken,
}

/// Verifies the request in `head` and `body` for `service` at `now`.
///
/// # Errors
/// MissingAuthenticationToken, IncompleteSignature, InvalidSignature
/// (SignatureDoesNotMatch for query services), UnrecognizedClient
/// (InvalidClientTokenId); 403, as each protocol names them.
pub fn authenticate(
    view: &View,
    master: &MasterKey,
    head: &Parts,
    body: &[u8],
    service: &Service,
    now: Timestamp,
) -> Result<Identity, ApiError> {
    verify(view, master, head, body, service, now).map_err(|refusal| refusal.for_protocol(service.protocol))
}

fn verify(
    view: &View,
    master: &MasterKey,
    head: &Parts,
    body: &[u8],
    service: &Service,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let auth =
        sigv4::parse_auth(head).map_err(|error| Refusal::Incomplete(error.to_string()))?.ok_or(Refusal::Missing)?;
    check_time(&auth, now)?;
    check_scope(&auth, service)?;
    if auth.security_token.is_some() {
        return Err(Refusal::UnknownToken);
    }
    let row = view.get(ACCESS_KEYS, &key![&auth.access_key_id]).ok_or(Refusal::UnknownKey)?;
    check_signature(row, master, head, body, &auth)?;
    Ok(Identity {
        principal: principal_of(row),
        region: auth.region,
        access_key_id: auth.access_key_id,
        signed_headers: auth.signed_headers,
    })
}

fn check_signature(
    row: &AccessKey,
    master: &MasterKey,
    head: &Parts,
    body: &[u8],
    auth: &AuthParts,
) -> Result<(), Refusal> {
    let secret = master.open(&AccessKey::seal_context(&row.id), &row.secret).map_err(|_| Refusal::UnknownKey)?;
    let secret = std::str::from_utf8(&secret).map_err(|_| Refusal::UnknownKey)?;
    let canonical = sigv4::canonical_request(head, auth, &sigv4::body_hash(body));
    let signed = sigv4::string_to_sign(auth, &canonical);
    if sigv4::signing_key(secret, auth).verify(&signed, &auth.signature) {
        return Ok(());
    }
    let text = "The request signature we calculated does not match the signature you provided. \
                Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
    Err(Refusal::Invalid(text.to_owned()))
}

/// A header signature lives 15 minutes; a presigned one from 15 minutes before its date until it expires.
fn check_time(auth: &AuthParts, now: Timestamp) -> Result<(), Refusal> {
    let at = auth.timestamp;
    let life_secs = auth.expires.map_or(SKEW_SECS_MAX, i64::from);
    let (least, most) = (now.plus_secs(-life_secs), now.plus_secs(SKEW_SECS_MAX));
    let (at_text, now_text) = (at.basic(), now.basic());
    if at < least {
        let life = if auth.presigned { format!("{life_secs} sec.") } else { "15 min.".to_owned() };
        return Err(Refusal::Invalid(format!(
            "Signature expired: {at_text} is now earlier than {} ({now_text} - {life})",
            least.basic()
        )));
    }
    if at > most {
        return Err(Refusal::Invalid(format!(
            "Signature not yet current: {at_text} is still later than {} ({now_text} + 15 min.)",
            most.basic()
        )));
    }
    Ok(())
}

fn check_scope(auth: &AuthParts, service: &Service) -> Result<(), Refusal> {
    let stamp = auth.timestamp.basic();
    let day = stamp.get(..8).unwrap_or_default();
    let mut wrong = Vec::new();
    if !is_region(&auth.region) {
        wrong.push(format!("Credential should be scoped to a valid region, not '{}'.", auth.region));
    }
    if auth.service != service.signing_name {
        wrong.push(format!("Credential should be scoped to correct service: '{}'.", service.signing_name));
    }
    if auth.terminator != TERMINATOR {
        wrong.push(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
            auth.terminator
        ));
    }
    if auth.date != day {
        wrong.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from '{stamp}'.",
            auth.date
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Refusal::Invalid(wrong.join(" "))) }
}

/// The longest region name accepted: room for names of one's own.
const REGION_LEN_MAX: usize = 32;

/// Regions are whatever clients name; the shape keeps them fit for ARNs, hosts and keys.
pub fn is_region(text: &str) -> bool {
    (1..=REGION_LEN_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whom a key speaks for.
pub fn principal_of(row: &AccessKey) -> Principal {
    match &row.owner {
        KeyOwner::Root => Principal::Root { account: row.account.clone() },
        KeyOwner::Node { region, cluster, instance } => Principal::Node {
            account: row.account.clone(),
            region: region.clone(),
            cluster: cluster.clone(),
            access_key_id: row.id.clone(),
            instance: instance.clone(),
        },
    }
}

impl Refusal {
    fn for_protocol(self, protocol: Protocol) -> ApiError {
        let query = matches!(protocol, Protocol::AwsQuery | Protocol::Ec2Query);
        let (json_code, query_code, text) = match self {
            Self::Missing => (
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                "Request is missing Authentication Token".to_owned(),
            ),
            Self::Incomplete(text) => ("IncompleteSignatureException", "IncompleteSignature", text),
            Self::Invalid(text) => ("InvalidSignatureException", "SignatureDoesNotMatch", text),
            Self::UnknownKey | Self::UnknownToken => (
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                "The security token included in the request is invalid.".to_owned(),
            ),
        };
        let code = if query { query_code } else { json_code };
        let status = if query && code != "IncompleteSignature" { 403 } else { 400 };
        ApiError::client(code, text).with_status(status)
    }
}

#[cfg(test)]
mod tests;
