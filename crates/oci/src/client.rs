//! A client for any OCI registry: pull and push, by the OCI distribution specification.
//!
//! What it hands out is verified: a manifest or blob asked for by digest has
//! that digest, or there is an error. It asks once and never retries, but for a
//! token that a registry wants first, or wants renewed. It sends the credentials
//! that it was given to the registry's own address and to the token server that
//! this one names, never along a redirect, and reads no environment (neither
//! proxies nor credential files).

mod answer;
mod auth;
mod blob;
mod error;
mod push;
#[cfg(test)]
mod tests;
mod transport;

pub use blob::BlobStream;
pub use error::ClientError;
pub use push::{Source, Upload};
pub use transport::{READ_TIMEOUT, Transport};

use crate::digest::{Algorithm, Digest, DigestError};
use crate::manifest::{self, MANIFEST_BYTES_MAX, Manifest, ManifestError, media_type};
use crate::reference::{DOCKER_REGISTRY, ImageReference, ReferenceError, is_registry, is_repository, is_tag};
use answer::{content_type, expect, limited_body};
use auth::{Scope, Tokens};
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, HeaderMap, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use std::fmt;
use std::sync::Arc;

/// Where Docker's registry answers the distribution API.
const DOCKER_REGISTRY_HOST: &str = "registry-1.docker.io";
/// Header with the digest of the manifest that is answered or was stored.
const CONTENT_DIGEST: &str = "docker-content-digest";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

/// Where a registry answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        if !is_registry(&self.host) {
            return Err(ClientError::Endpoint(self.host.clone()));
        }
        Url::parse(&format!("{self}/")).map_err(|_| ClientError::Endpoint(self.host.clone()))
    }
}

/// What the client shows to the registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credentials {
    Anonymous,
    Basic { username: String, password: String },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.scheme == Scheme::Http { "http" } else { "https" }, self.host)
    }
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
    transport: Transport,
    base: Url,
    tokens: Arc<Tokens>,
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
        let transport = match endpoint.scheme {
            Scheme::Http => Transport::plain()?,
            Scheme::Https => Transport::system(&[], READ_TIMEOUT)?,
        };
        Self::over(&transport, endpoint, credentials)
    }

    /// As [`Client::new`], trusting what `tls` trusts.
    pub fn with_tls(
        endpoint: &Endpoint,
        credentials: Credentials,
        tls: rustls::ClientConfig,
    ) -> Result<Self, ClientError> {
        Self::over(&Transport::with_tls(tls, READ_TIMEOUT)?, endpoint, credentials)
    }

    /// As [`Client::new`], sharing connections and trust with others.
    pub fn over(transport: &Transport, endpoint: &Endpoint, credentials: Credentials) -> Result<Self, ClientError> {
        Ok(Self { transport: transport.clone(), base: endpoint.url()?, tokens: Arc::new(Tokens::new(credentials)) })
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

    /// The digest of what a tag names, for registries whose HEAD does not tell it, too.
    pub async fn resolve(&self, image: &ImageReference) -> Result<Digest, ClientError> {
        match self.head_manifest(image).await {
            Ok(head) => Ok(head.digest),
            Err(ClientError::Response { .. } | ClientError::Refused { status: 405, .. }) => {
                Ok(self.get_manifest(image).await?.digest)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts to read a blob of `size` bytes. The stream's end is an error if
    /// size or digest are not as asked.
    pub async fn blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<BlobStream, ClientError> {
        sha256(digest)?;
        let response = self.ask_blob(repository, digest, 0).await?;
        BlobStream::new(response, repository, digest.clone(), size)
    }

    /// A blob's bytes from there on (RFC 9110, 14.2), or all of them from a registry that knows no ranges.
    async fn ask_blob(&self, repository: &str, digest: &Digest, from: u64) -> Result<Response, ClientError> {
        let mut request = self.request(Method::GET, self.url(repository, &format!("blobs/{digest}"))?);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = self.send(request, &Scope::pull(repository)).await?;
        expect(&[StatusCode::OK, StatusCode::PARTIAL_CONTENT], response, digest.as_str()).await
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
        let response = self.send(request, &Scope::pull(&image.repository)).await?;
        expect(&[StatusCode::OK], response, &image.to_string()).await
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

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.transport.http.request(method, url)
    }

    /// Sends with what shows who we are, unless it goes to somebody else; once more with a token, if the
    /// registry names a server that gives one and the body is here still.
    async fn send(&self, request: RequestBuilder, scope: &Scope) -> Result<Response, ClientError> {
        let request = request.build().map_err(|error| ClientError::network(&self.host(), error))?;
        if request.url().origin() != self.base.origin() {
            return self.transport.send(request).await;
        }
        let again = request.try_clone();
        let shown = self.tokens.current(&self.transport, scope).await?;
        let response = self.transport.send(self.tokens.authorised(request, shown.as_deref())?).await?;
        let (StatusCode::UNAUTHORIZED, Some(again)) = (response.status(), again) else { return Ok(response) };
        if response.url().origin() != self.base.origin() {
            let to = transport::shown(response.url());
            let why = format!("to {to}, which wants credentials; none are shown to where a registry redirects");
            return Err(ClientError::Redirect { host: self.host(), why });
        }
        let Some(challenge) = auth::Challenge::of(response.headers(), &self.base)? else { return Ok(response) };
        let token = self.tokens.renewed(&self.transport, scope, challenge, shown.as_deref()).await?;
        self.transport.send(self.tokens.authorised(again, Some(&token))?).await
    }
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
