//! Requests as they come over a socket, to a server on a memory store.

use crate::{Gateway, Server};
use base::{MASTER_KEY_LEN, MasterKey, Names, OsSecrets, Timestamp};
use blobs::Blobs;
use control::Control;
use request::{Installation, Parts, Requests};
use std::net::SocketAddr;
use std::sync::Arc;
use store::{MemoryEngine, Role, Store};
use telemetry::Telemetry;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn requests(dir: &TempDir, address: SocketAddr, engine: MemoryEngine) -> Requests {
    let installation = Installation {
        endpoint: format!("http://{address}"),
        hosts: request::Hosts::new(address),
        master: MasterKey::new(&[7; MASTER_KEY_LEN]).expect("a key"),
        open: None,
    };
    Requests::new(Parts {
        store: Store::open(state::schema(), engine).expect("a store"),
        telemetry: Telemetry::open(&dir.path().join("telemetry")).expect("telemetry"),
        blobs: Blobs::open(dir.path().join("blobs")).expect("blobs"),
        installation: Arc::new(installation),
        clock: Arc::new(Timestamp::default),
        names: Names::new([7; 16]),
        secrets: Arc::new(OsSecrets),
    })
}

/// Status and body of the answer to `request`, whose lines end in `\n`.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("{request}\nhost: {address}\nconnection: close\ncontent-length: 0\n\n").replace('\n', "\r\n");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.trim_end().to_owned())
}

#[tokio::test]
async fn who_is_refused_is_told_in_the_words_of_what_was_asked() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::bind("127.0.0.1:0".parse().expect("an address"), None).await.expect("bound");
    let address = server.address().expect("an address");
    let requests = requests(&dir, address, MemoryEngine::default());
    let gateway = Arc::new(Gateway { control: Control::new(requests.clone()), requests, throttle: None, resets: None });
    let serving = tokio::spawn(server.run(gateway, std::future::pending()));
    let check = async |request: &str, status: u16, start: &str| {
        let (got, body) = ask(address, request).await;
        assert!(got == status && body.starts_with(start), "{request}: {got} {body}");
    };
    let page = r#"{"errors":[{"code":"DENIED","message":"requests with an Origin header are not served here"#;
    check("GET /v2/ HTTP/1.1\norigin: http://localhost", 403, page).await;
    check("PUT /v2/web/manifests/v1 HTTP/1.1\norigin: null", 403, page).await;
    check("GET /v2/ HTTP/1.1\nsec-fetch-site: cross-site", 403, r#"{"errors":[{"code":"DENIED""#).await;
    check("GET /v2/ HTTP/1.1", 401, r#"{"errors":[{"code":"UNAUTHORIZED""#).await;
    check("POST / HTTP/1.1\norigin: null", 403, "<AccessDeniedException><Message>").await;
    let json = "POST / HTTP/1.1\norigin: null\ncontent-type: application/x-amz-json-1.1";
    check(json, 403, r#"{"__type":"AccessDeniedException""#).await;
    let form = "POST / HTTP/1.1\norigin: null\ncontent-type: application/x-www-form-urlencoded; charset=utf-8";
    check(form, 403, "<ErrorResponse").await;
    check("POST / HTTP/1.1", 404, "<UnknownOperationException><Message>").await;
    let json = "POST / HTTP/1.1\ncontent-type: application/x-amz-json-1.1";
    check(json, 400, r#"{"__type":"UnknownOperationException""#).await;
    let form = "POST / HTTP/1.1\ncontent-type: application/x-www-form-urlencoded";
    check(form, 400, "<ErrorResponse><Error>").await;
    serving.abort();
}

#[tokio::test]
async fn a_server_that_stands_by_refuses_everything_until_it_has_taken_up_the_lead() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::bind("127.0.0.1:0".parse().expect("an address"), None).await.expect("bound");
    let address = server.address().expect("an address");
    let engine = MemoryEngine::default();
    let leader = Store::open(state::schema(), engine.clone()).expect("a store");
    let requests = requests(&dir, address, engine.standby());
    let control = Control::new(requests.clone());
    control.stand_by();
    let gateway =
        Arc::new(Gateway { control: control.clone(), requests: requests.clone(), throttle: None, resets: None });
    let serving = tokio::spawn(server.run(gateway, std::future::pending()));
    let refused = async |why: &str| {
        let sts = "POST /?Action=GetCallerIdentity&Version=2011-06-15 HTTP/1.1\ncontent-type: application/x-www-form-urlencoded";
        let ecs = "POST / HTTP/1.1\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListTasks";
        for request in [sts, ecs, "GET /v2/ HTTP/1.1", "GET /ws HTTP/1.1"] {
            let (status, body) = ask(address, request).await;
            assert!(status == 503 && body.contains(why), "{request}: {status} {body}");
        }
    };
    refused("this server stands by").await;
    drop(leader);
    requests.wait_role(|role| matches!(role, Role::Leading { .. })).await;
    refused("about to lead: try again").await;
    control.begin().await;
    assert_eq!(ask(address, "GET /v2/ HTTP/1.1").await.0, 401, "it asks who calls");
    serving.abort();
}
