//! The websocket of a session, from its signed request on.

use super::Registered;
use client::{AwsClient, CallError};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Longest wait for a connection with its handshakes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message that is taken: ten tasks of the largest definitions (64 KB) fit several times.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Begins small, for an agent that is mostly silent.
const BUFFER_BYTES: usize = 8 << 10;

/// All but RFC 3986's unreserved characters, as SigV4 wants a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection, with TLS or without.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub type Socket = WebSocketStream<Box<dyn Stream>>;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("'{0}' is not an endpoint; DiscoverPollEndpoint must answer http(s)://host[:port]")]
    Endpoint(String),
    #[error("the endpoint cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("the endpoint did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Sign(#[from] CallError),
    /// `{"ErrorType": "message"}`
    #[error("the control plane refuses the session ({status}): {body}")]
    Refused { status: u16, body: String },
    #[error("the websocket handshake failed: {0}")]
    Handshake(Box<WsError>),
}

impl ConnectError {
    /// True when this container instance was deregistered.
    pub fn says_inactive(&self) -> bool {
        matches!(self, Self::Refused { body, .. } if body.contains("InactiveInstanceException"))
    }
}

/// All that a session's request says.
pub struct Opening<'a> {
    pub aws: &'a AwsClient,
    pub endpoint: &'a str,
    pub node: &'a Registered,
    pub runtime: &'a str,
    pub send_credentials: bool,
}

impl Opening<'_> {
    pub async fn connect(&self) -> Result<Socket, ConnectError> {
        timeout(CONNECT_TIMEOUT, self.handshake()).await.unwrap_or(Err(ConnectError::Timeout))
    }

    async fn handshake(&self) -> Result<Socket, ConnectError> {
        let request = self.request()?;
        let stream = dial(request.uri()).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(WsError::Http(answer)) => {
                let body = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                Err(ConnectError::Refused { status: answer.status().as_u16(), body })
            }
            Err(error) => Err(ConnectError::Handshake(Box::new(error))),
        }
    }

    /// Signed as any call; the websocket's own headers come after, since hops may change them.
    fn request(&self) -> Result<Request<()>, ConnectError> {
        let uri: Uri = self.uri().parse().map_err(|_| ConnectError::Endpoint(self.endpoint.to_owned()))?;
        let (mut head, ()) = Request::get(uri).body(()).map_err(|_| self.bad_endpoint())?.into_parts();
        self.aws.sign(&mut head, "ecs", b"")?;
        let key = HeaderValue::from_str(&generate_key()).map_err(|_| self.bad_endpoint())?;
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        head.headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        head.headers.insert(SEC_WEBSOCKET_KEY, key);
        debug_assert!(head.headers.contains_key(HOST), "signing adds the host");
        Ok(Request::from_parts(head, ()))
    }

    fn uri(&self) -> String {
        let docker_version = format!("DockerVersion: {}", self.runtime);
        let query = [
            ("clusterArn", self.node.cluster_arn.as_str()),
            ("containerInstanceArn", &self.node.instance_arn),
            ("agentHash", super::register::AGENT_HASH),
            ("agentVersion", super::register::AGENT_VERSION),
            ("seqNum", "1"),
            ("protocolVersion", "2"),
            ("dockerVersion", &docker_version),
            ("sendCredentials", if self.send_credentials { "true" } else { "false" }),
        ];
        let encoded = |text| utf8_percent_encode(text, RESERVED);
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        // `http` becomes `ws`, and `https` so `wss`.
        let endpoint = self.endpoint.trim_end_matches('/').replacen("http", "ws", 1);
        format!("{endpoint}/ws?{}", query.join("&"))
    }

    fn bad_endpoint(&self) -> ConnectError {
        ConnectError::Endpoint(self.endpoint.to_owned())
    }
}

async fn dial(uri: &Uri) -> Result<Box<dyn Stream>, ConnectError> {
    let bad = || ConnectError::Endpoint(uri.to_string());
    let host = uri.host().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']');
    let tls = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err(bad()),
    };
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| bad())?;
    let connector = TlsConnector::from(Arc::new(client::tls(true)?));
    Ok(Box::new(connector.connect(name, stream).await?))
}
