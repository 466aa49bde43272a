//! The agent's session with the control plane: register, find the endpoint, open the websocket, listen.
//!
//! ```text
//! register -> discover -> connect -> converse
//!                ^___________________| closed, silent or refused: after a pause
//! ```
//!
//! Orders go to the engine as they come; what the engine has to say to the control plane (that a payload
//! is on disk, what the manifest lacks) comes back over [`Outgoing`].

mod register;
mod socket;
#[cfg(test)]
mod tests;

pub use register::{Offer, Registered, register};

use crate::backoff::{Backoff, jittered};
use crate::machine::Event;
use crate::order::Reader;
use client::{AwsClient, CallError};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use socket::{ConnectError, Opening, Socket};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use wire::acs::{
    AckRequest, Frame, FrameError, HeartbeatAckRequest, NackRequest, PayloadMessage, TaskEventsMessage, TaskIdentifier,
    TaskManifestMessage, TaskStopVerificationMessage,
};

/// Pauses between sessions (Amazon ECS agent's numbers, as the two below).
const RECONNECT_MIN: Duration = Duration::from_millis(250);
const RECONNECT_MAX: Duration = Duration::from_secs(120);
/// A session is given up after this much silence, and up to as much again at random.
const SILENCE: Duration = Duration::from_secs(60);
/// Pause after the control plane said that this instance was deregistered.
const INACTIVE_PAUSE: Duration = Duration::from_secs(3600);

/// What the session tells the engine.
#[derive(Debug)]
pub enum Heard {
    Event(Event),
    /// Everything that should run here, by ARN. The engine answers with [`Outgoing::Lacking`].
    Manifest {
        message: String,
        running: BTreeSet<String>,
    },
    /// The control plane takes [`Outgoing::Events`] in this session.
    EventsWanted,
    /// It keeps all events of this origin up to this one.
    EventsTaken {
        origin: String,
        sequence: i64,
    },
}

/// What the engine tells the control plane.
#[derive(Debug, PartialEq)]
pub enum Outgoing {
    Acknowledge {
        message: String,
    },
    /// The tasks that run here and that this manifest does not have: ARN and cluster ARN.
    Lacking {
        message: String,
        tasks: Vec<(String, String)>,
    },
    /// What happened to tasks.
    Events(TaskEventsMessage),
}

/// One node's side of the protocol.
pub struct Session {
    pub aws: AwsClient,
    pub node: Registered,
    /// Shown as `DockerVersion: …`.
    pub runtime: String,
    pub heard: mpsc::UnboundedSender<Heard>,
    pub outgoing: mpsc::UnboundedReceiver<Outgoing>,
    /// The newest manifest that was looked at.
    timeline: i64,
    connected_before: bool,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the endpoint is not known: {0}")]
    Discover(#[from] CallError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the connection broke: {0}")]
    Broken(#[from] WsError),
    #[error("the control plane was silent for too long")]
    Silent,
    #[error("the control plane asked to connect again")]
    Asked,
    #[error("the control plane closed the session")]
    Closed,
    #[error("the control plane sent what is no message: {0}")]
    Garbled(FrameError),
    #[error("the agent ends")]
    Engine,
}

impl Session {
    pub fn new(
        aws: AwsClient,
        node: Registered,
        runtime: String,
        heard: mpsc::UnboundedSender<Heard>,
        outgoing: mpsc::UnboundedReceiver<Outgoing>,
    ) -> Self {
        Self { aws, node, runtime, heard, outgoing, timeline: 0, connected_before: false }
    }

    /// Keeps a session open until the engine is gone.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(RECONNECT_MIN, RECONNECT_MAX);
        loop {
            let end = match self.once(&mut backoff).await {
                Err(End::Engine) | Ok(()) => return,
                Err(end) => end,
            };
            if matches!(&end, End::Connect(error) if error.says_inactive()) {
                tracing::error!("this container instance was deregistered; start the agent anew to register another");
                tokio::time::sleep(INACTIVE_PAUSE).await;
                continue;
            }
            tracing::info!(reason = %end, "the session ended; connecting again");
            backoff.wait().await;
        }
    }

    async fn once(&mut self, backoff: &mut Backoff) -> Result<(), End> {
        let input = json!({ "cluster": self.node.cluster_arn, "containerInstance": self.node.instance_arn });
        let found = self.aws.call("ecs", "DiscoverPollEndpoint", &input).await?;
        let own = self.aws.endpoint().to_string();
        let endpoint = found.get("endpoint").and_then(|value| value.as_str()).unwrap_or(&own);
        let opening = Opening {
            aws: &self.aws,
            endpoint,
            node: &self.node,
            runtime: &self.runtime,
            send_credentials: !self.connected_before,
        };
        let socket = opening.connect().await?;
        tracing::info!(instance = self.node.instance_arn, "connected to the control plane");
        self.connected_before = true;
        backoff.reset();
        // What was to be said in an earlier session means nothing in this one.
        while self.outgoing.try_recv().is_ok() {}
        self.converse(socket).await
    }

    async fn converse(&mut self, mut socket: Socket) -> Result<(), End> {
        let mut silent_at = Instant::now() + jittered(SILENCE);
        loop {
            tokio::select! {
                said = self.outgoing.recv() => {
                    let Some(said) = said else { return Err(End::Engine) };
                    let frame = self.frame(said);
                    send(&mut socket, frame).await?;
                }
                message = timeout_at(silent_at, socket.next()) => {
                    let message = message.map_err(|_elapsed| End::Silent)?.ok_or(End::Closed)??;
                    silent_at = Instant::now() + jittered(SILENCE);
                    match message {
                        Message::Text(text) => self.hear(&text, &mut socket).await?,
                        Message::Close(_) => return Err(End::Closed),
                        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                }
            }
        }
    }

    async fn hear(&mut self, text: &str, socket: &mut Socket) -> Result<(), End> {
        match Frame::parse(text) {
            Ok(frame) => self.answer(frame, socket).await,
            Err(error @ FrameError::Envelope(_)) => Err(End::Garbled(error)),
            Err(error) => {
                tracing::warn!(%error, "a message was not understood");
                Ok(())
            }
        }
    }

    async fn answer(&mut self, frame: Frame, socket: &mut Socket) -> Result<(), End> {
        match frame {
            Frame::HeartbeatMessage(heartbeat) => {
                send(socket, HeartbeatAckRequest { message_id: heartbeat.message_id }).await
            }
            Frame::PayloadMessage(payload) => self.payload(payload, socket).await,
            Frame::TaskManifestMessage(manifest) => self.manifest(manifest, socket).await,
            Frame::TaskStopVerificationAck(confirmed) => {
                let stop = confirmed.stop_tasks.into_iter().flatten().filter_map(|task| task.task_arn);
                stop.map(|task| Event::Stop { task }).try_for_each(|event| self.tell(Heard::Event(event)))
            }
            Frame::CloseMessage(_) => Err(End::Asked),
            Frame::ErrorMessage(error) => {
                tracing::warn!(message = error.message, "the control plane reports an error");
                Ok(())
            }
            Frame::IAMRoleCredentialsMessage(message) => {
                tracing::warn!(
                    task = message.task_arn,
                    "role credentials came for a task; this agent has no use for them"
                );
                Ok(())
            }
            Frame::TaskEventsRequest(_) => self.tell(Heard::EventsWanted),
            Frame::TaskEventsAck(ack) => self.tell(Heard::EventsTaken {
                origin: ack.origin.unwrap_or_default(),
                sequence: ack.sequence.unwrap_or_default(),
            }),
            // Frames that only agents send.
            Frame::AckRequest(_)
            | Frame::NackRequest(_)
            | Frame::HeartbeatAckRequest(_)
            | Frame::TaskStopVerificationMessage(_)
            | Frame::TaskEventsMessage(_)
            | Frame::IAMRoleCredentialsAckRequest(_) => Ok(()),
        }
    }

    /// The engine acknowledges the message once its tasks are on disk.
    async fn payload(&mut self, payload: PayloadMessage, socket: &mut Socket) -> Result<(), End> {
        let message = payload.message_id.unwrap_or_default();
        let host = self.aws.endpoint().authority().map(ToString::to_string).unwrap_or_default();
        let reader = Reader { region: self.aws.region().to_owned(), host };
        let orders = payload.tasks.into_iter().flatten().map(|task| reader.read(task)).collect::<Result<_, _>>();
        match orders {
            Ok(orders) => self.tell(Heard::Event(Event::Payload { message, orders })),
            Err(error) => {
                tracing::warn!(%error, "a payload was refused");
                let nack = NackRequest {
                    cluster: Some(self.node.cluster_arn.clone()),
                    container_instance: Some(self.node.instance_arn.clone()),
                    message_id: Some(message),
                    reason: Some(error.to_string()),
                };
                send(socket, nack).await
            }
        }
    }

    async fn manifest(&mut self, manifest: TaskManifestMessage, socket: &mut Socket) -> Result<(), End> {
        let timeline = manifest.timeline.unwrap_or_default();
        if timeline <= self.timeline {
            return Ok(());
        }
        self.timeline = timeline;
        let message = manifest.message_id.unwrap_or_default();
        send(socket, self.acknowledgement(message.clone())).await?;
        let tasks = manifest.tasks.into_iter().flatten();
        let running = tasks.filter(|task| task.desired_status.as_deref() != Some("STOPPED"));
        let running = running.filter_map(|task| task.task_arn).collect();
        self.tell(Heard::Manifest { message, running })
    }

    fn tell(&self, heard: Heard) -> Result<(), End> {
        self.heard.send(heard).map_err(|_| End::Engine)
    }

    fn acknowledgement(&self, message: String) -> AckRequest {
        AckRequest {
            cluster: Some(self.node.cluster_arn.clone()),
            container_instance: Some(self.node.instance_arn.clone()),
            message_id: Some(message),
        }
    }

    fn frame(&self, said: Outgoing) -> Frame {
        match said {
            Outgoing::Acknowledge { message } => self.acknowledgement(message).into(),
            Outgoing::Events(message) => message.into(),
            Outgoing::Lacking { message, tasks } => {
                let candidates = tasks.into_iter().map(|(task, cluster)| TaskIdentifier {
                    task_arn: Some(task),
                    task_cluster_arn: Some(cluster),
                    desired_status: Some("STOPPED".to_owned()),
                });
                let stop_candidates = Some(candidates.collect());
                TaskStopVerificationMessage { message_id: Some(message), stop_candidates }.into()
            }
        }
    }
}

async fn send(socket: &mut Socket, frame: impl Into<Frame>) -> Result<(), End> {
    Ok(socket.send(Message::text(frame.into().to_text())).await?)
}
