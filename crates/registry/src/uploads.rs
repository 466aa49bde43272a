//! Uploads: a blob arrives whole, in chunks, or by mounting what another repository has.
//!
//! The row says that an upload exists, the staged file how far it is: both survive a restart.

use crate::blobs::CONTENT_DIGEST;
use crate::body::{self, Body};
use crate::errors::RegistryError;
use crate::query::Query;
use crate::range;
use crate::session::Session;
use crate::set;
use ::blobs::{BlobError, Kept, Staged};
use base::ApiError;
use http::header::{HeaderName, LOCATION, RANGE};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use oci::Digest;
use oci::reference::is_repository;
use plan::garbage::promised_until;
use plan::image::within;
use plan::upload::{self, PART_BYTES, UploadRefusal};
use request::Cx;
use serde_json::json;
use state::{LAYERS, Layer, Repository, UPLOADS};
use std::time::Duration;
use store::{Role, Table, Tx};

/// How long a cancellation waits for a store that stopped on a full disk: it is loaded again every other second.
const HEAL_WAIT: Duration = Duration::from_secs(10);
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// POST: mounts a blob, takes a whole one, or starts an upload.
pub async fn start(
    session: &Session,
    name: &str,
    query: &Query,
    incoming: Incoming,
) -> Result<Response<Body>, RegistryError> {
    if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) {
        let digest: Digest = digest.parse()?;
        if let Some(response) = mount(session, name, &digest, from).await? {
            return Ok(response);
        }
    }
    let digest: Option<Digest> = query.get("digest").map(str::parse).transpose()?;
    session.requests.blobs().check_room().await?;
    let id = initiate(session, name).await?;
    let mut staged = session.requests.blobs().stage(&id).await?;
    let Some(digest) = digest else { return Ok(progress(StatusCode::ACCEPTED, name, &id, 0)) };
    if let Err(error) = staged.append(body::incoming(incoming)).await {
        // Nobody was told of this upload, so nobody can go on with it.
        staged.abort().await?;
        forget(session, name, &id).await?;
        return Err(error.into());
    }
    complete(session, name, &id, staged, digest).await
}

async fn initiate(session: &Session, name: &str) -> Result<String, RegistryError> {
    let document = json!({"registryId": session.caller.account, "repositoryName": name});
    let put = |tx: &mut Tx, repository: &Repository, cx: &mut Cx| {
        let id = cx.names.uuid();
        tx.put(UPLOADS, upload::begin(repository, id.clone(), cx.now));
        Ok(json!({"uploadId": id, "partSize": PART_BYTES}))
    };
    let started = session.commit("InitiateLayerUpload", &["ecr:InitiateLayerUpload"], name, &document, put).await?;
    Ok(started["uploadId"].as_str().unwrap_or_default().to_owned())
}

/// Takes over a blob of another repository, without its bytes being sent; nothing where that
/// repository does not have it, or not for this caller.
async fn mount(
    session: &Session,
    name: &str,
    digest: &Digest,
    from: &str,
) -> Result<Option<Response<Body>>, RegistryError> {
    let Some(source) = mountable(session, digest, from).await? else { return Ok(None) };
    let document = json!({
        "registryId": session.caller.account, "repositoryName": name, "layerDigests": [digest], "mountedFrom": from,
    });
    let wanted = LAYERS::key(&source);
    let put = move |tx: &mut Tx, repository: &Repository, cx: &mut Cx| {
        // Gone since it was looked for: then it is uploaded.
        let Some(source) = tx.get(LAYERS, &wanted) else { return Ok(json!({"layerDigest": null})) };
        let (digest, size) = (source.digest.clone(), source.size);
        put_layer(tx, repository, &digest, size, cx);
        Ok(json!({"layerDigest": digest}))
    };
    let actions = &["ecr:InitiateLayerUpload", "ecr:CompleteLayerUpload"];
    let mounted = session.commit("CompleteLayerUpload", actions, name, &document, put).await?;
    Ok((!mounted["layerDigest"].is_null()).then(|| created(name, digest)))
}

/// The layer as another repository has it, kept for as long as a push takes.
async fn mountable(session: &Session, digest: &Digest, from: &str) -> Result<Option<Layer>, RegistryError> {
    let (requests, found) = (&session.requests, || {
        let view = session.requests.view();
        let repository = session.repository(&view, "ecr:GetDownloadUrlForLayer", from).ok()?;
        view.get(LAYERS, &within(repository).push(digest.as_str())).cloned()
    });
    if !is_repository(from) || found().is_none() {
        return Ok(None);
    }
    let stays = requests.blobs().promise(digest, promised_until(requests.now()));
    // Once more: what went before the promise is gone by now.
    match found() {
        Some(layer) if stays && requests.blobs().has(digest, layer.size).await? => Ok(Some(layer)),
        _ => Ok(None),
    }
}

/// GET: how much of the upload is here.
pub async fn status(session: &Session, name: &str, id: &str) -> Result<Response<Body>, RegistryError> {
    let staged = resume(session, "ecr:UploadLayerPart", name, id).await?;
    Ok(progress(StatusCode::NO_CONTENT, name, id, staged.len()))
}

/// PATCH: the next chunk, which says where it lies or is just sent.
pub async fn append(
    session: &Session,
    name: &str,
    id: &str,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Response<Body>, RegistryError> {
    let mut staged = resume(session, "ecr:UploadLayerPart", name, id).await?;
    receive(&mut staged, name, id, headers, incoming).await?;
    Ok(progress(StatusCode::ACCEPTED, name, id, staged.len()))
}

/// PUT: the last chunk, if any, and the digest that the whole must have.
pub async fn finish(
    session: &Session,
    name: &str,
    id: &str,
    query: &Query,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<Response<Body>, RegistryError> {
    let digest: Digest = query.get("digest").ok_or(RegistryError::NoDigest)?.parse()?;
    let mut staged = resume(session, "ecr:CompleteLayerUpload", name, id).await?;
    receive(&mut staged, name, id, headers, incoming).await?;
    complete(session, name, id, staged, digest).await
}

/// DELETE: the upload and what was sent of it go. Bytes first, since they may be what a full disk has no room
/// for; a row without bytes is cancelled again, or collected.
pub async fn cancel(session: &Session, name: &str, id: &str) -> Result<Response<Body>, RegistryError> {
    match resume(session, "ecr:UploadLayerPart", name, id).await {
        Ok(staged) => staged.abort().await?,
        // Its row is there.
        Err(RegistryError::UploadUnknown(_)) => {}
        Err(error) => return Err(error),
    }
    let gone = cancelled(session, name, id).await;
    match gone {
        Err(error) if error.code == "ServiceUnavailable" => {
            let leads = session.requests.wait_role(|role| matches!(role, Role::Leading { .. }));
            if tokio::time::timeout(HEAL_WAIT, leads).await.is_err() {
                return Err(error.into());
            }
            cancelled(session, name, id).await?;
        }
        gone => gone?,
    }
    Ok(body::bare(StatusCode::NO_CONTENT))
}

async fn cancelled(session: &Session, name: &str, id: &str) -> Result<(), ApiError> {
    let document = json!({"registryId": session.caller.account, "repositoryName": name, "uploadId": id});
    let upload = id.to_owned();
    let delete = move |tx: &mut Tx, repository: &Repository, _: &mut Cx| {
        tx.delete(UPLOADS, &within(repository).push(&upload));
        Ok(())
    };
    session.commit("CancelLayerUpload", &["ecr:UploadLayerPart"], name, &document, delete).await
}

/// The staged bytes of an upload of this repository.
async fn resume(session: &Session, action: &'static str, name: &str, id: &str) -> Result<Staged, RegistryError> {
    {
        let view = session.requests.view();
        let repository = session.repository(&view, action, name)?;
        upload::find(&view, repository, id)?;
    }
    Ok(session.requests.blobs().resume(id).await?)
}

/// Appends the body, which must lie where its Content-Range says, if it says so.
async fn receive(
    staged: &mut Staged,
    name: &str,
    id: &str,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Result<(), RegistryError> {
    let received = staged.len();
    let unreadable = |text| RegistryError::ContentRange { text, location: location(name, id), received };
    let chunk = range::chunk(headers).map_err(unreadable)?;
    if let Some(chunk) = &chunk {
        if chunk.start != received {
            return Err(RegistryError::UploadRange { location: location(name, id), received });
        }
        let stated = chunk.end - chunk.start;
        if let Some(actual) = range::length(headers).filter(|actual| *actual != stated) {
            return Err(RegistryError::Size { stated, actual });
        }
    }
    let now = staged.append(body::incoming(incoming)).await?;
    match chunk {
        Some(chunk) if chunk.end != now => {
            Err(RegistryError::Size { stated: chunk.end - chunk.start, actual: now - received })
        }
        _ => Ok(()),
    }
}

/// Bytes first, then the row that gives them to the repository.
async fn complete(
    session: &Session,
    name: &str,
    id: &str,
    staged: Staged,
    digest: Digest,
) -> Result<Response<Body>, RegistryError> {
    let document = json!({
        "registryId": session.caller.account, "repositoryName": name, "uploadId": id, "layerDigests": [digest],
    });
    let kept = match keep(session, name, id, staged, &digest).await? {
        Ok(kept) => kept,
        Err(refusal) => return Err(session.refused("CompleteLayerUpload", &document, refusal.into()).await),
    };
    session.requests.blobs().promise(&digest, promised_until(session.requests.now()));
    let (upload, layer, size) = (id.to_owned(), digest.clone(), kept.size);
    let put = move |tx: &mut Tx, repository: &Repository, cx: &mut Cx| {
        if tx.delete(UPLOADS, &within(repository).push(&upload)).is_none() {
            return Err(UploadRefusal::not_found(repository, &upload).into());
        }
        put_layer(tx, repository, layer.as_str(), size, cx);
        Ok(json!({
            "registryId": repository.account, "repositoryName": repository.name,
            "uploadId": upload, "layerDigest": layer,
        }))
    };
    session.commit("CompleteLayerUpload", &["ecr:CompleteLayerUpload"], name, &document, put).await?;
    drop(kept);
    Ok(created(name, &digest))
}

/// The blob in its place; inside, why its content cannot be.
async fn keep(
    session: &Session,
    name: &str,
    id: &str,
    staged: Staged,
    digest: &Digest,
) -> Result<Result<Kept, UploadRefusal>, RegistryError> {
    if staged.is_empty() {
        let (id, name, account) = (id.to_owned(), name.to_owned(), session.caller.account.clone());
        return Ok(Err(UploadRefusal::Empty { id, name, account }));
    }
    match staged.finish(digest).await {
        Ok(kept) => Ok(Ok(kept)),
        Err(error @ BlobError::DigestMismatch { .. }) => {
            // The content is gone, so its row goes too.
            forget(session, name, id).await?;
            Ok(Err(UploadRefusal::InvalidLayer(error.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

async fn forget(session: &Session, name: &str, id: &str) -> Result<(), RegistryError> {
    let key = store::key![session.caller.account, session.caller.region, name, id];
    let delete = move |tx: &mut Tx| {
        tx.delete(UPLOADS, &key);
        Ok(())
    };
    Ok(session.requests.transact(delete).await?)
}

fn put_layer(tx: &mut Tx, repository: &Repository, digest: &str, size: u64, cx: &Cx) {
    if let Some(layer) = upload::layer(tx, repository, digest, size, cx.now) {
        tx.put(LAYERS, layer);
    }
}

fn location(name: &str, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

fn progress(status: StatusCode, name: &str, id: &str, received: u64) -> Response<Body> {
    let mut response = body::bare(status);
    let headers = response.headers_mut();
    set(headers, LOCATION, &location(name, id));
    // Inclusive at both ends; clients know `0-0` as the start.
    set(headers, RANGE, &format!("0-{}", received.saturating_sub(1)));
    set(headers, UPLOAD_ID, id);
    response
}

fn created(name: &str, digest: &Digest) -> Response<Body> {
    let mut response = body::bare(StatusCode::CREATED);
    set(response.headers_mut(), LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    set(response.headers_mut(), CONTENT_DIGEST, digest.as_str());
    response
}
