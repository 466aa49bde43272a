mod redirects;
mod resume;
mod server;
mod tokens;

use super::{Client, ClientError, Credentials, Endpoint, Source, Upload};
use crate::builder::{ImageFile, build};
use crate::digest::Digest;
use crate::image_config::ContainerConfig;
use crate::manifest::{MANIFEST_BYTES_MAX, Platform, media_type};
use crate::reference::ImageReference;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use proptest::prelude::*;
use server::{AUTHORISED, answer, authorization, error, registry, serve};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const REPOSITORY: &str = "team/web";

fn client(host: &str) -> Client {
    let credentials = Credentials::Basic { username: "user".to_owned(), password: "pass".to_owned() };
    Client::new(&Endpoint::http(host), credentials).expect("a client")
}

fn image(text: &str) -> ImageReference {
    text.parse().expect(text)
}

#[tokio::test]
async fn an_image_goes_up_and_comes_back_the_same() {
    let (host, _) = registry().await;
    let client = client(&host);
    let file = ImageFile { path: "bin/x".to_owned(), content: vec![1; 100_000], mode: 0o755 };
    let built = build(&[file], ContainerConfig::default(), &Platform::new("linux", "amd64")).expect("an image");
    for blob in [&built.layer, &built.config] {
        assert_eq!(client.blob_size(REPOSITORY, &blob.digest).await.expect("asked"), None);
        let source = Source::Bytes(blob.bytes.clone());
        client.push_blob(REPOSITORY, &blob.digest, source, Upload::Monolithic).await.expect("pushed");
        let size = client.blob_size(REPOSITORY, &blob.digest).await.expect("asked");
        assert_eq!(size, Some(blob.bytes.len() as u64));
    }
    let tagged = image("team/web:v1");
    let put = client.put_manifest(&tagged, media_type::OCI_MANIFEST, built.manifest.bytes.clone()).await;
    assert_eq!(put.expect("put"), built.manifest.digest);

    let head = client.head_manifest(&tagged).await.expect("head");
    assert_eq!((head.digest.clone(), head.size), (built.manifest.digest, built.manifest.bytes.len() as u64));
    for reference in [tagged.clone(), tagged.at(head.digest.clone())] {
        let manifest = client.get_manifest(&reference).await.expect("pulled");
        assert_eq!((&manifest.bytes, &manifest.digest), (&built.manifest.bytes, &head.digest));
        let layer = manifest.parse().expect("a manifest").layers()[0].clone();
        let stream = client.blob(REPOSITORY, &layer.digest, layer.size).await.expect("a stream");
        let pieces: Vec<Bytes> = stream.try_collect().await.expect("verified");
        assert_eq!(pieces.concat(), built.layer.bytes);
    }
    let config = built.config.descriptor();
    let bytes = client.blob_bytes(REPOSITORY, &config.digest, config.size, config.size).await.expect("config");
    assert_eq!(bytes, built.config.bytes);
    let limited = client.blob_bytes(REPOSITORY, &config.digest, config.size, config.size - 1).await;
    assert!(matches!(limited, Err(ClientError::TooLarge { .. })));
}

/// `expect` lists method, Content-Length and Content-Range of each request.
async fn check_push(content: &[u8], upload: Upload, expect: &[&str]) {
    let (host, held) = registry().await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    let digest = Digest::of(content);
    for source in [Source::Bytes(Bytes::copy_from_slice(content)), Source::File(file.path().to_owned())] {
        client(&host).push_blob(REPOSITORY, &digest, source, upload).await.expect("pushed");
        let mut held = held.lock().expect("not poisoned");
        assert_eq!(std::mem::take(&mut held.requests), expect);
        assert_eq!(held.blobs.remove(digest.as_str()).expect("stored"), content);
    }
}

#[tokio::test]
async fn blobs_are_pushed_whole_or_in_chunks() {
    check_push(b"0123456789", Upload::Monolithic, &["POST 0 -", "PUT 10 -"]).await;
    let chunked = |bytes| Upload::Chunked { bytes };
    check_push(b"0123456789", chunked(4), &["POST 0 -", "PATCH 4 0-3", "PATCH 4 4-7", "PATCH 2 8-9", "PUT 0 -"]).await;
    check_push(b"01234567", chunked(4), &["POST 0 -", "PATCH 4 0-3", "PATCH 4 4-7", "PUT 0 -"]).await;
    check_push(b"", chunked(4), &["POST 0 -", "PUT 0 -"]).await;
    check_push(b"", Upload::Monolithic, &["POST 0 -", "PUT 0 -"]).await;
}

#[tokio::test]
async fn a_refused_push_says_why() {
    let (host, held) = registry().await;
    let source = Source::Bytes(Bytes::from_static(b"evil"));
    let error = client(&host).push_blob(REPOSITORY, &Digest::of(b"good"), source, Upload::Monolithic).await;
    assert_eq!(
        error.expect_err("another digest").to_string(),
        format!("registry {host} answered 400 DIGEST_INVALID: not that digest")
    );
    let requests = std::mem::take(&mut held.lock().expect("not poisoned").requests);
    assert_eq!(requests, ["POST 0 -", "PUT 4 -", "DELETE - -"], "nothing is left behind");
    let by_digest = image("team/web").at(Digest::of(b"other"));
    let error = client(&host).put_manifest(&by_digest, media_type::OCI_MANIFEST, Bytes::from_static(b"{}")).await;
    assert!(matches!(error, Err(ClientError::DigestMismatch { .. })));
    let missing = Source::File("/nonexistent/file".into());
    let error = client(&host).push_blob(REPOSITORY, &Digest::of(b""), missing, Upload::Monolithic).await;
    assert!(matches!(error, Err(ClientError::File { .. })));
}

/// What each call says of a server that always answers so.
async fn check_error(status: u16, headers: &[(&str, &str)], body: &str, expect: &str) {
    let status = StatusCode::from_u16(status).expect("a status");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let body = body.to_owned();
    let host = serve(move |_| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        answer(status, &headers, body.clone())
    });
    let host = host.await;
    let (client, digest) = (client(&host), Digest::of(b"x"));
    let get = client.get_manifest(&image("team/web:v1")).await.expect_err("manifest");
    let blob = client.blob(REPOSITORY, &digest, 1).await.expect_err("blob");
    let put = client.put_manifest(&image("team/web:v1"), "t", Bytes::new()).await.expect_err("put");
    for error in [get, blob, put] {
        let variant = format!("{error:?}");
        assert!(variant.starts_with(expect), "{variant}");
    }
}

#[tokio::test]
async fn answers_that_say_no_are_told_apart() {
    let basic = ("www-authenticate", "Basic realm=\"r\"");
    check_error(404, &[], &error("NAME_UNKNOWN", "none"), "NotFound").await;
    check_error(401, &[basic], &error("UNAUTHORIZED", "who"), "Unauthorized").await;
    check_error(401, &[], "", "Unauthorized").await;
    check_error(403, &[], &error("DENIED", "Your authorization token has expired."), "Denied(\"Your auth").await;
    check_error(403, &[], "<html>", "Denied(\"Forbidden\")").await;
    check_error(429, &[], &error("TOOMANYREQUESTS", "slow down"), "TooManyRequests").await;
    check_error(500, &[], "", "Refused").await;
    check_error(405, &[], &error("UNSUPPORTED", "no"), "Refused").await;
}

#[tokio::test]
async fn a_registry_that_wants_credentials_refuses_others() {
    let (host, _) = registry().await;
    let anonymous = Client::new(&Endpoint::http(&host), Credentials::Anonymous).expect("a client");
    let error = anonymous.get_manifest(&image("team/web:v1")).await.expect_err("refused");
    assert_eq!(error.to_string(), format!("registry {host} wants valid credentials: who are you"));
    let error = client(&host).get_manifest(&image("team/web:v1")).await.expect_err("not there");
    assert_eq!(error.to_string(), "team/web:v1 not found: no such manifest");
    // An answer to HEAD has no words of its own.
    let error = client(&host).head_manifest(&image("team/web:v1")).await.expect_err("not there");
    assert_eq!(error.to_string(), "team/web:v1 not found");
}

#[tokio::test]
async fn what_a_registry_sends_is_not_believed() {
    let lie = Digest::of(b"truth").to_string();
    let host = serve(move |_| answer(StatusCode::OK, &[("docker-content-digest", &lie)], "other")).await;
    let client = client(&host);
    let mismatch = |error| matches!(error, ClientError::DigestMismatch { .. });
    assert!(mismatch(client.get_manifest(&image("team/web:v1")).await.expect_err("header")));
    let by_digest = image("team/web").at(Digest::of(b"truth"));
    assert!(mismatch(client.get_manifest(&by_digest).await.expect_err("digest")));
    let stream = client.blob(REPOSITORY, &Digest::of(b"truth"), 5).await.expect("a stream");
    assert!(mismatch(stream.try_collect::<Vec<_>>().await.expect_err("content")));
    let length = client.blob(REPOSITORY, &Digest::of(b"other"), 4).await;
    assert!(matches!(length, Err(ClientError::SizeMismatch { .. })));
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read_to_its_end() {
    let host = serve(|_| answer(StatusCode::OK, &[], vec![b' '; MANIFEST_BYTES_MAX + 1])).await;
    let error = client(&host).get_manifest(&image("team/web:v1")).await.expect_err("too large");
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

/// A server that writes `bytes` to whoever connects, and hangs up.
async fn raw(bytes: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            // The request is short; it comes in one piece.
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(bytes).await;
        }
    });
    host
}

#[tokio::test]
async fn a_blob_that_ends_early_or_late_is_an_error_at_its_end() {
    let host = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let mut stream = client(&host).blob(REPOSITORY, &Digest::of(b"0123456789"), 10).await.expect("a stream");
    assert_eq!(stream.next().await.expect("a piece").expect("half"), "half");
    assert!(matches!(stream.next().await, Some(Err(ClientError::Network { .. }))));
    assert!(stream.next().await.is_none());

    for (size, name) in [(3, "long"), (5, "short")] {
        let host = raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n").await;
        let stream = client(&host).blob(REPOSITORY, &Digest::of(b"four"), size).await.expect("a stream");
        let error = stream.try_collect::<Vec<_>>().await.expect_err(name);
        assert!(matches!(error, ClientError::SizeMismatch { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn credentials_go_to_the_registry_alone() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let theirs = seen.clone();
    let elsewhere = serve(move |request| {
        theirs.lock().expect("not poisoned").push(authorization(&request).map(str::to_owned));
        match *request.method() {
            http::Method::GET => answer(StatusCode::OK, &[], "blob"),
            _ => answer(StatusCode::CREATED, &[], ""),
        }
    });
    let elsewhere = elsewhere.await;
    let host = serve(move |request| {
        assert_eq!(authorization(&request), Some(AUTHORISED));
        let there = format!("http://{elsewhere}/there?signature=secret");
        let status = if *request.method() == http::Method::GET { 307 } else { 202 };
        answer(StatusCode::from_u16(status).expect("a status"), &[("location", &there)], "")
    });
    let client = client(&host.await);
    let digest = Digest::of(b"blob");
    assert_eq!(client.blob_bytes(REPOSITORY, &digest, 4, 4).await.expect("redirected"), "blob");
    let source = Source::Bytes(Bytes::from_static(b"blob"));
    client.push_blob(REPOSITORY, &digest, source, Upload::Monolithic).await.expect("pushed elsewhere");
    assert_eq!(*seen.lock().expect("not poisoned"), [None, None]);
}

#[tokio::test]
async fn nobody_there_is_a_network_error_without_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = client(&host).get_manifest(&image("team/web:v1")).await.expect_err("nobody");
    assert!(matches!(error, ClientError::Network { .. }));
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert_eq!(format!("{:?}", client(&host).tokens), "Basic { username: \"user\", .. }");
}

#[tokio::test]
async fn tls_is_spoken_where_it_is_asked_for() {
    let host = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    match Client::new(&Endpoint::https(&host), Credentials::Anonymous) {
        Ok(client) => {
            let error = client.get_manifest(&image("team/web:v1")).await.expect_err("no TLS there");
            assert!(matches!(error, ClientError::Handshake { .. }) && !error.is_transient(), "{error}");
        }
        // A machine without CA certificates.
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}

#[tokio::test]
async fn names_that_are_not_names_do_not_become_addresses() {
    let client = client("127.0.0.1:1");
    for repository in ["..", "a/../../b", "A", ""] {
        let error = client.blob_size(repository, &Digest::of(b"")).await.expect_err(repository);
        assert!(matches!(error, ClientError::Reference(_)), "{error}");
    }
    let tag = ImageReference { tag: Some("../../x".to_owned()), ..image("team/web") };
    assert!(matches!(client.get_manifest(&tag).await, Err(ClientError::Reference(_))));
    for host in ["", "a b", "host/path", "user@host", "h:x"] {
        let made = Client::new(&Endpoint::http(host), Credentials::Anonymous);
        assert!(matches!(made, Err(ClientError::Endpoint(_))), "{host}");
    }
}

#[test]
fn docker_answers_elsewhere_than_its_name() {
    assert_eq!(Endpoint::https("docker.io").host, "registry-1.docker.io");
    assert_eq!(Endpoint::https("ghcr.io").host, "ghcr.io");
}

proptest! {
    #[test]
    fn any_endpoint_is_taken_or_refused(host in ".{0,12}") {
        let _ = Client::new(&Endpoint::http(&host), Credentials::Anonymous);
    }
}
