//! The canonical request and the string to sign.

use super::{ALGORITHM, AuthParts, body_hash};
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

/// RFC 3986's unreserved characters stay; the rest is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATHS: &AsciiSet = &RESERVED.remove(b'/');

/// The canonical form of a request.
///
/// `body_sha256` is always the hash of the body as received, whatever `x-amz-content-sha256`
/// says: a request whose header tells of another body then has another signature.
pub fn canonical_request(head: &Parts, auth: &AuthParts, body_sha256: &str) -> String {
    let (path, query) = (canonical_path(head.uri.path()), canonical_query(head.uri.query().unwrap_or_default()));
    let headers: String =
        auth.signed_headers.iter().map(|name| format!("{name}:{}\n", canonical_value(head, name))).collect();
    let signed = auth.signed_headers.join(";");
    format!("{}\n{path}\n{query}\n{headers}\n{signed}\n{body_sha256}", head.method)
}

/// The text that is signed; `canonical` is a [`canonical_request`].
pub fn string_to_sign(auth: &AuthParts, canonical: &str) -> String {
    let AuthParts { date, region, service, terminator, timestamp, .. } = auth;
    let hash = body_hash(canonical.as_bytes());
    format!("{ALGORITHM}\n{}\n{date}/{region}/{service}/{terminator}\n{hash}", timestamp.basic())
}

/// The path without dot segments and doubled slashes, its encoding encoded once more.
///
/// S3, which does neither, is not among the services here.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let ends_in_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let end = if ends_in_folder && !kept.is_empty() { "/" } else { "" };
    utf8_percent_encode(&format!("/{}{end}", kept.join("/")), RESERVED_IN_PATHS).to_string()
}

/// The query's pairs, decoded and encoded again, sorted, without the signature.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded_again(name), encoded_again(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded_again(text: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(&text.replace('+', " ")).collect();
    percent_encode(&decoded, RESERVED).to_string()
}

/// Encodes a query's name or value.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A header's values, each trimmed and with single spaces, joined by commas.
fn canonical_value(head: &Parts, name: &str) -> String {
    let values: Vec<String> = head.headers.get_all(name).iter().map(|value| tidy(value.as_bytes())).collect();
    match host(&head.headers, head) {
        Some(authority) if name == "host" && values.is_empty() => authority,
        _ => values.join(","),
    }
}

fn tidy(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The request's host: HTTP/2 carries it in the URI.
pub fn host(headers: &HeaderMap, head: &Parts) -> Option<String> {
    match headers.get("host") {
        Some(host) => Some(tidy(host.as_bytes())),
        None => head.uri.authority().map(|authority| authority.as_str().to_owned()),
    }
}
