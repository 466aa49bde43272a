//! A node that takes every order and does nothing: it shows what the control plane alone can do.

use anyhow::{Context, Result};
use client::AwsClient;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Room for more tasks than any measurement starts: CPU units and MiB.
const ROOM: i32 = i32::MAX;

/// A registered container instance with an open session.
pub struct PretendNode {
    session: AbortHandle,
}

impl PretendNode {
    /// `aws` calls as a node.
    pub async fn join(aws: &AwsClient, cluster: &str) -> Result<Self> {
        let integer = |name: &str| json!({ "name": name, "type": "INTEGER", "integerValue": ROOM });
        let input = json!({ "cluster": cluster, "totalResources": [integer("CPU"), integer("MEMORY")] });
        let made = aws.call("ecs", "RegisterContainerInstance", &input).await?;
        let instance = made["containerInstance"]["containerInstanceArn"].as_str().context("no instance")?;
        let socket = connect(aws, cluster, instance).await?;
        let session = tokio::spawn(acknowledge(socket, cluster.to_owned(), instance.to_owned()));
        Ok(Self { session: session.abort_handle() })
    }

    pub fn leave(self) {
        self.session.abort();
    }
}

async fn connect(aws: &AwsClient, cluster: &str, instance: &str) -> Result<WebSocketStream<TcpStream>> {
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

/// Takes what comes, until the socket closes.
async fn acknowledge(mut socket: WebSocketStream<TcpStream>, cluster: String, instance: String) {
    while let Some(Ok(message)) = socket.next().await {
        let Ok(envelope) = serde_json::from_slice::<Value>(&message.into_data()) else { continue };
        let Some(id) = envelope["message"]["messageId"].as_str() else { continue };
        let kind = if envelope["type"] == "HeartbeatMessage" { "HeartbeatAckRequest" } else { "AckRequest" };
        let body = json!({ "messageId": id, "cluster": cluster, "containerInstance": instance });
        let answer = json!({ "type": kind, "message": body }).to_string();
        if socket.send(Message::text(answer)).await.is_err() {
            break;
        }
    }
}
