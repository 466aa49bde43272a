//! A registry of a few lines on a loopback port, and a server of any one answer.

use crate::digest::Digest;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

pub(super) type Answer = Response<Full<Bytes>>;

/// A `user:password` in base64, as every request to the registry must show it.
pub(super) const AUTHORISED: &str = "Basic dXNlcjpwYXNz";

pub(super) fn answer(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Full::new(body.into())).expect("an answer")
}

/// Serves `handler` until the test's runtime ends; answers `host:port`.
pub(super) async fn serve(handler: impl Fn(Request<Bytes>) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let handler = Arc::new(handler);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let handler = handler.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let handler = handler.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.expect("a body").to_bytes();
                    Ok::<_, Infallible>(handler(Request::from_parts(parts, body)))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    host
}

/// What a registry holds, and the requests that it had.
#[derive(Default)]
pub(super) struct Held {
    pub blobs: BTreeMap<String, Bytes>,
    pub manifests: BTreeMap<String, (String, Bytes)>,
    upload: Vec<u8>,
    pub requests: Vec<String>,
}

/// A registry of the repository `team/web`.
pub(super) async fn registry() -> (String, Arc<Mutex<Held>>) {
    let held = Arc::new(Mutex::new(Held::default()));
    let mine = held.clone();
    let host = serve(move |request| mine.lock().expect("not poisoned").answer(&request)).await;
    (host, held)
}

impl Held {
    fn answer(&mut self, request: &Request<Bytes>) -> Answer {
        let header = |name| request.headers().get(name).map_or("-", |value| value.to_str().expect("text"));
        if header(AUTHORIZATION) != AUTHORISED {
            let challenge = [("www-authenticate", "Basic realm=\"test\"")];
            return answer(StatusCode::UNAUTHORIZED, &challenge, error("UNAUTHORIZED", "who are you"));
        }
        let path = request.uri().path();
        self.requests.push(format!("{} {} {}", request.method(), header(CONTENT_LENGTH), header(CONTENT_RANGE)));
        let Some(rest) = path.strip_prefix("/v2/team/web/") else {
            return answer(StatusCode::NOT_FOUND, &[], error("NAME_UNKNOWN", "no such repository"));
        };
        match (request.method(), &rest.split('/').collect::<Vec<_>>()[..]) {
            (_, ["blobs", "uploads", ..]) => self.upload(request),
            (_, ["blobs", digest]) => match self.blobs.get(*digest) {
                Some(blob) => answer(StatusCode::OK, &[], blob.clone()),
                None => answer(StatusCode::NOT_FOUND, &[], error("BLOB_UNKNOWN", "no such blob")),
            },
            (&Method::PUT, ["manifests", name]) => {
                let digest = Digest::of(request.body()).to_string();
                let manifest = (header(CONTENT_TYPE).to_owned(), request.body().clone());
                self.manifests.insert(name.to_string(), manifest.clone());
                self.manifests.insert(digest.clone(), manifest);
                answer(StatusCode::CREATED, &[("docker-content-digest", &digest)], "")
            }
            (_, ["manifests", name]) => match self.manifests.get(*name) {
                Some((media_type, bytes)) => {
                    let digest = Digest::of(bytes).to_string();
                    let headers = [("content-type", media_type.as_str()), ("docker-content-digest", &digest)];
                    answer(StatusCode::OK, &headers, bytes.clone())
                }
                None => answer(StatusCode::NOT_FOUND, &[], error("MANIFEST_UNKNOWN", "no such manifest")),
            },
            _ => answer(StatusCode::METHOD_NOT_ALLOWED, &[], ""),
        }
    }

    fn upload(&mut self, request: &Request<Bytes>) -> Answer {
        self.upload.extend_from_slice(request.body());
        let location = format!("/v2/team/web/blobs/uploads/7?at={}", self.upload.len());
        match *request.method() {
            Method::POST | Method::PATCH => answer(StatusCode::ACCEPTED, &[(LOCATION.as_str(), &location)], ""),
            Method::DELETE => answer(StatusCode::NO_CONTENT, &[], ""),
            _ => {
                let content = Bytes::from(std::mem::take(&mut self.upload));
                let digest = Digest::of(&content).to_string();
                let announced = request.uri().query().and_then(|query| query.split("digest=").nth(1));
                if announced.map(|text| text.replace("%3A", ":")) != Some(digest.clone()) {
                    return answer(StatusCode::BAD_REQUEST, &[], error("DIGEST_INVALID", "not that digest"));
                }
                self.blobs.insert(digest, content);
                answer(StatusCode::CREATED, &[], "")
            }
        }
    }
}

pub(super) fn error(code: &str, message: &str) -> String {
    serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string()
}

/// `request`'s `Authorization`, for a server that is not the registry.
pub(super) fn authorization(request: &Request<Bytes>) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()
}
