//! What is where in a data folder, and the small files that commands share.

use crate::session::Session;
use anyhow::{Context, Error, Result, anyhow};
use client::{AwsClient, CallError};
use oci::client::Scheme;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The data folder unless told otherwise.
pub const DATA_DIR: &str = "/var/lib/longshore";

/// How long a server on this machine may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The places of one installation.
#[derive(Clone, Debug)]
pub struct Paths {
    pub data: PathBuf,
}

impl Paths {
    /// The places under `data`, from the root on, since processes that are told of them work elsewhere.
    pub fn of(data: &Path) -> Self {
        // Fails where there is no current folder; then what is relative leads nowhere in any case.
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
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
    /// Host and port at which this machine surely reaches it, when `url` has a name that it may not know.
    #[serde(default)]
    pub address: Option<String>,
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
        let url = format!("{}://{}", self.scheme(), self.host());
        Ok(match &self.certificate {
            None => AwsClient::new(&url, &self.region, credentials.into())?,
            Some(pin) => AwsClient::with_tls(&url, &self.region, credentials.into(), client::tls_pinned(pin)?)?,
        })
    }

    fn scheme(&self) -> &str {
        self.url.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// Where this machine calls the server: an address and a port.
    fn host(&self) -> &str {
        let named = || self.url.split_once("://").map_or("", |(_, host)| host);
        self.address.as_deref().unwrap_or_else(named)
    }

    /// True when somebody listens there.
    fn is_listening(&self) -> bool {
        self.host().parse().is_ok_and(|address| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok())
    }

    /// This server's registry.
    pub fn registry(&self, credentials: oci::client::Credentials) -> Result<oci::client::Client> {
        let scheme = if self.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        let endpoint = oci::client::Endpoint { scheme, host: self.host().to_owned() };
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
    let start = crate::env::data_option(&paths.data)?;
    let absent = || format!("no Longshore runs on {}: start it with `longshore up{start}`", paths.data.display());
    // A server that was killed leaves its file behind.
    let endpoint = read_json(&paths.endpoint())?.filter(Endpoint::is_listening).with_context(absent)?;
    let credentials = read_json(&paths.credentials())?;
    let credentials = credentials.ok_or_else(|| unlike_leading(&endpoint, &paths.data))?;
    Ok((endpoint, credentials))
}

/// Why a server that runs has no key for the account: only one that leads, or led, makes itself one.
fn unlike_leading(endpoint: &Endpoint, data: &Path) -> Error {
    let nobody = Credentials { access_key_id: "NONE".to_owned(), secret_access_key: String::new() };
    // Whatever it is asked, a server that stands by refuses before it looks at who asks, and says who leads.
    let asked = endpoint.aws(nobody).and_then(|aws| {
        Session::block_on(async move { Ok(aws.call("ecs", "ListClusters", &serde_json::json!({})).await?) })
    });
    let why = match asked.map_err(|error| error.downcast::<CallError>()) {
        Err(Ok(CallError::Service { code, message, .. })) if code == "ServiceUnavailable" => message,
        _ => "it is starting: call again".to_owned(),
    };
    anyhow!("Longshore runs on {}, but {why}", data.display())
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Endpoint, Paths, server};
    use std::fs::write;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn places_do_not_depend_on_where_one_stands() {
        let here = std::env::current_dir().expect("a current folder");
        let check =
            |given: &str, expect: &std::path::Path| assert_eq!(Paths::of(given.as_ref()).data, expect, "{given}");
        check("data", &here.join("data"));
        check("./data/", &here.join("data"));
        check(".", &here);
        check("/var/lib/longshore/", "/var/lib/longshore".as_ref());
        let key = Paths::of(".".as_ref()).master_key();
        assert!(key.parent() == here.parent(), "{}", key.display());
    }

    /// Answers every request as a server that stands by.
    fn standing_by(listener: &TcpListener) {
        let body = r#"{"__type":"ServiceUnavailable","message":"this server stands by: http://x leads"}"#;
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            // A probe asks nothing.
            if matches!(connection.read(&mut [0; 4096]), Ok(1..)) {
                let head = "HTTP/1.1 503 -\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close";
                return write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("written");
            }
        }
    }

    #[test]
    fn a_server_that_stands_by_is_said_to() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = Paths::of(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let endpoint = Endpoint { url, address: None, ..endpoint() };
        write(paths.endpoint(), serde_json::to_vec(&endpoint).expect("JSON")).expect("written");
        let answering = std::thread::spawn(move || standing_by(&listener));
        let error = server(&paths).err().expect("no key").to_string();
        let data = dir.path().display();
        assert_eq!(error, format!("Longshore runs on {data}, but this server stands by: http://x leads"));
        answering.join().expect("answered");
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            url: "http://long.example:4566".into(),
            address: None,
            account: "000000000000".into(),
            region: "eu-west-1".into(),
            cluster: "default".into(),
            pid: 1,
            certificate: None,
            ca_bundle: None,
        }
    }

    #[test]
    fn what_a_killed_server_left_behind_is_not_taken_for_a_server() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = Paths::of(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let endpoint = Endpoint { address: Some(address), ..endpoint() };
        let credentials = Credentials { access_key_id: "AKIA1".into(), secret_access_key: "s".into() };
        write(paths.endpoint(), serde_json::to_vec(&endpoint).expect("JSON")).expect("written");
        write(paths.credentials(), serde_json::to_vec(&credentials).expect("JSON")).expect("written");
        assert!(server(&paths).is_ok());
        drop(listener);
        let error = server(&paths).err().expect("nobody there").to_string();
        assert!(error.ends_with(&format!("start it with `longshore up --data {}`", dir.path().display())), "{error}");
    }
}
