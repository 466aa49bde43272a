//! What is where in a data folder, and the small files that commands share.

use anyhow::{Context, Result};
use client::AwsClient;
use oci::client::Scheme;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The data folder unless told otherwise.
pub const DATA_DIR: &str = "/var/lib/longshore";

/// The places of one installation.
#[derive(Clone, Debug)]
pub struct Paths {
    pub data: PathBuf,
}

impl Paths {
    pub fn of(data: &Path) -> Self {
        Self { data: data.components().collect() }
    }

    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    pub fn state(&self) -> PathBuf {
        self.data.join("state")
    }

    pub fn telemetry(&self) -> PathBuf {
        self.data.join("telemetry")
    }

    pub fn blobs(&self) -> PathBuf {
        self.data.join("blobs")
    }

    pub fn agent(&self) -> PathBuf {
        self.data.join("agent")
    }

    /// The account's access key, for `longshore env`.
    pub fn credentials(&self) -> PathBuf {
        self.data.join("credentials")
    }

    pub fn agent_credentials(&self) -> PathBuf {
        self.data.join("agent-credentials")
    }

    /// Where the running server is.
    pub fn endpoint(&self) -> PathBuf {
        self.data.join("endpoint")
    }

    /// Beside the folder, not in it: a copy of the data alone opens no secret.
    pub fn master_key(&self) -> PathBuf {
        let mut name = self.data.clone().into_os_string();
        name.push(".key");
        name.into()
    }
}

/// An access key in the clear, in a file of mode 0600.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl From<Credentials> for client::Credentials {
    fn from(kept: Credentials) -> Self {
        Self {
            access_key_id: kept.access_key_id,
            secret_access_key: kept.secret_access_key.into(),
            session_token: None,
        }
    }
}

/// Where a running server is and whom it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    pub url: String,
    pub account: String,
    pub region: String,
    /// The cluster of the local node.
    pub cluster: String,
    pub pid: u32,
    /// With TLS: the digest of the server's certificate, `sha256:…`; no other is trusted.
    #[serde(default)]
    pub certificate: Option<String>,
    /// The file of a certificate that no authority vouches for, for clients that take such a file.
    #[serde(default)]
    pub ca_bundle: Option<PathBuf>,
}

impl Endpoint {
    /// Signed calls at this server.
    pub fn aws(&self, credentials: Credentials) -> Result<AwsClient> {
        Ok(match &self.certificate {
            None => AwsClient::new(&self.url, &self.region, credentials.into())?,
            Some(pin) => AwsClient::with_tls(&self.url, &self.region, credentials.into(), client::tls_pinned(pin)?)?,
        })
    }

    /// This server's registry.
    pub fn registry(&self, credentials: oci::client::Credentials) -> Result<oci::client::Client> {
        let (scheme, host) = self.url.split_once("://").context("the endpoint has no scheme")?;
        let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
        let endpoint = oci::client::Endpoint { scheme, host: host.to_owned() };
        Ok(match &self.certificate {
            None => oci::client::Client::new(&endpoint, credentials)?,
            Some(pin) => oci::client::Client::with_tls(&endpoint, credentials, client::tls_pinned(pin)?)?,
        })
    }
}

/// A JSON file; `None` where there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged: remove it and start again", path.display()))
            .map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The server of this data folder and the account's key.
pub fn server(paths: &Paths) -> Result<(Endpoint, Credentials)> {
    let absent = || format!("no Longshore runs on {}: start it with `longshore up`", paths.data.display());
    let endpoint = read_json(&paths.endpoint())?.with_context(absent)?;
    let credentials = read_json(&paths.credentials())?.with_context(absent)?;
    Ok((endpoint, credentials))
}
