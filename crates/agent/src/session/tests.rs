use super::{Heard, Offer, Outgoing, Registered, Session, register};
use crate::machine::Event;
use crate::saved::Saved;
use crate::task::Desired;
use crate::testing::{Answer, Asked, Fake, document, refusal};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

const INSTANCE: &str = "arn:aws:ecs:eu-west-1:1:container-instance/c/i";
const CLUSTER: &str = "arn:aws:ecs:eu-west-1:1:cluster/c";
const PATIENCE: Duration = Duration::from_secs(20);

fn offer() -> Offer {
    Offer { cores: 2, memory_mib: 1024, runtime: "crun 1".to_owned() }
}

/// A control plane that knows one cluster, once it is made, and one container instance.
fn registrar(cluster: bool, instance: &'static str) -> impl Fn(&Asked) -> Answer {
    let cluster = Mutex::new(cluster);
    move |asked| match asked.what.as_str() {
        "CreateCluster" => {
            *cluster.lock() = true;
            document(&json!({}))
        }
        "RegisterContainerInstance" if !*cluster.lock() => refusal("ClusterNotFoundException"),
        "RegisterContainerInstance" => match asked.input["containerInstanceArn"].as_str() {
            Some(named) if named != instance => refusal("ClientException"),
            _ => document(&json!({ "containerInstance": { "containerInstanceArn": instance } })),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_machine_registers_once_and_comes_back_as_the_same() {
    let dir = tempfile::tempdir().expect("temp dir");
    let saved = Saved::open(dir.path()).expect("open");
    let fake = Fake::start(registrar(false, INSTANCE)).await;
    let first = register(&fake.client(), &saved, "c", &offer()).await.expect("registered");
    assert_eq!((first.instance_arn.as_str(), first.cluster_arn.as_str(), first.account()), (INSTANCE, CLUSTER, "1"));
    let words = ["RegisterContainerInstance", "CreateCluster", "RegisterContainerInstance"];
    assert_eq!(fake.words(), words);
    assert_eq!(register(&fake.client(), &saved, "c", &offer()).await.expect("again"), first);
    assert_eq!(fake.asked()[0].input["containerInstanceArn"], INSTANCE);
}

#[tokio::test]
async fn an_instance_that_is_no_more_is_replaced() {
    let dir = tempfile::tempdir().expect("temp dir");
    let saved = Saved::open(dir.path()).expect("open");
    let fake = Fake::start(registrar(true, "arn:aws:ecs:eu-west-1:1:container-instance/c/old")).await;
    register(&fake.client(), &saved, "c", &offer()).await.expect("registered");
    let fake = Fake::start(registrar(true, INSTANCE)).await;
    assert_eq!(register(&fake.client(), &saved, "c", &offer()).await.expect("anew").instance_arn, INSTANCE);
    assert_eq!(saved.node().expect("read").expect("saved").container_instance_arn, INSTANCE);
}

/// The control plane's end of a session.
struct Plane {
    listener: TcpListener,
    heard: mpsc::UnboundedReceiver<Heard>,
    says: mpsc::UnboundedSender<Outgoing>,
    _fake: Fake,
}

type Socket = WebSocketStream<TcpStream>;

impl Plane {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}/", listener.local_addr().expect("an address"));
        let fake = Fake::start(move |_| document(&json!({ "endpoint": endpoint }))).await;
        let ((hears, heard), (says, outgoing)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let node = Registered { instance_arn: INSTANCE.to_owned(), cluster_arn: CLUSTER.to_owned() };
        tokio::spawn(Session::new(fake.client(), node, "crun 1".to_owned(), hears, outgoing).run());
        Self { listener, heard, says, _fake: fake }
    }

    /// Accepts a session, and gives its request's URI and Authorization header.
    #[expect(clippy::result_large_err, reason = "tungstenite's own signature")]
    async fn accept(&self) -> (Socket, String, String) {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("an agent");
        let asked = Arc::new(Mutex::new((String::new(), String::new())));
        let keep = asked.clone();
        let look = move |request: &Request, response: Response| {
            let authorization = request.headers()["authorization"].to_str().expect("text").to_owned();
            *keep.lock() = (request.uri().to_string(), authorization);
            Ok::<_, ErrorResponse>(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.expect("a websocket");
        let (uri, authorization) = asked.lock().clone();
        (socket, uri, authorization)
    }

    async fn hear(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("in time").expect("a session")
    }
}

async fn say(socket: &mut Socket, kind: &str, message: Value) {
    let frame = json!({ "type": kind, "message": message }).to_string();
    socket.send(Message::text(frame)).await.expect("sent");
}

async fn next(socket: &mut Socket) -> Value {
    let message = timeout(PATIENCE, socket.next()).await.expect("in time").expect("open").expect("a message");
    serde_json::from_str(message.to_text().expect("text")).expect("JSON")
}

fn ack(id: &str) -> Value {
    json!({ "type": "AckRequest", "message": { "cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": id } })
}

fn task(id: &str) -> Value {
    let arn = format!("arn:aws:ecs:eu-west-1:1:task/c/{id}");
    let container = json!({ "name": "web", "image": "i", "essential": true });
    json!({ "arn": arn, "taskClusterArn": CLUSTER, "desiredStatus": "RUNNING", "containers": [container] })
}

#[tokio::test]
async fn a_session_is_opened_by_a_signed_request() {
    let plane = Plane::start().await;
    let (_socket, uri, authorization) = plane.accept().await;
    insta::assert_snapshot!(uri.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @"/ws?clusterArn=arn%3Aaws%3Aecs%3Aeu-west-1%3A1%3Acluster%2Fc&containerInstanceArn=arn%3Aaws%3Aecs%3Aeu-west-1%3A1%3Acontainer-instance%2Fc%2Fi&agentHash=longshore&agentVersion=VERSION&seqNum=1&protocolVersion=2&dockerVersion=DockerVersion%3A%20crun%201&sendCredentials=true");
    assert!(authorization.contains("/eu-west-1/ecs/aws4_request, SignedHeaders=host;x-amz-date,"), "{authorization}");
}

#[tokio::test]
async fn orders_are_handed_on_and_acknowledged_when_the_engine_says_so() {
    let mut plane = Plane::start().await;
    let (mut socket, ..) = plane.accept().await;
    say(&mut socket, "PayloadMessage", json!({ "messageId": "m1", "tasks": [task("1"), task("2")] })).await;
    let Heard::Event(Event::Payload { message, orders }) = plane.hear().await else { panic!("not a payload") };
    assert_eq!(message, "m1");
    let orders: Vec<_> = orders.iter().map(|(order, desired)| (order.id(), *desired)).collect();
    assert_eq!(orders, [("1", Desired::Running), ("2", Desired::Running)]);
    // The heartbeat overtakes the acknowledgement, which waits for the disk.
    say(&mut socket, "HeartbeatMessage", json!({ "healthy": true, "messageId": "h1" })).await;
    assert_eq!(next(&mut socket).await, json!({ "type": "HeartbeatAckRequest", "message": { "messageId": "h1" } }));
    plane.says.send(Outgoing::Acknowledge { message }).expect("a session");
    assert_eq!(next(&mut socket).await, ack("m1"));
}

#[tokio::test]
async fn a_payload_that_cannot_be_taken_is_refused() {
    let plane = Plane::start().await;
    let (mut socket, ..) = plane.accept().await;
    say(
        &mut socket,
        "PayloadMessage",
        json!({ "messageId": "m1", "tasks": [{ "arn": "nonsense", "taskClusterArn": "c" }] }),
    )
    .await;
    let nack = next(&mut socket).await;
    assert_eq!((&nack["type"], &nack["message"]["messageId"]), (&json!("NackRequest"), &json!("m1")));
    assert!(nack["message"]["reason"].as_str().expect("text").contains("'nonsense' is not the ARN of a task"));
}

#[tokio::test]
async fn a_manifest_is_compared_once_and_stops_are_confirmed() {
    let mut plane = Plane::start().await;
    let (mut socket, ..) = plane.accept().await;
    let tasks =
        json!([{ "taskArn": "t1", "desiredStatus": "RUNNING" }, { "taskArn": "t2", "desiredStatus": "STOPPED" }]);
    for (id, timeline) in [("m1", 5), ("m2", 5), ("m3", 4), ("m4", 6)] {
        say(&mut socket, "TaskManifestMessage", json!({ "messageId": id, "timeline": timeline, "tasks": tasks })).await;
    }
    for id in ["m1", "m4"] {
        assert_eq!(next(&mut socket).await, ack(id));
        let Heard::Manifest { message, running } = plane.hear().await else { panic!("not a manifest") };
        assert_eq!((message.as_str(), running), (id, BTreeSet::from(["t1".to_owned()])));
    }
    let tasks = vec![("t3".to_owned(), CLUSTER.to_owned())];
    plane.says.send(Outgoing::Lacking { message: "m4".to_owned(), tasks }).expect("a session");
    let candidate = json!({ "taskArn": "t3", "taskClusterArn": CLUSTER, "desiredStatus": "STOPPED" });
    let message = json!({ "messageId": "m4", "stopCandidates": [candidate] });
    assert_eq!(next(&mut socket).await, json!({ "type": "TaskStopVerificationMessage", "message": message }));
    say(&mut socket, "TaskStopVerificationAck", json!({ "messageId": "m4", "stopTasks": [candidate] })).await;
    let Heard::Event(Event::Stop { task }) = plane.hear().await else { panic!("not a stop") };
    assert_eq!(task, "t3");
}

#[tokio::test]
async fn a_session_that_ends_is_opened_again() {
    let mut plane = Plane::start().await;
    let (mut socket, uri, _) = plane.accept().await;
    assert!(uri.ends_with("sendCredentials=true"), "{uri}");
    say(&mut socket, "CloseMessage", json!({ "message": "elsewhere" })).await;
    let (socket, uri, _) = plane.accept().await;
    assert!(uri.ends_with("sendCredentials=false"), "{uri}");
    drop(socket);
    let (mut socket, ..) = plane.accept().await;
    socket.send(Message::text("no JSON")).await.expect("sent");
    let (mut socket, ..) = plane.accept().await;
    // What is not known, and what is not well-formed, is passed over.
    say(&mut socket, "FutureMessage", json!({})).await;
    say(&mut socket, "PayloadMessage", json!({ "tasks": 7 })).await;
    say(&mut socket, "TaskStopVerificationAck", json!({ "stopTasks": [{ "taskArn": "t" }] })).await;
    assert!(matches!(plane.hear().await, Heard::Event(Event::Stop { .. })));
}
