//! Listening, TLS, connections, and an end that lets requests finish.

use crate::tls::{ServedCertificate, Tls, TlsError};
use crate::{Resets, Throttle, stages};
use control::Control;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use request::Requests;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A client that has not sent its request's head by then is let go.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after a connection could not be accepted: too few file descriptors, most often, and that passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long requests under way may take to finish once the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("{0} is reachable from other machines: give --tls-cert and --tls-key, or listen on a loopback address")]
    PublicWithoutTls(SocketAddr),
    #[error("cannot listen on {0}: {1}; choose another with --listen")]
    Bind(SocketAddr, io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// True when the connection is TLS.
    pub secure: bool,
}

/// What every connection shares.
pub struct Gateway {
    pub requests: Requests,
    pub control: Control,
    /// Refuses calls that come too often for AWS; without it, none do.
    pub throttle: Option<Throttle>,
    /// Where resets are asked for; without it, none are.
    pub resets: Option<Resets>,
}

/// A bound server, not yet answering.
pub struct Server {
    listener: TcpListener,
    tls: Option<(TlsAcceptor, ServedCertificate)>,
}

impl Server {
    /// Binds `listen`; an address that others can reach needs TLS.
    pub async fn bind(listen: SocketAddr, tls: Option<&Tls>) -> Result<Self, ListenError> {
        Self::check(listen, tls.is_some())?;
        let tls = tls.map(Tls::load).transpose()?;
        let listener = TcpListener::bind(listen).await.map_err(|error| ListenError::Bind(listen, error))?;
        Ok(Self { listener, tls })
    }

    /// Refuses an address that others can reach without TLS.
    pub fn check(listen: SocketAddr, tls: bool) -> Result<(), ListenError> {
        if tls || listen.ip().is_loopback() { Ok(()) } else { Err(ListenError::PublicWithoutTls(listen)) }
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The certificate that callers see, if it speaks TLS.
    pub fn certificate(&self) -> Option<&ServedCertificate> {
        self.tls.as_ref().map(|(_, certificate)| certificate)
    }

    /// Serves until `end` resolves, then lets requests under way finish.
    pub async fn run(self, gateway: Arc<Gateway>, end: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Small answers should not wait for a peer's delayed acknowledgement.
                        let _ = stream.set_nodelay(true);
                        self.connection(stream, peer, &gateway, &graceful);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut end => break,
            }
        }
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
    }

    fn connection(
        &self,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        gateway: &Arc<Gateway>,
        graceful: &GracefulShutdown,
    ) {
        let (gateway, watcher) = (gateway.clone(), graceful.watcher());
        match self.tls.as_ref().map(|(tls, _)| tls.clone()) {
            None => {
                tokio::spawn(speak(stream, Peer { address: peer, secure: false }, gateway, watcher));
            }
            Some(tls) => {
                tokio::spawn(async move {
                    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => speak(stream, Peer { address: peer, secure: true }, gateway, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

async fn speak<S>(stream: S, peer: Peer, gateway: Arc<Gateway>, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    http.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(stages::handle(&gateway, peer, request).await) }
    });
    let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(peer = %peer.address, %error, "a connection ended early");
    }
}
