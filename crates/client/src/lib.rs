//! Signed calls to AWS JSON services, at Longshore's endpoint or any other.
//!
//! A call is one HTTP request: nothing is retried, and neither proxies nor credential files of the
//! environment are read. This room does not know what an operation means; its wire form comes from
//! the shape tables in [`wire`].

mod error;
#[cfg(test)]
mod tests;
mod tls;

pub use error::CallError;
pub use tls::{tls, tls_pinned};
pub use wire::sigv4::Credentials;

use base::Timestamp;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::model::{Protocol, Service};
use wire::sigv4::{self, Scope};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of an endpoint while it answers (botocore's read timeout).
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read: 16 MiB, more than any operation's page.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Connections without a call are closed after this.
const POOL_IDLE: Duration = Duration::from_secs(90);
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));

/// The wall clock, for shells.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An endpoint, and who we are there. Clones share connections.
#[derive(Clone, Debug)]
pub struct AwsClient {
    http: reqwest::Client,
    endpoint: Uri,
    region: String,
    credentials: Arc<Credentials>,
}

impl AwsClient {
    /// `endpoint` is `http://host[:port]` or `https://host[:port]`. With TLS, reads the system's CA
    /// certificates: make one client and clone it.
    pub fn new(endpoint: &str, region: &str, credentials: Credentials) -> Result<Self, CallError> {
        Self::with_tls(endpoint, region, credentials, tls(endpoint.starts_with("https://"))?)
    }

    /// As [`AwsClient::new`], trusting what `tls` trusts.
    pub fn with_tls(
        endpoint: &str,
        region: &str,
        credentials: Credentials,
        tls: rustls::ClientConfig,
    ) -> Result<Self, CallError> {
        let endpoint: Uri = endpoint.parse().map_err(|_| CallError::Endpoint(endpoint.to_owned()))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(CallError::Endpoint(endpoint.to_string()));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .user_agent(USER_AGENT)
            .no_proxy()
            .build()
            .map_err(|error| CallError::Tls(error::chain(&error)))?;
        Ok(Self { http, endpoint, region: region.to_owned(), credentials: Arc::new(credentials) })
    }

    pub fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Calls an operation; input and answer are documents with the model's member names.
    pub async fn call(&self, service: &str, operation: &str, input: &Value) -> Result<Value, CallError> {
        self.call_with(service, operation, input, &[]).await
    }

    /// As [`AwsClient::call`], with more headers, which are signed too. Their names are lower-case.
    pub async fn call_with(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Value, CallError> {
        self.answer(self.signed(service, operation, input, headers)?).await
    }

    /// The request of a call, for who sends it himself; it is good for as long as its signature is.
    pub fn signed(
        &self,
        service: &str,
        operation: &str,
        input: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Request<Vec<u8>>, CallError> {
        let unknown = || CallError::UnknownOperation(format!("{service}:{operation}"));
        let service = wire::service(service).ok_or_else(unknown)?;
        let operation = service.operation(operation).ok_or_else(unknown)?;
        let body = serde_json::to_vec(input).map_err(|error| CallError::Document(error.to_string()))?;
        self.request(service, operation.name, body, headers)
    }

    /// Signs a request of somebody else's making, such as a websocket's upgrade.
    pub fn sign(&self, head: &mut Parts, service: &str, body: &[u8]) -> Result<(), CallError> {
        let scope = Scope { region: &self.region, service, now: now() };
        Ok(sigv4::sign(head, &sigv4::body_hash(body), &self.credentials, scope)?)
    }

    fn request(
        &self,
        service: &Service,
        operation: &str,
        body: Vec<u8>,
        headers: &[(&'static str, &str)],
    ) -> Result<Request<Vec<u8>>, CallError> {
        let version = match service.protocol {
            Protocol::AwsJson10 => "1.0",
            Protocol::AwsJson11 => "1.1",
            _ => return Err(CallError::Protocol(service.name)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let target = format!("{}.{operation}", service.target_prefix.unwrap_or_default());
        let media_type = format!("application/x-amz-json-{version}");
        let own = [("content-type", media_type.as_str()), ("x-amz-target", target.as_str())];
        for (name, value) in own.iter().chain(headers) {
            let value = HeaderValue::from_str(value).map_err(|_| CallError::Header(name))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let (mut head, body) = request.into_parts();
        self.sign(&mut head, service.signing_name, &body)?;
        Ok(Request::from_parts(head, body))
    }

    async fn answer(&self, request: Request<Vec<u8>>) -> Result<Value, CallError> {
        let request = reqwest::Request::try_from(request).map_err(CallError::transport)?;
        let response = self.http.execute(request).await.map_err(CallError::transport)?;
        let status = response.status();
        let error_type = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let error_type = error_type.map(str::to_owned);
        let body = read(response).await?;
        if !status.is_success() {
            return Err(CallError::refused(status.as_u16(), error_type.as_deref(), &body));
        }
        if body.is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_slice(&body).map_err(|error| CallError::Document(error.to_string()))
    }
}

async fn read(mut response: reqwest::Response) -> Result<Bytes, CallError> {
    let mut body = bytes::BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(CallError::transport)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(CallError::Document(format!("it has more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}
