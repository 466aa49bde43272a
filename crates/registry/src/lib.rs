//! The registry: OCI distribution over HTTP, as Docker, containerd, skopeo and our own agent speak it.
//!
//! ```text
//! handle ─▶ session: who asks, in which region ─▶ route ─▶ manifests, blobs, uploads, lists, referrers
//! ```
//! - Layers stream between socket and disk; one is never in memory.
//! - Bytes before row: a blob is durable before a row says that a repository has it.
//! - A blob belongs to a repository by its row in `LAYERS`; without one it does not exist there.
//! - Every verb asks for the `ecr:` action that Amazon ECR asks for, and every change is audited
//!   under the name of the API operation that it amounts to.
//!
//! This room does not know sockets or TLS (the gateway's), ECR's JSON API, or what an image runs.
//! Not here: translating manifests between formats, pull-through caches, policies of repositories.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>

mod blobs;
mod body;
mod errors;
mod lists;
mod manifests;
mod query;
mod range;
mod referrers;
mod route;
mod session;
mod uploads;

#[cfg(test)]
mod tests;

pub use body::Body;

use crate::errors::RegistryError;
use crate::query::Query;
use crate::route::Route;
use crate::session::Session;
use base::ApiError;
use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use request::Requests;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What the gateway knows of a request beside its head and body.
#[derive(Clone, Debug)]
pub struct Meta {
    pub source_ip: String,
    pub request_id: String,
}

/// Answers a request below `/v2`.
pub async fn handle(requests: &Requests, request: Request<Incoming>, meta: Meta) -> Response<Body> {
    let request_id = meta.request_id.clone();
    let method = request.method().clone();
    let response = match serve(requests, request, meta).await {
        Ok(response) => response,
        Err(error) => failed(requests, error),
    };
    finished(response, &method, &request_id)
}

/// Answers a request below `/v2` that was refused before it came here.
pub fn refuse(error: ApiError, method: &Method, request_id: &str) -> Response<Body> {
    finished(RegistryError::from(error).response(), method, request_id)
}

/// What every answer has, and what one to HEAD has not.
fn finished(mut response: Response<Body>, method: &Method, request_id: &str) -> Response<Body> {
    if method == Method::HEAD {
        *response.body_mut() = body::empty();
    }
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    set(headers, REQUEST_ID, request_id);
    response
}

async fn serve(requests: &Requests, request: Request<Incoming>, meta: Meta) -> Result<Response<Body>, RegistryError> {
    let (head, incoming) = request.into_parts();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let session = Session::open(requests, &head, &query, meta)?;
    let route = Route::parse(head.uri.path())?;
    let (method, headers) = (&head.method, &head.headers);
    match (route, method.as_str()) {
        (Route::Base, "GET" | "HEAD") => Ok(body::json(StatusCode::OK, &serde_json::json!({}))),
        (Route::Catalog, "GET") => lists::catalog(&session, &query),
        (Route::Tags { name }, "GET") => lists::tags(&session, &name, &query),
        (Route::Referrers { name, digest }, "GET") => referrers::list(&session, &name, &digest, &query).await,
        (Route::Manifest { name, reference }, "GET") => manifests::get(&session, &name, reference).await,
        (Route::Manifest { name, reference }, "HEAD") => manifests::head(&session, &name, reference).await,
        (Route::Manifest { name, reference }, "PUT") => {
            manifests::put(&session, &name, reference, headers, incoming).await
        }
        (Route::Manifest { name, reference }, "DELETE") => manifests::delete(&session, &name, reference).await,
        (Route::Blob { name, digest }, "GET") => blobs::get(&session, &name, &digest, headers).await,
        (Route::Blob { name, digest }, "HEAD") => blobs::head(&session, &name, &digest).await,
        (Route::Uploads { name }, "POST") => uploads::start(&session, &name, &query, incoming).await,
        (Route::Upload { name, id }, "GET") => uploads::status(&session, &name, &id).await,
        (Route::Upload { name, id }, "PATCH") => uploads::append(&session, &name, &id, headers, incoming).await,
        (Route::Upload { name, id }, "PUT") => uploads::finish(&session, &name, &id, &query, headers, incoming).await,
        (Route::Upload { name, id }, "DELETE") => uploads::cancel(&session, &name, &id).await,
        _ => Err(RegistryError::Method(method.to_string())),
    }
}

fn failed(requests: &Requests, error: RegistryError) -> Response<Body> {
    if error.status().is_server_error() {
        tracing::error!(%error, "a registry request failed");
    }
    let mut response = error.response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let realm = format!("Basic realm=\"{}/\",service=\"ecr.amazonaws.com\"", requests.installation().endpoint);
        set(response.headers_mut(), WWW_AUTHENTICATE, &realm);
    }
    response
}

/// Sets a header; a value that no header can have is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
