//! A client for any OCI registry: pull and push, by the OCI distribution specification.
//!
//! What it hands out is verified: a manifest or blob asked for by digest has
//! that digest, or there is an error. It asks once and never retries, sends the
//! credentials that it was given to the registry's own address alone, and reads
//! no environment (neither proxies nor credential files).

mod answer;
mod blob;
mod error;
mod push;
#[cfg(test)]
mod tests;

pub use blob::BlobStream;
pub use error::ClientError;
pub use push::{Source, Upload};

use crate::digest::{Algorithm, Digest, DigestError};
use crate::manifest::{self, MANIFEST_BYTES_MAX, Manifest, ManifestError, media_type};
use crate::reference::{DOCKER_REGISTRY, ImageReference, ReferenceError, is_registry, is_repository, is_tag};
use answer::{content_type, expect, limited_body};
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a registry while it answers; a whole layer may take longer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirects followed for one request: registries send blobs from elsewhere in one.
const REDIRECTS_MAX: usize = 5;
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));
/// Where Docker's registry answers the distribution API.
const DOCKER_REGISTRY_HOST: &str = "registry-1.docker.io";
/// Header with the digest of the manifest that is answered or was stored.
const CONTENT_DIGEST: &str = "docker-content-digest";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Where a registry answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// `host` or `host:port`.
    pub host: String,
}

impl Endpoint {
    pub fn http(host: &str) -> Self {
        Self { scheme: Scheme::Http, host: host.to_owned() }
    }

    /// TLS to the registry that a reference names; Docker's answers elsewhere.
    pub fn https(registry: &str) -> Self {
        let host = if registry == DOCKER_REGISTRY { DOCKER_REGISTRY_HOST } else { registry };
        Self { scheme: Scheme::Https, host: host.to_owned() }
    }

    fn url(&self) -> Result<Url, ClientError> {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        if !is_registry(&self.host) {
            return Err(ClientError::Endpoint(self.host.clone()));
        }
        Url::parse(&format!("{scheme}://{}/", self.host)).map_err(|_| ClientError::Endpoint(self.host.clone()))
    }
}

/// What the client shows to the registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Anonymous,
    Basic { username: String, password: String },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => f.debug_struct("Basic").field("username", username).finish_non_exhaustive(),
        }
    }
}

/// A registry, and who we are there. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
}

/// A manifest as it came; its digest is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    pub bytes: Bytes,
    pub media_type: String,
    pub digest: Digest,
}

impl RemoteManifest {
    pub fn parse(&self) -> Result<Manifest, ManifestError> {
        manifest::parse(&self.bytes, Some(&self.media_type))
    }
}

/// What a registry says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Client {
    /// A client for one registry. With TLS, reads the system's CA certificates:
    /// make one client and clone it.
    pub fn new(endpoint: &Endpoint, credentials: Credentials) -> Result<Self, ClientError> {
        Self::with_tls(endpoint, credentials, tls(endpoint.scheme)?)
    }

    /// As [`Client::new`], trusting what `tls` trusts.
    pub fn with_tls(
        endpoint: &Endpoint,
        credentials: Credentials,
        tls: rustls::ClientConfig,
    ) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(endpoint.scheme == Scheme::Https)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(USER_AGENT)
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Tls(error::chain(&error)))?;
        Ok(Self { http, base: endpoint.url()?, credentials })
    }

    /// A manifest by digest, else tag. The reference's registry is not looked
    /// at: this client's endpoint stands for it.
    pub async fn get_manifest(&self, image: &ImageReference) -> Result<RemoteManifest, ClientError> {
        let response = self.ask_manifest(Method::GET, image).await?;
        let media_type = content_type(response.headers()).unwrap_or_default();
        let announced = content_digest(response.headers())?;
        let bytes = limited_body(response, MANIFEST_BYTES_MAX as u64).await?;
        let digest = Digest::of(&bytes);
        // What the caller wants counts, then what the registry said that it sends.
        for expected in image.digest.iter().chain(&announced) {
            verify(expected, &digest)?;
        }
        Ok(RemoteManifest { bytes, media_type, digest })
    }

    /// What a tag points at, or whether a digest is there.
    pub async fn head_manifest(&self, image: &ImageReference) -> Result<ManifestHead, ClientError> {
        let response = self.ask_manifest(Method::HEAD, image).await?;
        let headers = response.headers();
        let missing =
            |what| ClientError::Response { host: self.host(), why: format!("a manifest's HEAD has no {what}") };
        Ok(ManifestHead {
            media_type: content_type(headers).ok_or_else(|| missing("Content-Type"))?,
            digest: content_digest(headers)?.or_else(|| image.digest.clone()).ok_or_else(|| missing(CONTENT_DIGEST))?,
            size: answer::number(headers, CONTENT_LENGTH).ok_or_else(|| missing("Content-Length"))?,
        })
    }

    /// Starts to read a blob of `size` bytes. The stream's end is an error if
    /// size or digest are not as asked.
    pub async fn blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<BlobStream, ClientError> {
        sha256(digest)?;
        let request = self.request(Method::GET, self.url(repository, &format!("blobs/{digest}"))?);
        let response = expect(&[StatusCode::OK], self.send(request).await?, digest.as_str()).await?;
        BlobStream::new(response, digest.clone(), size)
    }

    /// A whole small blob: an image config. `limit` bounds what is held in memory.
    pub async fn blob_bytes(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
        limit: u64,
    ) -> Result<Bytes, ClientError> {
        if size > limit {
            return Err(ClientError::TooLarge { limit });
        }
        self.blob(repository, digest, size).await?.read().await
    }

    async fn ask_manifest(&self, method: Method, image: &ImageReference) -> Result<Response, ClientError> {
        image.digest.iter().try_for_each(sha256)?;
        let request = self.request(method, self.manifest_url(image)?).header(ACCEPT, media_type::MANIFESTS.join(", "));
        expect(&[StatusCode::OK], self.send(request).await?, &image.to_string()).await
    }

    fn manifest_url(&self, image: &ImageReference) -> Result<Url, ClientError> {
        if let Some(bad) = image.tag.as_ref().filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(bad.clone()).into());
        }
        self.url(&image.repository, &format!("manifests/{}", image.tag_or_digest()))
    }

    /// An address within a repository.
    fn url(&self, repository: &str, rest: &str) -> Result<Url, ClientError> {
        // Anything else could become a path of its own.
        if !is_repository(repository) {
            return Err(ReferenceError::Repository(repository.to_owned()).into());
        }
        self.base.join(&format!("v2/{repository}/{rest}")).map_err(|_| ClientError::Endpoint(self.base.to_string()))
    }

    fn host(&self) -> String {
        self.base.authority().to_owned()
    }

    /// A request with credentials, unless it goes to somebody else.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let ours = url.origin() == self.base.origin();
        let request = self.http.request(method, url);
        match &self.credentials {
            Credentials::Basic { username, password } if ours => request.basic_auth(username, Some(password)),
            _ => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| ClientError::network(&self.host(), error))
    }
}

/// TLS by ring, with the system's CA certificates; for plain HTTP with none, as
/// nothing may go over TLS then.
fn tls(scheme: Scheme) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    if scheme == Scheme::Https {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = "no CA certificates found: install the package ca-certificates";
            return Err(ClientError::Tls(why.to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The digest that a registry states, where it is one that we can check.
fn content_digest(headers: &HeaderMap) -> Result<Option<Digest>, ClientError> {
    let Some(value) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let digest: Digest = String::from_utf8_lossy(value.as_bytes()).parse()?;
    Ok((digest.algorithm() == Algorithm::Sha256).then_some(digest))
}

fn verify(expected: &Digest, actual: &Digest) -> Result<(), ClientError> {
    if expected == actual {
        return Ok(());
    }
    Err(ClientError::DigestMismatch { expected: expected.clone(), actual: actual.clone() })
}

fn sha256(digest: &Digest) -> Result<(), ClientError> {
    match digest.algorithm() {
        Algorithm::Sha256 => Ok(()),
        other => Err(DigestError::UnsupportedAlgorithm(other.name().to_owned()).into()),
    }
}
