//! Reading answers, above all those that say no.

use super::ClientError;
use crate::text;
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// Bytes read of an answer that says no.
const ERROR_BYTES_MAX: u64 = 64 * 1024;

/// OCI distribution specification, "Error Codes".
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    code: String,
    message: String,
}

/// What token servers answer.
#[derive(Deserialize)]
struct Details {
    details: String,
}

/// The answer, if it has one of the expected statuses; else the error that it
/// stands for. `what` names the thing asked for.
pub(super) async fn expect(expected: &[StatusCode], response: Response, what: &str) -> Result<Response, ClientError> {
    let status = response.status();
    if expected.contains(&status) {
        return Ok(response);
    }
    let host = host(&response);
    if let Some(to) = response.headers().get(LOCATION).filter(|_| status.is_redirection()) {
        let to = text::name(to.as_bytes());
        return Err(ClientError::Redirect { host, why: format!("to {to}, which is not an address of http or https") });
    }
    let ErrorDetail { code, message } = detail(response).await;
    Err(match status {
        StatusCode::NOT_FOUND => ClientError::NotFound { what: what.to_owned(), message },
        StatusCode::UNAUTHORIZED => ClientError::Unauthorized { host, message },
        StatusCode::FORBIDDEN => ClientError::Denied(message),
        StatusCode::TOO_MANY_REQUESTS => ClientError::TooManyRequests { host, message },
        _ => ClientError::Refused { host, status: status.as_u16(), code, message },
    })
}

/// What the body says, or else the status.
async fn detail(response: Response) -> ErrorDetail {
    let status = response.status();
    let body = limited_body(response, ERROR_BYTES_MAX).await.unwrap_or_default();
    let stated = serde_json::from_slice::<Errors>(&body).ok().and_then(|list| list.errors.into_iter().next());
    let details = || serde_json::from_slice::<Details>(&body).ok();
    let detail = stated.or_else(|| details().map(|it| ErrorDetail { code: String::new(), message: it.details }));
    let mut detail = detail.unwrap_or_default();
    if detail.message.is_empty() {
        detail.message = status.canonical_reason().unwrap_or("no reason given").to_owned();
    }
    ErrorDetail { code: text::message(&detail.code), message: text::message(&detail.message) }
}

/// The body, if it has `limit` bytes at most.
pub(super) async fn limited_body(mut response: Response, limit: u64) -> Result<Bytes, ClientError> {
    let host = host(&response);
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| ClientError::network(&host, error))? {
        if (body.len() + piece.len()) as u64 > limit {
            return Err(ClientError::TooLarge { limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Where the answer came from, after redirects.
pub(super) fn host(response: &Response) -> String {
    response.url().authority().to_owned()
}

/// The media type without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or(text).trim().to_owned())
}

/// A header that is a decimal number.
pub(super) fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
