//! A closed loop of HTTP requests: so many connections, each with one request in flight.

use crate::figures::Samples;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a loop did.
#[derive(Default)]
pub struct Load {
    pub requests: usize,
    pub elapsed: Duration,
    pub latencies_ms: Samples,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// What is asked, and what every answer must contain to be the wanted one.
pub struct Asked {
    pub request: Request<Bytes>,
    pub contains: Vec<String>,
}

/// Sends copies of `request` to `host` over `connections` connections for `time`. Its answers must be
/// successful, and are read to their end.
pub async fn run(host: &str, connections: usize, time: Duration, request: Request<Bytes>) -> Result<Load> {
    run_checked(host, connections, time, &Arc::new(Asked { request, contains: Vec::new() })).await
}

/// As [`run`], looking into every answer.
pub async fn run_checked(host: &str, connections: usize, time: Duration, asked: &Arc<Asked>) -> Result<Load> {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(connection(host.to_owned(), begun + time, asked.clone()));
    }
    let mut load = Load::default();
    while let Some(done) = workers.join_next().await {
        for latency in done?? {
            load.requests += 1;
            load.latencies_ms.push(latency);
        }
    }
    load.elapsed = begun.elapsed();
    Ok(load)
}

async fn connection(host: String, end: Instant, asked: Arc<Asked>) -> Result<Vec<f64>> {
    let mut sender = connect(&host).await?;
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        // Some servers, moto's among them, close a connection after each answer.
        if sender.ready().await.is_err() {
            sender = connect(&host).await?;
        }
        let answer = sender.send_request(copy(&asked.request)?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() || !asked.contains.iter().all(|part| text.contains(part)) {
            bail!("{status}, and not the wanted answer: {text}");
        }
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// A connection, which ends with its sender.
async fn connect(host: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(host).await.with_context(|| format!("cannot connect to {host}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The same request, its target in the form that servers are sent.
fn copy(request: &Request<Bytes>) -> Result<Request<Full<Bytes>>> {
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut copy = Request::builder().method(request.method()).uri(target);
    for (name, value) in request.headers() {
        copy = copy.header(name, value);
    }
    Ok(copy.body(Full::new(request.body().clone()))?)
}
