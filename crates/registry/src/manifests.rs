//! Manifests, by tag or digest, byte for byte as they were pushed.

use crate::blobs::CONTENT_DIGEST;
use crate::body::{self, Body};
use crate::errors::RegistryError;
use crate::range;
use crate::route::Reference;
use crate::session::Session;
use crate::set;
use ::blobs::BlobError;
use base::ApiError;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use oci::Digest;
use oci::manifest::{self, MANIFEST_BYTES_MAX};
use plan::image::{ImageId, Pushed, Refusal, Removal, pull_is_recorded, within};
use request::Cx;
use serde_json::{Value, json};
use state::{IMAGE_TAGS, IMAGES, Image, Repository};
use store::{CHANGED_ROWS_MAX, Table, Tx};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Rows that one transaction may take away: one more is its audit record.
const ROWS_MAX: usize = CHANGED_ROWS_MAX - 1;

pub async fn head(session: &Session, name: &str, reference: Reference) -> Result<Response<Body>, RegistryError> {
    let image = find(session, name, reference)?;
    // A push that hears that the image is here does not send it, and never heals what is damaged.
    if !session.requests.blobs().has(&image.digest.parse()?, image.manifest_size).await? {
        return Err(RegistryError::ManifestLost(image.digest));
    }
    Ok(described(&image))
}

pub async fn get(session: &Session, name: &str, reference: Reference) -> Result<Response<Body>, RegistryError> {
    let image = find(session, name, reference)?;
    let bytes = match session.requests.blobs().get_bytes(&image.digest.parse()?, MANIFEST_BYTES_MAX as u64).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(BlobError::Damaged(_)) => return Err(RegistryError::ManifestLost(image.digest)),
        Err(error) => return Err(error.into()),
    };
    record_pull(session, &image).await;
    let mut response = described(&image);
    *response.body_mut() = body::full(bytes);
    Ok(response)
}

fn find(session: &Session, name: &str, reference: Reference) -> Result<Image, RegistryError> {
    let view = session.requests.view();
    let repository = session.repository(&view, "ecr:BatchGetImage", name)?;
    Ok(plan::image::find(&view, repository, &image_id(reference))?.clone())
}

fn image_id(reference: Reference) -> ImageId {
    match reference {
        Reference::Tag(tag) => ImageId { digest: None, tag: Some(tag) },
        Reference::Digest(digest) => ImageId { digest: Some(digest.to_string()), tag: None },
    }
}

/// Writes down when the image was pulled, where that is due. A pull goes on without it.
async fn record_pull(session: &Session, image: &Image) {
    let now = session.requests.now();
    if !pull_is_recorded(image, now) {
        return;
    }
    let key = IMAGES::key(image);
    let record = move |tx: &mut Tx| {
        tx.update(IMAGES, &key, |image| image.last_pulled_at = Some(now));
        Ok(())
    };
    if let Err(error) = session.requests.transact(record).await {
        tracing::warn!(%error, "the time of a pull could not be recorded");
    }
}

fn described(image: &Image) -> Response<Body> {
    let mut response = body::bare(StatusCode::OK);
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, &image.media_type);
    set(headers, CONTENT_LENGTH, &image.manifest_size.to_string());
    set(headers, CONTENT_DIGEST, &image.digest);
    response
}

pub async fn put(
    session: &Session,
    name: &str,
    reference: Reference,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Response<Body>, RegistryError> {
    let mut document = json!({"registryId": session.caller.account, "repositoryName": name});
    match &reference {
        Reference::Tag(tag) => document["imageTag"] = tag.as_str().into(),
        Reference::Digest(digest) => document["imageDigest"] = digest.as_str().into(),
    }
    let permitted = session.repository(&session.requests.view(), "ecr:PutImage", name).map(drop);
    if let Err(error) = permitted {
        return Err(session.refused("PutImage", &document, error).await);
    }
    let bytes = read(headers, incoming).await?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    document["imageManifest"] = String::from_utf8_lossy(&bytes).into();
    let (digest, pushed) = match pushed(&bytes, content_type, &reference) {
        Ok(pushed) => pushed,
        Err(error) => return Err(session.refused("PutImage", &document, error).await),
    };
    if let Err(lie) = truthful(session, name, &pushed)? {
        _ = session.refused("PutImage", &document, lie.clone().into()).await;
        return Err(RegistryError::ManifestInvalid(lie));
    }
    if let Some(lost) = lost(session, name, &pushed).await? {
        return Err(session.refused("PutImage", &document, lost.into()).await);
    }
    // Bytes before row. What is refused after this is collected as garbage.
    let kept = session.requests.blobs().put_bytes(&digest, &bytes).await?;
    let subject = pushed.subject.clone();
    let put = move |tx: &mut Tx, repository: &Repository, cx: &mut Cx| put_rows(tx, repository, pushed, cx);
    session.commit("PutImage", &["ecr:PutImage"], name, &document, put).await?;
    drop(kept);
    let mut response = body::bare(StatusCode::CREATED);
    let headers = response.headers_mut();
    set(headers, LOCATION, &format!("/v2/{name}/manifests/{digest}"));
    set(headers, CONTENT_DIGEST, digest.as_str());
    if let Some(subject) = subject {
        set(headers, SUBJECT, &subject);
    }
    Ok(response)
}

/// Why the push is refused when what it names has other sizes than it says.
fn truthful(session: &Session, name: &str, pushed: &Pushed) -> Result<Result<(), Refusal>, RegistryError> {
    let view = session.requests.view();
    Ok(plan::image::truthful(&view, session.repository(&view, "ecr:PutImage", name)?, pushed))
}

/// Why the push is refused when a blob that the repository has by its rows is not whole on the disk.
async fn lost(session: &Session, name: &str, pushed: &Pushed) -> Result<Option<Refusal>, RegistryError> {
    let stored = {
        let view = session.requests.view();
        plan::image::stored(&view, session.repository(&view, "ecr:PutImage", name)?, pushed)
    };
    let lost = session.requests.blobs().missing(stored).await?;
    Ok(lost.map(|digest| Refusal::layer_lost(digest.as_str(), name, &session.caller.account)))
}

async fn read(headers: &HeaderMap, incoming: Incoming) -> Result<Bytes, RegistryError> {
    let too_large = || RegistryError::ManifestTooLarge(MANIFEST_BYTES_MAX);
    if range::length(headers).is_some_and(|length| length > MANIFEST_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut pieces = body::incoming(incoming);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(|_| RegistryError::BrokenOff)? {
        if bytes.len() + piece.len() > MANIFEST_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// What the manifest says, once it is known to be one and to have the digest that it is pushed under.
fn pushed(bytes: &[u8], content_type: Option<&str>, reference: &Reference) -> Result<(Digest, Pushed), ApiError> {
    let manifest = manifest::parse(bytes, content_type).map_err(|error| {
        let text = format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error}'");
        ApiError::client("InvalidParameterException", text)
    })?;
    let digest = Digest::of(bytes);
    let tag = match reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(expected) if *expected == digest => None,
        Reference::Digest(expected) => {
            let text = format!("the manifest has digest '{digest}', but was pushed as '{expected}'");
            return Err(ApiError::client("ImageDigestDoesNotMatchException", text));
        }
    };
    let pushed = Pushed::new(&manifest, &digest, bytes.len(), tag);
    Ok((digest, pushed))
}

/// Answers what the audit record shows as the API's response.
fn put_rows(tx: &mut Tx, repository: &Repository, pushed: Pushed, cx: &mut Cx) -> Result<Value, ApiError> {
    let shown = json!({"image": {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": pushed.digest, "imageTag": pushed.tag},
        "imageManifestMediaType": pushed.media_type,
    }});
    let push = plan::image::push(tx, repository, pushed, cx.now)?;
    if let Some(image) = push.image {
        tx.put(IMAGES, image);
    }
    if let Some(tag) = push.tag {
        tx.put(IMAGE_TAGS, tag);
    }
    Ok(shown)
}

/// By tag that tag goes, and with the last one the image; by digest all of it. An image with
/// hundreds of tags goes in several transactions.
pub async fn delete(session: &Session, name: &str, reference: Reference) -> Result<Response<Body>, RegistryError> {
    let id = image_id(reference);
    let shown = json!({"imageDigest": id.digest, "imageTag": id.tag});
    let document = json!({"registryId": session.caller.account, "repositoryName": name, "imageIds": [shown]});
    loop {
        let id = id.clone();
        let delete = move |tx: &mut Tx, repository: &Repository, _: &mut Cx| delete_rows(tx, repository, &id);
        let removal = session.commit("BatchDeleteImage", &["ecr:BatchDeleteImage"], name, &document, delete).await?;
        if removal["more"] != Value::Bool(true) {
            return Ok(body::bare(StatusCode::ACCEPTED));
        }
    }
}

fn delete_rows(tx: &mut Tx, repository: &Repository, id: &ImageId) -> Result<Value, ApiError> {
    let removal = plan::image::delete(tx, repository, id, ROWS_MAX)
        .map_err(|refusal| ApiError::client(refusal.code(), refusal.to_string()))?;
    let Removal { digest, tags, image, more } = removal;
    for tag in &tags {
        tx.delete(IMAGE_TAGS, &within(repository).push(tag));
    }
    if image {
        tx.delete(IMAGES, &within(repository).push(&digest));
    }
    let ids: Vec<Value> = tags.iter().map(|tag| json!({"imageDigest": digest, "imageTag": tag})).collect();
    Ok(json!({"imageIds": ids, "more": more}))
}
