//! A node that takes every order and does nothing: it shows what the control plane alone can do.

use anyhow::{Context, Result};
use client::AwsClient;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Room for more tasks than any measurement starts: CPU units and MiB.
const ROOM: i32 = i32::MAX;

type Socket = WebSocketStream<TcpStream>;

/// A registered container instance with an open session.
pub struct PretendNode {
    session: AbortHandle,
    taken: Arc<AtomicUsize>,
}

impl PretendNode {
    /// `aws` calls as a node. The node says that it has `attributes`: what definitions require.
    pub async fn join(aws: &AwsClient, cluster: &str, attributes: &Value) -> Result<Self> {
        let integer = |name: &str| json!({ "name": name, "type": "INTEGER", "integerValue": ROOM });
        let resources = [integer("CPU"), integer("MEMORY")];
        let input = json!({ "cluster": cluster, "totalResources": resources, "attributes": attributes });
        let made = aws.call("ecs", "RegisterContainerInstance", &input).await?;
        let instance = made["containerInstance"]["containerInstanceArn"].as_str().context("no instance")?.to_owned();
        let mut socket = connect(aws, cluster, &instance).await?;
        let taken = Arc::new(AtomicUsize::new(0));
        let node = Orders { cluster: cluster.to_owned(), instance, taken: taken.clone() };
        // The first frame comes once the node counts as connected.
        let first = socket.next().await.context("the session ended at once")??;
        node.take(&mut socket, first).await?;
        let session = tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if node.take(&mut socket, message).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self { session: session.abort_handle(), taken })
    }

    /// Tasks that the node was sent so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for PretendNode {
    fn drop(&mut self) {
        self.session.abort();
    }
}

async fn connect(aws: &AwsClient, cluster: &str, instance: &str) -> Result<Socket> {
    let authority = aws.endpoint().authority().context("the endpoint names no host")?.as_str();
    let encoded = |arn: &str| arn.replace(':', "%3A").replace('/', "%2F");
    let uri = format!(
        "ws://{authority}/ws?agentHash=bench&agentVersion=0&clusterArn={}&containerInstanceArn={}&sendCredentials=true&seqNum=1",
        encoded(cluster),
        encoded(instance)
    );
    let (mut head, ()) = Request::get(uri).body(())?.into_parts();
    aws.sign(&mut head, "ecs", b"")?;
    let key = generate_key();
    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key.as_str()),
    ];
    for (name, value) in upgrade {
        head.headers.insert(name, HeaderValue::from_str(value)?);
    }
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(Request::from_parts(head, ()), stream).await?;
    Ok(socket)
}

/// The node's half of the session.
struct Orders {
    cluster: String,
    instance: String,
    taken: Arc<AtomicUsize>,
}

impl Orders {
    /// Acknowledges a frame.
    async fn take(&self, socket: &mut Socket, message: Message) -> Result<()> {
        let Ok(envelope) = serde_json::from_slice::<Value>(&message.into_data()) else { return Ok(()) };
        let message = &envelope["message"];
        let Some(id) = message["messageId"].as_str() else { return Ok(()) };
        self.taken.fetch_add(message["tasks"].as_array().map_or(0, Vec::len), Ordering::Relaxed);
        let kind = if envelope["type"] == "HeartbeatMessage" { "HeartbeatAckRequest" } else { "AckRequest" };
        let body = json!({ "messageId": id, "cluster": self.cluster, "containerInstance": self.instance });
        let answer = json!({ "type": kind, "message": body }).to_string();
        Ok(socket.send(Message::text(answer)).await?)
    }
}
