//! A server's half: what a request says about its signature.

use super::{ALGORITHM, EXPIRES_MAX_SECS};
use base::Timestamp;
use http::request::Parts;
use percent_encoding::percent_decode_str;

/// What a signed request states about itself; nothing of it is checked against keys or clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthParts {
    pub access_key_id: String,
    /// `YYYYMMDD` of the credential scope.
    pub date: String,
    pub region: String,
    pub service: String,
    /// `aws4_request` when the scope is right.
    pub terminator: String,
    /// Lower case, in the order given.
    pub signed_headers: Vec<String>,
    /// Hexadecimal.
    pub signature: String,
    /// When the request was signed.
    pub timestamp: Timestamp,
    pub security_token: Option<String>,
    /// Seconds that a presigned request lives.
    pub expires: Option<u32>,
    /// True when the query string carries the signature.
    pub presigned: bool,
}

/// A signature that cannot be read; AWS answers IncompleteSignature with these texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("{}", .0.join(" "))]
    MissingParameters(Vec<String>),
    #[error("AWS query-string parameters must include {}. Re-examine the query-string parameters.", .0.join(", "))]
    MissingQueryParameters(Vec<String>),
    #[error("Unsupported AWS 'algorithm': '{0}'; sign with {ALGORITHM}.")]
    Algorithm(String),
    #[error("Date must be in ISO-8601 'basic format'. Got '{0}'. See http://en.wikipedia.org/wiki/ISO_8601")]
    Date(String),
    #[error("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{0}'")]
    Credential(String),
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    #[error("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")]
    TargetNotSigned,
    #[error("X-Amz-Expires must be a number of seconds from 0 to {EXPIRES_MAX_SECS}, got '{0}'")]
    Expires(String),
}

/// Reads the signature from the Authorization header or, if there is none, from the query string.
///
/// `None` means that the request carries no AWS signature at all. The headers that say what is
/// asked of whom, Host and X-Amz-Target, must be among those signed.
pub fn parse_auth(head: &Parts) -> Result<Option<AuthParts>, AuthError> {
    let auth = match header(head, "authorization") {
        Some(value) if value.starts_with("AWS4-") => from_header(head, &value)?,
        _ if query(head, "X-Amz-Algorithm").is_some() => from_query(head)?,
        _ => return Ok(None),
    };
    let signs = |name: &str| auth.signed_headers.iter().any(|signed| signed == name);
    if !signs("host") && !signs(":authority") {
        return Err(AuthError::HostNotSigned);
    }
    if head.headers.contains_key("x-amz-target") && !signs("x-amz-target") {
        return Err(AuthError::TargetNotSigned);
    }
    Ok(Some(auth))
}

/// The service in the credential scope, if there is one; good for telling services apart only.
pub fn scope_service(head: &Parts) -> Option<String> {
    let credential = match header(head, "authorization") {
        Some(value) => parameter(&value, "Credential")?,
        None => query(head, "X-Amz-Credential")?,
    };
    let service = credential.split('/').nth(3)?;
    Some(service.to_owned())
}

fn from_header(head: &Parts, value: &str) -> Result<AuthParts, AuthError> {
    let (algorithm, parameters) = value.split_once(' ').unwrap_or((value, ""));
    if algorithm != ALGORITHM {
        return Err(AuthError::Algorithm(algorithm.to_owned()));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in ["Credential", "Signature", "SignedHeaders"] {
        match parameter(parameters, name) {
            Some(value) => found.push(value),
            None => missing.push(format!("Authorization header requires '{name}' parameter.")),
        }
    }
    let date = header(head, "x-amz-date").or_else(|| header(head, "date"));
    if date.is_none() {
        missing.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned());
    }
    match (&found[..], date) {
        ([credential, signature, signed_headers], Some(date)) => {
            let timestamp = moment(&date)?;
            let security_token = header(head, "x-amz-security-token");
            let plain = assemble(credential, signature, signed_headers, timestamp)?;
            Ok(AuthParts { security_token, ..plain })
        }
        _ => Err(AuthError::MissingParameters(missing)),
    }
}

fn from_query(head: &Parts) -> Result<AuthParts, AuthError> {
    let names = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"];
    let found: Vec<String> = names.iter().filter_map(|name| query(head, name)).collect();
    let [algorithm, credential, date, signed_headers, signature] = &found[..] else {
        let missing = names.iter().filter(|name| query(head, name).is_none());
        return Err(AuthError::MissingQueryParameters(missing.map(|name| format!("'{name}'")).collect()));
    };
    if algorithm != ALGORITHM {
        return Err(AuthError::Algorithm(algorithm.clone()));
    }
    let plain = assemble(credential, signature, signed_headers, moment(date)?)?;
    let expires = query(head, "X-Amz-Expires").map(|text| expires(&text)).transpose()?;
    Ok(AuthParts { security_token: query(head, "X-Amz-Security-Token"), expires, presigned: true, ..plain })
}

fn expires(text: &str) -> Result<u32, AuthError> {
    let secs = text.parse().ok().filter(|secs| *secs <= EXPIRES_MAX_SECS);
    secs.ok_or_else(|| AuthError::Expires(text.to_owned()))
}

fn assemble(
    credential: &str,
    signature: &str,
    signed_headers: &str,
    timestamp: Timestamp,
) -> Result<AuthParts, AuthError> {
    let scope: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, service, terminator] = scope[..] else {
        return Err(AuthError::Credential(credential.to_owned()));
    };
    Ok(AuthParts {
        access_key_id: access_key_id.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        terminator: terminator.to_owned(),
        signed_headers: signed_headers.split(';').map(str::to_ascii_lowercase).collect(),
        signature: signature.to_owned(),
        timestamp,
        security_token: None,
        expires: None,
        presigned: false,
    })
}

/// `20260101T000000Z`, or the form of HTTP's Date header.
fn moment(text: &str) -> Result<Timestamp, AuthError> {
    let http = || {
        let at = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(Timestamp::from_millis(at.timestamp().as_millisecond()))
    };
    Timestamp::parse_basic(text).or_else(http).ok_or_else(|| AuthError::Date(text.to_owned()))
}

fn header(head: &Parts, name: &str) -> Option<String> {
    head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}

/// A `name=value` of the Authorization header, where commas and spaces part them.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let pairs = parameters.split([',', ' ']).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.next()
}

fn query(head: &Parts, name: &str) -> Option<String> {
    let pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| *key == name);
    found.next().map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
}
