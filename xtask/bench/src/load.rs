//! A closed loop of HTTP requests: so many connections, each with one request in flight.

use crate::figures::Samples;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
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

/// Sends copies of `request` to `host` over `connections` connections for `time`. Its answers must be
/// successful, and are read to their end.
pub async fn run(host: &str, connections: usize, time: Duration, request: Request<Bytes>) -> Result<Load> {
    let request = Arc::new(request);
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(connection(host.to_owned(), begun + time, request.clone()));
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

async fn connection(host: String, end: Instant, request: Arc<Request<Bytes>>) -> Result<Vec<f64>> {
    let stream = TcpStream::connect(&host).await.with_context(|| format!("cannot connect to {host}"))?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(copy(&request)?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    driver.abort();
    Ok(latencies)
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
