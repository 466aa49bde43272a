//! A client's half: signing a request by its headers or by its query string.

use super::canonical::{encoded, host};
use super::{ALGORITHM, AuthParts, TERMINATOR, expected_signature};
use crate::types::Sensitive;
use base::Timestamp;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

/// Headers that hops may change, so that they are never signed.
const NEVER_SIGNED: [&str; 16] = [
    "authorization",
    "baggage",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "traceparent",
    "tracestate",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: Sensitive<String>,
    pub session_token: Option<Sensitive<String>>,
}

/// Where and when a signature holds.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
    pub now: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the request has no host: give it a Host header or an absolute URI")]
    NoHost,
    #[error("a credential or host cannot be sent in a header: {0}")]
    Header(#[from] http::header::InvalidHeaderValue),
    #[error("the signed URI is not a URI: {0}")]
    Uri(#[from] http::Error),
}

/// Adds Host (if absent), X-Amz-Date, X-Amz-Security-Token and Authorization to a request.
///
/// Every header that is there already is signed, except those that hops change; a service that
/// wants `x-amz-content-sha256` gets it when the caller sets it before. `body_sha256` is
/// [`body_hash`](super::body_hash) of the body.
pub fn sign(head: &mut Parts, body_sha256: &str, credentials: &Credentials, scope: Scope<'_>) -> Result<(), SignError> {
    let host = host(&head.headers, head).ok_or(SignError::NoHost)?;
    head.headers.insert("host", HeaderValue::from_str(&host)?);
    head.headers.insert("x-amz-date", HeaderValue::from_str(&scope.now.basic())?);
    if let Some(token) = &credentials.session_token {
        head.headers.insert("x-amz-security-token", HeaderValue::from_str(token)?);
    }
    let auth = parts(credentials, scope, signed_headers(&head.headers));
    let signature = expected_signature(&credentials.secret_access_key, head, &auth, body_sha256);
    let (credential, signed) = (credential(&auth), auth.signed_headers.join(";"));
    let value = format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}");
    head.headers.insert("authorization", HeaderValue::from_str(&value)?);
    Ok(())
}

/// Puts a signature into the query string; whoever has the URI may use it for `expires_secs`.
///
/// Only `host` is signed among the headers.
pub fn presign(
    head: &mut Parts,
    body_sha256: &str,
    credentials: &Credentials,
    scope: Scope<'_>,
    expires_secs: u32,
) -> Result<(), SignError> {
    host(&head.headers, head).ok_or(SignError::NoHost)?;
    let auth = parts(credentials, scope, vec!["host".to_owned()]);
    let mut pairs = vec![
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", credential(&auth)),
        ("X-Amz-Date", scope.now.basic()),
        ("X-Amz-Expires", expires_secs.to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
    ];
    pairs.extend(credentials.session_token.as_ref().map(|token| ("X-Amz-Security-Token", token.0.clone())));
    append(&mut head.uri, &pairs)?;
    let signature = expected_signature(&credentials.secret_access_key, head, &auth, body_sha256);
    append(&mut head.uri, &[("X-Amz-Signature", signature)])
}

fn append(uri: &mut Uri, pairs: &[(&str, String)]) -> Result<(), SignError> {
    let added: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let added = added.join("&");
    let path = match uri.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{}?{query}&{added}", uri.path()),
        None => format!("{}?{added}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(http::Error::from)?);
    *uri = Uri::from_parts(parts).map_err(http::Error::from)?;
    Ok(())
}

fn signed_headers(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.retain(|name| !NEVER_SIGNED.contains(&name.as_str()));
    names.sort();
    names
}

fn credential(auth: &AuthParts) -> String {
    let AuthParts { access_key_id, date, region, service, terminator, .. } = auth;
    format!("{access_key_id}/{date}/{region}/{service}/{terminator}")
}

fn parts(credentials: &Credentials, scope: Scope<'_>, signed_headers: Vec<String>) -> AuthParts {
    AuthParts {
        access_key_id: credentials.access_key_id.clone(),
        date: scope.now.basic().chars().take("YYYYMMDD".len()).collect(),
        region: scope.region.to_owned(),
        service: scope.service.to_owned(),
        terminator: TERMINATOR.to_owned(),
        signed_headers,
        signature: String::new(),
        timestamp: scope.now,
        security_token: None,
        expires: None,
        presigned: false,
    }
}
