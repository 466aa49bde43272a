//! A session's websocket: frames in, effects out.

use crate::control::{Control, Link};
use crate::session::{self, Delivered, Effect, Input, PAYLOAD_TASKS_MAX, Session};
use crate::story;
use base::ApiError;
use futures_util::{FutureExt, SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use plan::task_state::{Observed, Report, reported};
use state::{DesiredStatus, Handover, TASKS};
use std::time::Duration;
use store::{CHANGED_ROWS_MAX, key};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use wire::acs::{Frame, TaskEventsAck, TaskEventsMessage};

/// How often a session looks at the state without being woken.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The largest frame that an agent may send: a stop verification of some thousand tasks.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Inputs that are taken at once: what they acknowledge, a row a task, is one transaction.
const INPUTS_MAX: usize = CHANGED_ROWS_MAX / PAYLOAD_TASKS_MAX;

/// Answers the websocket handshake (RFC 6455, 4.2.2); the connection itself follows.
pub fn upgrade(mut request: Request<Incoming>) -> Result<(Response<()>, OnUpgrade), ApiError> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).filter(|_| request.headers().contains_key(UPGRADE));
    let Some(key) = key else {
        return Err(ApiError::client("BadRequestException", "this path speaks websocket only"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok((response, hyper::upgrade::on(&mut request)))
}

/// The value of a query parameter, percent-decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Drives one session from upgrade to end.
pub async fn drive(control: Control, mut session: Session, upgrade: OnUpgrade) {
    let node = session.node().clone();
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(instance = node.instance, %error, "an agent's upgrade failed"),
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let link = Link::default();
    control.connected(&node, &link).await;
    tracing::info!(instance = node.instance, "agent connected");
    let end = converse(&control, &mut session, &link, &mut socket).await;
    control.disconnected(&node, &link).await;
    match end {
        Ok(()) => tracing::info!(instance = node.instance, "agent disconnected"),
        Err(error) => tracing::info!(instance = node.instance, %error, "agent disconnected"),
    }
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

async fn converse(control: &Control, session: &mut Session, link: &Link, socket: &mut Socket) -> Result<(), Error> {
    let mut inputs = vec![Input::Connected];
    let mut timer = tokio::time::interval(LOOK_INTERVAL);
    loop {
        perform(control, session, inputs, socket).await?;
        let first = tokio::select! {
            () = link.ended.notified() => return socket.close(None).await,
            () = link.changed.notified() => Some(Input::Look),
            _ = timer.tick() => Some(Input::Look),
            message = socket.next() => heard(message)?,
        };
        let Some(first) = first else { return Ok(()) };
        inputs = vec![first];
        // What came meanwhile is taken with it: a burst of acknowledgements is noted in one transaction.
        while inputs.len() < INPUTS_MAX
            && let Some(message) = socket.next().now_or_never()
        {
            let Some(input) = heard(message)? else { return Ok(()) };
            inputs.push(input);
        }
    }
}

/// None when the agent has ended the session.
fn heard(message: Option<Result<Message, Error>>) -> Result<Option<Input>, Error> {
    Ok(match message.transpose()? {
        None | Some(Message::Close(_)) => None,
        Some(Message::Text(text)) => Some(understood(&text).map_or(Input::Look, |frame| Input::Frame(Box::new(frame)))),
        Some(_) => Some(Input::Look),
    })
}

fn understood(text: &Utf8Bytes) -> Option<Frame> {
    Frame::parse(text).inspect_err(|error| tracing::warn!(%error, "a frame of an agent was not understood")).ok()
}

async fn perform(
    control: &Control,
    session: &mut Session,
    inputs: Vec<Input>,
    socket: &mut Socket,
) -> Result<(), Error> {
    let requests = control.requests();
    let (view, now, mut names) = (requests.view(), requests.now(), requests.names());
    let effects = inputs.into_iter().flat_map(|input| session.turn(&view, input, now, &mut names));
    for effect in session::gathered(effects.collect()) {
        match effect {
            Effect::Send(frame) => socket.send(Message::text(frame.to_text())).await?,
            Effect::Delivered(orders) => delivered(control, session, orders).await,
            Effect::Told(message) => told(control, session, *message, socket).await?,
            Effect::Undeliverable { task, reason } => undeliverable(control, session, task, reason).await,
        }
    }
    Ok(())
}

/// Notes what the node acknowledged. If that fails the order goes out again at the next connect.
async fn delivered(control: &Control, session: &Session, orders: Vec<Delivered>) {
    let node = session.node().clone();
    let now = control.requests().now();
    let stored = control.requests().transact(move |tx| {
        for Delivered { order, sent } in &orders {
            let handover = Some(Handover { sent: *sent, acknowledged: now });
            tx.update(TASKS, &key![&node.account, &node.region, &node.cluster, &order.task], |task| {
                match order.desired {
                    DesiredStatus::Running => (task.delivery.run_acknowledged, task.delivery.run) = (true, handover),
                    // One that crossed the task's end changed nothing.
                    DesiredStatus::Stopped if !task.holds_resources() => {}
                    DesiredStatus::Stopped => (task.delivery.stop_acknowledged, task.delivery.stop) = (true, handover),
                }
                task.times.connectivity.get_or_insert(now);
            });
        }
        Ok(())
    });
    if let Err(error) = stored.await {
        tracing::error!(%error, "an acknowledged order could not be noted; it will be sent again");
    }
}

/// Keeps what the node tells, and says so; what could not be kept comes again with the next session.
async fn told(
    control: &Control,
    session: &Session,
    message: TaskEventsMessage,
    socket: &mut Socket,
) -> Result<(), Error> {
    let ack = Frame::from(TaskEventsAck { origin: message.origin.clone(), sequence: message.sequence });
    let node = session.node().clone();
    let stored = control.requests().transact(move |tx| {
        story::take(tx, &node, &message);
        Ok(())
    });
    match stored.await {
        Ok(()) => socket.send(Message::text(ack.to_text())).await,
        Err(error) => {
            tracing::error!(%error, "what a node told of its tasks could not be kept; it will tell it again");
            Ok(())
        }
    }
}

/// Ends a task that no node can be told of, with the reason in its row.
async fn undeliverable(control: &Control, session: &Session, task: String, reason: String) {
    let node = session.node().clone();
    let now = control.requests().now();
    let report = Report { status: Some(Observed::Stopped), reason: Some(reason), ..Report::default() };
    let stored = control.requests().transact(move |tx| {
        tx.update(TASKS, &key![&node.account, &node.region, &node.cluster, &task], |row| {
            *row = reported(row, &report, now);
        });
        Ok(())
    });
    if let Err(error) = stored.await {
        tracing::error!(%error, "a task that cannot be delivered could not be ended");
    }
}
