//! Blobs of a repository: configs and layers.

use crate::body::{self, Body};
use crate::errors::RegistryError;
use crate::range::{self, Wanted};
use crate::session::Session;
use crate::set;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Response, StatusCode};
use oci::Digest;
use plan::garbage::promised_until;
use plan::image::within;
use state::{LAYERS, Layer};
use store::View;

pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A push asks this to learn what it need not send: it may then count on what is here.
pub async fn head(session: &Session, name: &str, digest: &Digest) -> Result<Response<Body>, RegistryError> {
    let (requests, action) = (&session.requests, "ecr:BatchCheckLayerAvailability");
    find(session, &requests.view(), action, name, digest)?;
    let stays = requests.blobs().promise(digest, promised_until(requests.now()));
    // Once more: what went before the promise is gone by now.
    let layer = find(session, &requests.view(), action, name, digest)?.clone();
    if !stays || !requests.blobs().has(digest, layer.size).await? {
        return Err(unknown(&layer.account, name, digest));
    }
    let mut response = described(StatusCode::OK, digest);
    set(response.headers_mut(), CONTENT_LENGTH, &layer.size.to_string());
    Ok(response)
}

pub async fn get(
    session: &Session,
    name: &str,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response<Body>, RegistryError> {
    let layer = find(session, &session.requests.view(), "ecr:GetDownloadUrlForLayer", name, digest)?.clone();
    let blobs = session.requests.blobs();
    let wanted = range::wanted(headers, layer.size);
    let reader = match &wanted {
        Wanted::Whole => blobs.get(digest, layer.size).await?,
        Wanted::Part(range) => blobs.get_range(digest, layer.size, range.clone()).await?,
        Wanted::Outside => return Err(RegistryError::BlobRange { size: layer.size }),
    };
    let reader = reader.ok_or_else(|| unknown(&layer.account, name, digest))?;
    let (status, length) = match &wanted {
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        _ => (StatusCode::OK, reader.size),
    };
    let mut response = described(status, digest);
    set(response.headers_mut(), CONTENT_LENGTH, &length.to_string());
    if let Wanted::Part(range) = wanted {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, layer.size);
        set(response.headers_mut(), CONTENT_RANGE, &text);
    }
    *response.body_mut() = body::stream(reader.into_stream());
    Ok(response)
}

/// The blob as the repository knows it: one that only another repository has is not there.
fn find<'a>(
    session: &Session,
    view: &'a View,
    action: &'static str,
    name: &str,
    digest: &Digest,
) -> Result<&'a Layer, RegistryError> {
    let repository = session.repository(view, action, name)?;
    let layer = view.get(LAYERS, &within(repository).push(digest.as_str()));
    layer.ok_or_else(|| unknown(&repository.account, name, digest))
}

fn unknown(account: &str, name: &str, digest: &Digest) -> RegistryError {
    RegistryError::BlobUnknown { digest: digest.to_string(), name: name.to_owned(), account: account.to_owned() }
}

fn described(status: StatusCode, digest: &Digest) -> Response<Body> {
    let mut response = body::bare(status);
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, "application/octet-stream");
    set(headers, ACCEPT_RANGES, "bytes");
    set(headers, CONTENT_DIGEST, digest.as_str());
    response
}
