//! Connections: what is trusted, how long to wait, which redirects are followed.

use super::{ClientError, error};
use crate::text;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Request, Response, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a registry while it answers; a whole layer may take longer.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirects followed for one request: registries send blobs from elsewhere in one.
const REDIRECTS_MAX: usize = 5;
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));

/// Connections to registries. Clones share them.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(super) http: reqwest::Client,
}

impl Transport {
    /// Trusts the system's CA certificates, and those of the PEM text `ca`, which may be empty.
    pub fn system(ca: &[u8], read_timeout: Duration) -> Result<Self, ClientError> {
        let mut roots = rustls::RootCertStore::empty();
        let (mut added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in CertificateDer::pem_slice_iter(ca) {
            let certificate = certificate.map_err(|error| ClientError::Tls(format!("a CA certificate: {error}")))?;
            roots.add(certificate).map_err(|error| ClientError::Tls(format!("a CA certificate: {error}")))?;
            added += 1;
        }
        if added == 0 {
            let why = "no CA certificates found: install the package ca-certificates";
            return Err(ClientError::Tls(why.to_owned()));
        }
        Self::with_tls(tls(roots)?, read_timeout)
    }

    /// Trusts nobody: nothing may go over TLS then.
    pub(super) fn plain() -> Result<Self, ClientError> {
        Self::with_tls(tls(rustls::RootCertStore::empty())?, READ_TIMEOUT)
    }

    pub fn with_tls(tls: rustls::ClientConfig, read_timeout: Duration) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::custom(redirect))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(read_timeout)
            .user_agent(USER_AGENT)
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Tls(error::chain(&error)))?;
        Ok(Self { http })
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let host = request.url().authority().to_owned();
        self.http.execute(request).await.map_err(|error| ClientError::network(&host, error))
    }
}

/// Follows a few redirects, and none from TLS to plain HTTP. reqwest leaves out `Authorization` when the host,
/// port or scheme changes.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
    let (to, count) = (shown(attempt.url()), attempt.previous().len());
    match attempt.url().scheme() {
        _ if count > REDIRECTS_MAX => attempt.error(format!("more than {REDIRECTS_MAX} times, in the end to {to}")),
        "https" => attempt.follow(),
        "http" if !secure => attempt.follow(),
        "http" => attempt.error(format!("to {to}, which is plain HTTP, from TLS")),
        _ => attempt.error(format!("to {to}, which is neither http nor https")),
    }
}

/// An address without what may be secret in it: user, password and query.
pub(super) fn shown(url: &Url) -> String {
    text::name(format!("{}://{}{}", url.scheme(), authority(url), url.path()).as_bytes())
}

/// `host` or `host:port`; empty where an address has none.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// TLS by ring.
fn tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
