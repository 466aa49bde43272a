//! Real requests, over a socket, to a registry on a memory store and a folder of blobs.

mod access;
mod campaign;
mod clients;
mod garbage;
mod lists;
mod manifests;
mod room;
mod uploads;

use crate::{Meta, handle};
use base::{MASTER_KEY_LEN, MasterKey, Names, OsSecrets, Secrets, Timestamp};
use blobs::Blobs;
use http::{HeaderMap, Method, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use oci::Digest;
use request::{Installation, Parts, Requests};
use serde_json::{Value, json};
use state::{ACCESS_KEYS, AccessKey, KeyOwner, OUTBOX, REPOSITORIES, Repository, Tags};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use store::{MemoryEngine, Store, Table, key};
use telemetry::Telemetry;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const ACCOUNT: &str = "000000000000";
pub const REGION: &str = "us-east-1";
const KEY_ID: &str = "AKIAEXAMPLE";

/// A running registry with repositories `web` and `other`.
pub struct World {
    pub requests: Requests,
    /// `host:port`.
    pub host: String,
    pub token: String,
    pub clock: Arc<AtomicI64>,
    /// What the disk has free while nothing is staged, in bytes.
    pub free: Arc<AtomicU64>,
    http: reqwest::Client,
    engine: MemoryEngine,
    dir: TempDir,
    _server: Server,
}

/// A server's task, ended with the test.
struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl World {
    pub async fn start() -> Self {
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let dir = TempDir::new().expect("a folder");
        let engine = MemoryEngine::default();
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let (requests, host, _server) = serve(&engine, &dir, &clock, &free).await;
        let mut world =
            Self { requests, host, token: String::new(), clock, free, http: client(), engine, dir, _server };
        world.put(ACCESS_KEYS, access_key(KEY_ID, KeyOwner::Root)).await;
        world.repository("web").await;
        world.repository("other").await;
        world.token = world.token_for(KEY_ID, REGION);
        world
    }

    /// The same rows and folder under a new server, as after a crash.
    pub async fn restart(self) -> Self {
        let (requests, host, _server) = serve(&self.engine, &self.dir, &self.clock, &self.free).await;
        Self { requests, host, _server, ..self }
    }

    pub async fn put<T: Table>(&self, table: T, row: T::Row) {
        let put = move |tx: &mut store::Tx| {
            tx.put(table, row);
            Ok(())
        };
        self.requests.transact(put).await.expect("a row");
    }

    pub async fn repository(&self, name: &str) {
        let row = Repository {
            account: ACCOUNT.into(),
            region: REGION.into(),
            name: name.into(),
            created_at: self.requests.now(),
            tags: Tags::new(),
            mutability: state::TagMutability::default(),
        };
        self.put(REPOSITORIES, row).await;
    }

    pub fn token_for(&self, key_id: &str, region: &str) -> String {
        let (master, secrets) = (&self.requests.installation().master, self.requests.secrets());
        let sealed = auth::seal_registry_token(master, &**secrets, key_id, region, self.requests.now());
        sealed.expect("a token").0
    }

    pub fn pass(&self, secs: i64) {
        self.clock.fetch_add(secs * 1000, Ordering::SeqCst);
    }

    /// Sends a request with the token; `line` is `METHOD /path`.
    pub async fn send(&self, line: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        self.send_as(Some(("AWS", &self.token)), line, headers, body).await
    }

    pub async fn send_as(
        &self,
        credentials: Option<(&str, &str)>,
        line: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').expect("METHOD /path");
        let method: Method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("http://{}{path}", self.host)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((user, password)) = credentials {
            request = request.basic_auth(user, Some(password));
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(headers.get("docker-distribution-api-version").expect("a version"), "registry/2.0", "{line}");
        Answer { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    /// Uploads a blob to `name` in one request.
    pub async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let line = format!("POST /v2/{name}/blobs/uploads/?digest={digest}");
        self.send(&line, &[], content.to_vec()).await.expect(201, "");
        digest
    }

    /// Pushes an image of these layers with config `config`; answers its manifest.
    pub async fn push_image(&self, name: &str, tag: &str, layers: &[&str]) -> String {
        for content in layers.iter().chain(&["config"]) {
            self.push_blob(name, content.as_bytes()).await;
        }
        let manifest = image(layers);
        self.put_manifest(name, tag, &manifest).await.expect(201, "");
        manifest
    }

    pub async fn put_manifest(&self, name: &str, reference: &str, manifest: &str) -> Answer {
        let parsed: Value = serde_json::from_str(manifest).unwrap_or_default();
        let kind = parsed["mediaType"].as_str().unwrap_or("application/json").to_owned();
        let line = format!("PUT /v2/{name}/manifests/{reference}");
        self.send(&line, &[("content-type", &kind)], manifest.to_owned()).await
    }

    /// Names and error codes of what was audited, in order.
    pub fn audited(&self) -> Vec<String> {
        let view = self.requests.view();
        let record = |document: &str| {
            let record: Value = serde_json::from_str(document).expect("JSON");
            let code = record["errorCode"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
            format!("{}{code}", record["eventName"].as_str().expect("a name"))
        };
        view.scan(OUTBOX, &key![]).map(|row| record(&row.document)).collect()
    }
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// Fails unless the status is this, and the error's code, where there is one.
    #[track_caller]
    pub fn expect(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.code()), (status, code.to_owned()), "{}", self.text());
        self
    }

    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn descriptor(kind: &str, text: &str) -> Value {
    json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": Digest::of(text.as_bytes()), "size": text.len(),
    })
}

/// An image's manifest, with spaces that a rewriting registry would lose.
pub fn image(layers: &[&str]) -> String {
    let layers: Vec<Value> = layers.iter().map(|text| descriptor("layer.v1.tar", text)).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", "config"), "layers": layers,
    });
    format!("{manifest:#}\n  ")
}

pub fn index(images: &[&str]) -> String {
    let manifests: Vec<Value> = images.iter().map(|text| descriptor("manifest.v1+json", text)).collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
        .to_string()
}

pub fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

pub fn access_key(id: &str, owner: KeyOwner) -> AccessKey {
    let secret = master().seal(&OsSecrets, &AccessKey::seal_context(id), b"secret").expect("sealed");
    AccessKey { account: ACCOUNT.into(), id: id.into(), secret, owner, created_at: Timestamp::from_secs(0) }
}

fn master() -> MasterKey {
    MasterKey::new(&[7; MASTER_KEY_LEN]).expect("a key")
}

fn client() -> reqwest::Client {
    // The second and later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn serve(
    engine: &MemoryEngine,
    dir: &TempDir,
    clock: &Arc<AtomicI64>,
    free: &Arc<AtomicU64>,
) -> (Requests, String, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let host = address.to_string();
    let hosts = request::Hosts::new(address);
    let installation = Installation { endpoint: format!("http://{host}"), hosts, master: master(), open: None };
    let mut seed = [0; 16];
    OsSecrets.fill(&mut seed);
    let telemetry = TempDir::new_in(dir.path()).expect("a folder").keep();
    let clock = clock.clone();
    let parts = Parts {
        store: Store::open(state::schema(), engine.clone()).expect("a store"),
        telemetry: Telemetry::open(&telemetry).expect("telemetry"),
        blobs: Blobs::open_on(dir.path().join("blobs"), room::disk(dir.path(), free)).expect("blobs"),
        installation: Arc::new(installation),
        clock: Arc::new(move || Timestamp::from_millis(clock.load(Ordering::SeqCst))),
        names: Names::new(seed),
        secrets: Arc::new(OsSecrets),
    };
    let requests = Requests::new(parts);
    let server = Server(tokio::spawn(accept(listener, requests.clone())));
    (requests, host, server)
}

async fn accept(listener: TcpListener, requests: Requests) {
    while let Ok((stream, peer)) = listener.accept().await {
        let requests = requests.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let requests = requests.clone();
                let meta = Meta { source_ip: peer.ip().to_string(), request_id: requests.names().uuid() };
                async move { Ok::<_, Infallible>(handle(&requests, request, meta).await) }
            });
            // A client that goes away in the middle is no fault of the server's.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
