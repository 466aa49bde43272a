//! A control plane for tests: answers each request as the test says, and remembers what was asked.

use bytes::Bytes;
use client::{AwsClient, Credentials};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;

pub type Answer = Response<Full<Bytes>>;

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `METHOD path`, or the operation of an AWS call.
    pub what: String,
    pub headers: HeaderMap,
    /// Of an AWS call.
    pub input: Value,
}

/// A server that lives as long as the test's runtime.
pub struct Fake {
    pub endpoint: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub async fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                let service = service_fn(move |request| {
                    let (log, answer) = (log.clone(), answer.clone());
                    async move {
                        let asked = read(request).await;
                        log.lock().push(asked.clone());
                        Ok::<_, Infallible>(answer(&asked))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { endpoint, asked }
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock())
    }

    /// [`Asked::what`] of what was asked since the last time.
    pub fn words(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.what).collect()
    }

    pub fn client(&self) -> AwsClient {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned().into(),
            session_token: None,
        };
        AwsClient::new(&self.endpoint, "eu-west-1", credentials).expect("a client")
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.split_once('.')).map(|(_, operation)| operation.to_owned());
    let what = operation.unwrap_or_else(|| format!("{} {}", head.method, head.uri.path()));
    Asked { what, headers: head.headers, input: serde_json::from_slice(&body).unwrap_or_default() }
}

pub fn bytes(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    answer
}

pub fn document(value: &Value) -> Answer {
    bytes(200, &[], value.to_string())
}

pub fn refusal(code: &str) -> Answer {
    bytes(400, &[], serde_json::json!({ "__type": code, "message": "no" }).to_string())
}

/// Waits until `check` holds: a test's condition, bounded in time.
pub async fn until(what: &str, check: impl Fn() -> bool) {
    let holds = async {
        while !check() {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), holds).await.expect(what);
}
