//! Blobs whose connection breaks.

use super::server::{answer, serve};
use super::{ClientError, REPOSITORY, client};
use crate::client::BlobStream;
use crate::digest::Digest;
use futures_util::StreamExt;
use http::StatusCode;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BLOB: &[u8] = b"0123456789";

/// A server that sends half of [`BLOB`] to each connection, from where it was asked to begin if it knows
/// ranges; answers its address and what `Range` it saw.
async fn breaking(ranges: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let range = request.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap_or("-").to_owned();
            let from = range.trim_end_matches('-').parse().unwrap_or(0);
            log.lock().expect("not poisoned").push(range);
            let (status, from, end) = match (ranges, from) {
                (true, 1..) => (format!("206 x\r\ncontent-range: bytes {from}-9/10"), from, (from + 3).min(10)),
                // Each time further, so that it comes to an end.
                _ => ("200 x".to_owned(), 0, (from + 4).min(10)),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", 10 - from);
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(&BLOB[from..end]).await;
        }
    });
    (host, seen)
}

/// Reads to the end, resuming as often as that takes.
async fn read(host: &str) -> Result<Vec<u8>, ClientError> {
    let client = client(host);
    let mut stream: BlobStream = client.blob(REPOSITORY, &Digest::of(BLOB), BLOB.len() as u64).await?;
    let mut content = Vec::new();
    loop {
        match stream.next().await {
            None => return Ok(content),
            Some(Ok(piece)) => content.extend_from_slice(&piece),
            Some(Err(error)) if error.is_transient() => stream.resume(&client).await?,
            Some(Err(error)) => return Err(error),
        }
        assert!(stream.position() >= content.len() as u64);
    }
}

#[tokio::test]
async fn a_broken_blob_goes_on_where_it_broke_off() {
    let (host, seen) = breaking(true).await;
    assert_eq!(read(&host).await.expect("whole"), BLOB);
    assert_eq!(*seen.lock().expect("not poisoned"), ["-", "4-", "7-"]);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_it_again() {
    let (host, seen) = breaking(false).await;
    assert_eq!(read(&host).await.expect("whole"), BLOB);
    assert_eq!(*seen.lock().expect("not poisoned"), ["-", "4-", "8-"]);
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_refused() {
    let host = serve(|request| match request.headers().get("range") {
        None => answer(StatusCode::OK, &[], BLOB),
        Some(_) => answer(StatusCode::PARTIAL_CONTENT, &[("content-range", "bytes 9-9/10")], "9"),
    });
    let (first, _) = breaking(true).await;
    let digest = Digest::of(BLOB);
    let mut stream = client(&first).blob(REPOSITORY, &digest, 10).await.expect("a stream");
    while stream.next().await.expect("an error").is_ok() {}
    let error = stream.resume(&client(&host.await)).await.expect_err("refused");
    assert!(matches!(error, ClientError::Response { .. }), "{error}");
    assert!(!error.is_transient());
}
