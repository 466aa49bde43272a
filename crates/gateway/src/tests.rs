//! The table of operations, as a whole; and requests over a socket.

mod served;

use crate::OPERATIONS;
use base::{ApiError, Principal};
use request::{Caller, Entry};
use serde_json::{Map, Value, json};
use state::{CLUSTERS, Cluster, ClusterStatus, NetworkMode, TASK_DEFINITIONS, TaskDefinition, TaskSpec};
use std::collections::BTreeSet;
use store::{MemoryEngine, Store, View};
use wire::model::{Kind, Service, ShapeId};

#[test]
fn every_entry_is_a_modelled_operation_and_stands_once() {
    let mut seen = BTreeSet::new();
    for entry in OPERATIONS {
        let service = wire::service(entry.service).expect("a modelled service");
        assert!(service.operation(entry.operation).is_some(), "{}:{}", entry.service, entry.operation);
        assert!(seen.insert((entry.service, entry.operation)), "{}:{} twice", entry.service, entry.operation);
    }
}

/// A text that is a name, an id of a task and one of a container instance alike.
const NAME: &str = "0123456789abcdef0123456789abcdef";

/// Operations that ask for nothing. None may: what anybody may do is a rule of authorisation, not of the operation.
const WITHOUT_CHECKS: [&str; 0] = [];

#[tokio::test]
async fn every_operation_declares_what_it_asks_for() {
    let view = view().await;
    let mut without = Vec::new();
    for entry in OPERATIONS {
        let document = document(entry);
        let checks = (entry.checks)(document.clone(), &view, &caller());
        let checks =
            checks.unwrap_or_else(|error| panic!("{}:{} on {document}: {error}", entry.service, entry.operation));
        if checks.is_empty() {
            without.push(entry.operation);
        }
        for check in checks {
            let known =
                check.action.split_once(':').is_some_and(|(service, action)| !service.is_empty() && !action.is_empty());
            assert!(known, "{} asks for '{}'", entry.operation, check.action);
            assert!(
                check.resource == "*" || check.resource.parse::<base::Arn>().is_ok(),
                "{} names '{}'",
                entry.operation,
                check.resource
            );
        }
    }
    assert_eq!(without, WITHOUT_CHECKS);
}

/// A state in which the names that [`document`] makes up mean something.
async fn view() -> View {
    let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
    let cluster = Cluster {
        account: caller().account,
        region: caller().region,
        name: NAME.into(),
        status: ClusterStatus::Active,
        created_at: base::Timestamp::default(),
        container_insights: "disabled".into(),
        configuration: None,
        tags: state::Tags::new(),
    };
    let stored = store.transact(move |tx| {
        tx.put(CLUSTERS, cluster);
        tx.put(TASK_DEFINITIONS, definition());
        Ok::<_, ApiError>(())
    });
    stored.await.expect("stored");
    store.view()
}

fn definition() -> TaskDefinition {
    TaskDefinition {
        account: caller().account,
        region: caller().region,
        family: NAME.into(),
        revision: 1,
        status: state::DefinitionStatus::Active,
        registered_at: base::Timestamp::default(),
        deregistered_at: None,
        delete_requested_at: None,
        registered_by: "arn".into(),
        document: "{}".into(),
        spec: TaskSpec {
            network_mode: NetworkMode::Bridge,
            cpu: None,
            memory_mib: None,
            task_role_arn: None,
            execution_role_arn: None,
            containers: vec![],
            needs: state::Needs::default(),
        },
        tags: state::Tags::new(),
    }
}

fn caller() -> Caller {
    Caller {
        principal: Principal::Root { account: "000000000000".into() },
        account: "000000000000".into(),
        region: "us-east-1".into(),
        access_key_id: Some("AKIA1".into()),
        request_id: "r".into(),
        source_ip: "127.0.0.1".into(),
        user_agent: "test".into(),
        endpoint: "http://127.0.0.1:4566".into(),
        log_batch: None,
    }
}

/// The least document of an operation: its required members, made up, and those that it wants in spite of its model.
fn document(entry: &Entry) -> Value {
    let service = wire::service(entry.service).expect("a service");
    let operation = service.operation(entry.operation).expect("an operation");
    let mut document = operation.input.map_or_else(|| json!({}), |input| value(service, input));
    let members = operation.input.map_or(&[][..], |input| service.shape(input).members());
    for name in ["logGroupName", "task"] {
        if members.iter().any(|member| member.name == name) {
            document[name] = NAME.into();
        }
    }
    if let Some(definitions) = document.get_mut("taskDefinitions") {
        *definitions = json!([format!("{NAME}:1")]);
    }
    if let Some(attribute) = document.pointer_mut("/attributes/0") {
        attribute["targetId"] = NAME.into();
        attribute["targetType"] = "container-instance".into();
    }
    if let Some(arn) = document.get_mut("resourceArn") {
        let resource = match entry.service {
            "ecs" => "arn:aws:ecs:us-east-1:000000000000:cluster/default",
            "ecr" => "arn:aws:ecr:us-east-1:000000000000:repository/r",
            _ => "arn:aws:logs:us-east-1:000000000000:log-group:/g",
        };
        *arn = resource.into();
    }
    document
}

fn value(service: &'static Service, shape: ShapeId) -> Value {
    match &service.shape(shape).kind {
        Kind::Structure(structure) => {
            let required = structure.members.iter().filter(|member| member.required);
            Value::Object(
                required.map(|member| (member.name.to_owned(), value(service, member.shape))).collect::<Map<_, _>>(),
            )
        }
        Kind::List { member, .. } => json!([value(service, *member)]),
        Kind::Map { .. } => json!({}),
        Kind::String { values, .. } => (*values.first().unwrap_or(&NAME)).into(),
        Kind::Boolean => false.into(),
        Kind::Blob(_) => "AA==".into(),
        _ => 1.into(),
    }
}
