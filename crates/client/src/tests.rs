use super::*;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wire::sigv4::{expected_signature, parse_auth};

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned().into(),
        session_token: None,
    }
}

/// Answers one request with `answer`; gives its address, and what was asked.
async fn answering(answer: String) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(tokio::time::timeout(Duration::from_secs(10), async move {
        let (mut socket, _) = listener.accept().await.expect("a caller");
        let mut asked = Vec::new();
        while !is_whole(&asked) {
            socket.read_buf(&mut asked).await.expect("a request");
        }
        socket.write_all(answer.as_bytes()).await.expect("answered");
        asked
    }));
    let asked = tokio::spawn(async move { served.await.expect("no panic").expect("in time") });
    (format!("http://{address}"), asked)
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    request.len() >= end + 4 + length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// What was asked, as the server's side reads it.
fn request_of(asked: &[u8]) -> (Parts, Vec<u8>) {
    let text = String::from_utf8(asked.to_vec()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").expect("a header");
        let name: HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    (request.into_parts().0, body.as_bytes().to_vec())
}

#[tokio::test]
async fn a_call_is_an_aws_json_request_with_every_header_signed() {
    let (endpoint, asked) = answering(answer("200 OK", r#"{"clusterArns":[]}"#)).await;
    let client = AwsClient::new(&endpoint, "eu-west-1", credentials()).expect("a client");
    let more = [("x-longshore-batch", "p:1")];
    let document = client.call_with("ecs", "ListClusters", &json!({ "maxResults": 1 }), &more).await;
    assert_eq!(document.expect("a document"), json!({ "clusterArns": [] }));
    let (head, body) = request_of(&asked.await.expect("asked"));
    assert_eq!(body, br#"{"maxResults":1}"#);
    assert_eq!(head.headers["x-amz-target"], "AmazonEC2ContainerServiceV20141113.ListClusters");
    assert_eq!(head.headers["content-type"], "application/x-amz-json-1.1");
    let auth = parse_auth(&head).expect("readable").expect("signed");
    assert_eq!((auth.region.as_str(), auth.service.as_str()), ("eu-west-1", "ecs"));
    assert_eq!(auth.signed_headers, ["content-type", "host", "x-amz-date", "x-amz-target", "x-longshore-batch"]);
    assert_eq!(auth.signature, expected_signature("secret", &head, &auth, &sigv4::body_hash(&body)));
}

#[tokio::test]
async fn an_error_is_read_with_code_and_message() {
    async fn check(status: &str, body: &str, expect: &str, transient: bool) {
        let (endpoint, _asked) = answering(answer(status, body)).await;
        let client = AwsClient::new(&endpoint, "eu-west-1", credentials()).expect("a client");
        let error = client.call("ecs", "ListClusters", &json!({})).await.expect_err("refused");
        assert_eq!((error.to_string().as_str(), error.is_transient()), (expect, transient));
    }
    let not_found = r#"{"__type":"com.amazonaws.ecs#ClusterNotFoundException","message":"Cluster not found."}"#;
    check("400 Bad Request", not_found, "ClusterNotFoundException (400): Cluster not found.", false).await;
    let denied = r#"{"__type":"AccessDeniedException","Message":"no"}"#;
    check("400 Bad Request", denied, "AccessDeniedException (400): no", false).await;
    let throttled = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
    check("400 Bad Request", throttled, "ThrottlingException (400): Rate exceeded", true).await;
    check("503 Service Unavailable", "", "Unknown (503): no reason given", true).await;
    check("501 Not Implemented", "{}", "Unknown (501): no reason given", false).await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_before_anything_is_sent() {
    let client = AwsClient::new("http://127.0.0.1:9", "eu-west-1", credentials()).expect("a client");
    let refused = |service: &'static str, operation: &'static str| {
        let client = client.clone();
        async move { client.call(service, operation, &json!({})).await.expect_err("refused") }
    };
    assert!(matches!(refused("s3", "GetObject").await, CallError::UnknownOperation(_)));
    assert!(matches!(refused("ecs", "RunTasks").await, CallError::UnknownOperation(_)));
    assert!(matches!(refused("sts", "GetCallerIdentity").await, CallError::Protocol("sts")));
    assert!(matches!(AwsClient::new("ftp://x", "r", credentials()), Err(CallError::Endpoint(_))));
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = AwsClient::new(&endpoint, "eu-west-1", credentials()).expect("a client");
    let error = client.call("ecs", "ListClusters", &json!({})).await.expect_err("nobody there");
    assert!(matches!(error, CallError::Transport(_)) && error.is_transient());
}

/// Serves one TLS connection; gives its address.
async fn serving_tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.cert.der().clone()], key))
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("https://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a caller");
        let Ok(mut socket) = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(socket).await else { return };
        let mut asked = Vec::new();
        while !is_whole(&asked) {
            socket.read_buf(&mut asked).await.expect("a request");
        }
        socket.write_all(answer("200 OK", "{}").as_bytes()).await.expect("answered");
        socket.shutdown().await.expect("ended");
    });
    endpoint
}

/// Self-signed, of another name, and marked as an authority, as `openssl req -x509` makes them.
fn home_made() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let signing_key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["elsewhere.example".to_owned()]).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let cert = params.self_signed(&signing_key).expect("a certificate");
    rcgen::CertifiedKey { cert, signing_key }
}

#[tokio::test]
async fn the_pinned_certificate_is_trusted_and_no_other() {
    let (ours, other) = (home_made(), home_made());
    let pin = format!("sha256:{}", sigv4::body_hash(ours.cert.der()));
    for (certificate, trusted) in [(&ours, true), (&other, false)] {
        let endpoint = serving_tls(certificate).await;
        let tls = tls_pinned(&pin).expect("TLS");
        let client = AwsClient::with_tls(&endpoint, "eu-west-1", credentials(), tls).expect("a client");
        let answer = client.call("ecs", "ListClusters", &json!({})).await;
        assert_eq!(answer.is_ok(), trusted, "{answer:?}");
    }
}
