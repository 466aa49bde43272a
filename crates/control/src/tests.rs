//! What a node hears, as tables: rows and answers in, effects out.

use crate::payload::OwnRegistry;
use crate::session::{
    Delivered, Effect, HEARTBEAT_INTERVAL_MS, Input, Node, Order, PAYLOAD_TASKS_MAX, Session, gathered,
};
use crate::sweep::{Expired, STOPPED_TASK_TTL_MS};
use base::{ApiError, Names, Timestamp};
use request::Hosts;
use serde_json::json;
use state::{
    ContainerSpec, Delivery, DesiredStatus, LastStatus, NetworkMode, PortMapping, PortProtocol, TASK_DEFINITIONS,
    TASKS, Tags, Task, TaskContainer, TaskDefinition, TaskSpec, Timeline,
};
use store::{MemoryEngine, Store, View};
use wire::acs::{AckRequest, Frame, TaskIdentifier, TaskStopVerificationMessage};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn definition() -> TaskDefinition {
    let document = serde_json::json!({
        "family": "web",
        "containerDefinitions": [{
            "name": "app",
            "image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1",
            "command": ["serve"],
            // The later of two of one name holds, as on ECS.
            "environment": [{ "name": "A", "value": "0" }, { "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
            "user": "nobody",
            "stopTimeout": 5,
            "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p" } },
        }],
    });
    TaskDefinition {
        account: "0".into(),
        region: "r".into(),
        family: "web".into(),
        revision: 3,
        status: state::DefinitionStatus::Active,
        registered_at: NOW,
        deregistered_at: None,
        delete_requested_at: None,
        registered_by: "arn".into(),
        document: document.to_string(),
        spec: TaskSpec {
            network_mode: NetworkMode::Bridge,
            cpu: Some(512),
            memory_mib: Some(128),
            task_role_arn: None,
            execution_role_arn: None,
            containers: Vec::<ContainerSpec>::new(),
            needs: state::Needs::default(),
        },
        tags: Tags::new(),
    }
}

pub(crate) fn task(id: &str, desired: DesiredStatus, last: LastStatus) -> Task {
    Task {
        account: "0".into(),
        region: "r".into(),
        cluster: "c".into(),
        id: id.into(),
        family: "web".into(),
        revision: 3,
        instance: Some("i".into()),
        group: "family:web".into(),
        started_by: None,
        launch_type: "EC2".into(),
        desired,
        last,
        containers: vec![TaskContainer {
            name: "app".into(),
            uuid: "u-1".into(),
            image: "000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1".into(),
            image_digest: None,
            runtime_id: None,
            last: LastStatus::Pending,
            health: None,
            exit_code: None,
            reason: None,
            bindings: vec![],
            essential: true,
            cpu: 256,
            memory_mib: Some(64),
            memory_reservation_mib: Some(32),
            ports: vec![PortMapping { container_port: 80, host_port: 0, protocol: PortProtocol::Tcp, range_end: None }],
            log: None,
        }],
        overrides: r#"{"containerOverrides":[{"name":"app","environment":[{"name":"B","value":"3"}]}]}"#.into(),
        cpu: 256,
        memory_mib: 64,
        cpu_shown: None,
        memory_shown: None,
        times: Timeline::default(),
        stop_code: None,
        because: String::new(),
        stopped_reason: None,
        stopped_by: None,
        delivery: Delivery::default(),
        log_mode: state::LogMode::default(),
        tags: Tags::new(),
        version: 1,
    }
}

async fn view(tasks: Vec<Task>) -> View {
    let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
    let stored = store.transact(move |tx| {
        tx.put(TASK_DEFINITIONS, definition());
        tasks.into_iter().for_each(|row| tx.put(TASKS, row));
        Ok::<_, ApiError>(())
    });
    stored.await.expect("stored");
    store.view()
}

pub(crate) fn session() -> Session {
    let node = Node { account: "0".into(), region: "r".into(), cluster: "c".into(), instance: "i".into() };
    let hosts = Hosts::new("0.0.0.0:4566".parse().expect("an address"));
    Session::new(node, OwnRegistry { endpoint: "http://127.0.0.1:4570".into(), hosts })
}

/// One line for each effect.
fn shown(effects: &[Effect]) -> Vec<String> {
    let arns = |tasks: &Option<Vec<TaskIdentifier>>| {
        tasks
            .iter()
            .flatten()
            .filter_map(|task| task.task_arn.as_deref()?.rsplit('/').next())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let line = |effect: &Effect| match effect {
        Effect::Send(frame) => match frame.as_ref() {
            Frame::PayloadMessage(payload) => {
                let tasks = payload.tasks.iter().flatten();
                let orders = tasks.map(|task| {
                    format!(
                        "{}={}",
                        task.arn.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default(),
                        task.desired_status.as_deref().unwrap_or_default()
                    )
                });
                format!("payload {}", orders.collect::<Vec<_>>().join(" "))
            }
            Frame::TaskManifestMessage(manifest) => format!("manifest {}", arns(&manifest.tasks)),
            Frame::TaskStopVerificationAck(ack) => format!("stop {}", arns(&ack.stop_tasks)),
            Frame::HeartbeatMessage(_) => "heartbeat".to_owned(),
            other => format!("{other:?}"),
        },
        Effect::Delivered(orders) => format!(
            "delivered {}",
            orders
                .iter()
                .map(|Delivered { order: Order { task, desired }, .. }| format!("{task}={}", desired.as_str()))
                .collect::<Vec<_>>()
                .join(" ")
        ),
        Effect::Told(message) => format!("told up to {}", message.sequence.unwrap_or_default()),
        Effect::Undeliverable { task, reason } => format!("undeliverable {task}: {reason}"),
    };
    effects.iter().map(line).collect()
}

fn turn(session: &mut Session, view: &View, input: Input, now: Timestamp) -> Vec<Effect> {
    session.turn(view, input, now, &mut Names::new([1; 16]))
}

fn message_id(effects: &[Effect]) -> String {
    let id = effects.iter().find_map(|effect| match effect {
        Effect::Send(frame) => match frame.as_ref() {
            Frame::PayloadMessage(payload) => payload.message_id.clone(),
            _ => None,
        },
        _ => None,
    });
    id.expect("a payload")
}

use DesiredStatus::{Running, Stopped};

#[tokio::test]
async fn a_connect_brings_what_was_not_acknowledged_and_the_manifest() {
    let mut acknowledged = task("b", Running, LastStatus::Running);
    acknowledged.delivery.run_acknowledged = true;
    let mut stopping = task("c", Stopped, LastStatus::Running);
    stopping.delivery.run_acknowledged = true;
    let view = view(vec![
        task("a", Running, LastStatus::Pending),
        acknowledged,
        stopping,
        task("d", Stopped, LastStatus::Stopped),
    ])
    .await;
    let effects = turn(&mut session(), &view, Input::Connected, NOW);
    assert_eq!(shown(&effects), ["payload a=RUNNING c=STOPPED", "manifest a b"]);
}

#[tokio::test]
async fn an_order_goes_out_once_a_session_and_is_delivered_when_acknowledged() {
    let view = view(vec![task("a", Running, LastStatus::Pending)]).await;
    let mut session = session();
    let first = turn(&mut session, &view, Input::Connected, NOW);
    assert!(turn(&mut session, &view, Input::Look, NOW).is_empty());
    let ack = Frame::AckRequest(AckRequest { message_id: Some(message_id(&first)), ..AckRequest::default() });
    assert_eq!(shown(&turn(&mut session, &view, Input::Frame(Box::new(ack.clone())), NOW)), ["delivered a=RUNNING"]);
    assert!(
        turn(&mut session, &view, Input::Frame(Box::new(ack)), NOW).is_empty(),
        "a second acknowledgement means nothing"
    );
}

#[tokio::test]
async fn acknowledgements_that_come_together_are_noted_together() {
    let names: Vec<String> = (0..PAYLOAD_TASKS_MAX + 1).map(|number| format!("t{number:02}")).collect();
    let view = view(names.iter().map(|name| task(name, Running, LastStatus::Pending)).collect()).await;
    let mut session = session();
    let sent = turn(&mut session, &view, Input::Look, NOW);
    let ack = |effect: &Effect| {
        let ack = AckRequest { message_id: Some(message_id(std::slice::from_ref(effect))), ..AckRequest::default() };
        Input::Frame(Box::new(Frame::AckRequest(ack)))
    };
    let payloads = sent.iter().take(2);
    let mut effects: Vec<Effect> = payloads.flat_map(|effect| turn(&mut session, &view, ack(effect), NOW)).collect();
    effects.insert(1, Effect::Undeliverable { task: "x".into(), reason: "why".into() });
    assert_eq!(effects.len(), 3);
    let all: String = names.iter().map(|name| format!(" {name}=RUNNING")).collect();
    assert_eq!(shown(&gathered(effects)), [format!("delivered{all}"), "undeliverable x: why".to_owned()]);
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let view = view(vec![]).await;
    let mut session = session();
    turn(&mut session, &view, Input::Connected, NOW);
    assert!(turn(&mut session, &view, Input::Look, NOW.plus_millis(HEARTBEAT_INTERVAL_MS - 1)).is_empty());
    assert_eq!(shown(&turn(&mut session, &view, Input::Look, NOW.plus_millis(HEARTBEAT_INTERVAL_MS))), ["heartbeat"]);
}

#[tokio::test]
async fn only_what_should_not_run_is_confirmed_to_stop() {
    let view = view(vec![task("a", Running, LastStatus::Running), task("b", Stopped, LastStatus::Running)]).await;
    let candidate = |id: &str| TaskIdentifier {
        task_arn: Some(Task::arn_of("0", "r", "c", id).to_string()),
        ..TaskIdentifier::default()
    };
    let message = TaskStopVerificationMessage {
        message_id: Some("m".into()),
        stop_candidates: Some(vec![candidate("a"), candidate("b"), candidate("unknown")]),
    };
    let effects = turn(&mut session(), &view, Input::Frame(Box::new(Frame::TaskStopVerificationMessage(message))), NOW);
    assert_eq!(shown(&effects), ["stop b unknown"]);
}

#[tokio::test]
async fn a_task_without_definition_ends_with_the_reason() {
    let mut lost = task("a", Running, LastStatus::Pending);
    lost.revision = 9;
    let effects = turn(&mut session(), &view(vec![lost]).await, Input::Look, NOW);
    assert_eq!(shown(&effects)[0], "undeliverable a: InternalError: the task definition is gone; register it again");
}

#[tokio::test]
async fn a_payload_merges_definition_overrides_and_placement() {
    let view = view(vec![task("a", Running, LastStatus::Pending)]).await;
    let effects = turn(&mut session(), &view, Input::Look, NOW);
    let Some(Effect::Send(frame)) = effects.into_iter().next() else { panic!("a payload") };
    let text: serde_json::Value = serde_json::from_str(&frame.to_text()).expect("JSON");
    insta::assert_json_snapshot!(text["message"]["tasks"][0]);
}

/// Whatever name of ours an image has, its node finds it where it finds us.
#[tokio::test]
async fn an_image_of_ours_is_marked_with_the_endpoint() {
    async fn check(image: &str, expect: serde_json::Value) {
        let mut definition = definition();
        let mut document: serde_json::Value = serde_json::from_str(&definition.document).expect("JSON");
        document["containerDefinitions"][0]["image"] = image.into();
        definition.document = document.to_string();
        let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
        let stored = store.transact(move |tx| {
            tx.put(TASK_DEFINITIONS, definition);
            tx.put(TASKS, task("a", Running, LastStatus::Pending));
            Ok::<_, ApiError>(())
        });
        stored.await.expect("stored");
        let effects = turn(&mut session(), &store.view(), Input::Look, NOW);
        let Some(Effect::Send(frame)) = effects.into_iter().next() else { panic!("a payload") };
        let text: serde_json::Value = serde_json::from_str(&frame.to_text()).expect("JSON");
        let told = &text["message"]["tasks"][0]["containers"][0];
        assert_eq!(told["registryAuthentication"]["ecrAuthData"], expect, "{image}");
        assert_eq!(told["image"], image);
    }
    let ours = json!({ "registryId": "0", "region": "r", "endpointOverride": "http://127.0.0.1:4570" });
    check("192.0.2.2:4566/web:1", ours.clone()).await;
    check("localhost:4566/web:1", ours.clone()).await;
    check("0.dkr.ecr.r.amazonaws.com/web:1", ours).await;
    check("1.dkr.ecr.r.amazonaws.com/web:1", json!({ "registryId": "1", "region": "r" })).await;
    check("192.0.2.2:5000/web:1", serde_json::Value::Null).await;
    check("busybox", serde_json::Value::Null).await;
}

#[tokio::test]
async fn stopped_tasks_are_swept_after_their_time() {
    let mut old = task("old", Stopped, LastStatus::Stopped);
    old.times.stopped = Some(NOW);
    let view = view(vec![old, task("a", Running, LastStatus::Running)]).await;
    assert_eq!(Expired::of(&view, NOW.plus_millis(STOPPED_TASK_TTL_MS)).tasks.len(), 0);
    assert_eq!(Expired::of(&view, NOW.plus_millis(STOPPED_TASK_TTL_MS + 1)).tasks.len(), 1);
}

#[tokio::test]
async fn a_deleted_definition_is_swept_once_no_task_uses_it() {
    for (last, deleted, swept) in
        [(LastStatus::Stopping, true, false), (LastStatus::Stopped, true, true), (LastStatus::Stopped, false, false)]
    {
        let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
        let mut row = definition();
        if deleted {
            row.status = state::DefinitionStatus::DeleteInProgress;
        }
        let change = move |tx: &mut store::Tx| {
            tx.put(TASK_DEFINITIONS, row);
            tx.put(TASKS, task("a", Stopped, last));
            Ok::<_, ApiError>(())
        };
        store.transact(change).await.expect("stored");
        assert_eq!(!Expired::of(&store.view(), NOW).definitions.is_empty(), swept, "{last:?} {deleted}");
    }
}
