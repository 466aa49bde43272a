//! The service through its own operations, on a memory store: checked, authorised and run as in life.

mod attributes;
mod clusters;
mod definitions;
mod instances;
mod members;
mod permissions;
mod placing;
mod reports;
mod settings;
mod tagging;
mod tasks;

use crate as ecs;
use base::{ApiError, MasterKey, Names, OsSecrets, Principal, Sealed, Timestamp};
use request::{Caller, Cx, Entry, Installation, Kind, denied, read, tx};
use serde_json::{Value, json};
use state::{ACCESS_KEYS, AccessKey, CONTAINER_INSTANCES, KeyOwner};
use std::cell::RefCell;
use std::sync::Arc;
use store::{MemoryEngine, Store, TransactError, View, key};

static OPERATIONS: &[Entry] = &[
    tx!(ecs, create_cluster, "CreateCluster"),
    tx!(ecs, delete_account_setting, "DeleteAccountSetting"),
    tx!(ecs, delete_attributes, "DeleteAttributes"),
    tx!(ecs, delete_cluster, "DeleteCluster"),
    tx!(ecs, delete_task_definitions, "DeleteTaskDefinitions"),
    tx!(ecs, deregister_container_instance, "DeregisterContainerInstance"),
    tx!(ecs, deregister_task_definition, "DeregisterTaskDefinition"),
    read!(ecs, describe_clusters, "DescribeClusters"),
    read!(ecs, describe_container_instances, "DescribeContainerInstances"),
    read!(ecs, describe_task_definition, "DescribeTaskDefinition"),
    read!(ecs, describe_tasks, "DescribeTasks"),
    read!(ecs, discover_poll_endpoint, "DiscoverPollEndpoint"),
    read!(ecs, list_account_settings, "ListAccountSettings"),
    read!(ecs, list_attributes, "ListAttributes"),
    read!(ecs, list_clusters, "ListClusters"),
    read!(ecs, list_container_instances, "ListContainerInstances"),
    read!(ecs, list_tags_for_resource, "ListTagsForResource"),
    read!(ecs, list_task_definition_families, "ListTaskDefinitionFamilies"),
    read!(ecs, list_task_definitions, "ListTaskDefinitions"),
    read!(ecs, list_tasks, "ListTasks"),
    tx!(ecs, put_account_setting, "PutAccountSetting"),
    tx!(ecs, put_account_setting_default, "PutAccountSettingDefault"),
    tx!(ecs, put_attributes, "PutAttributes"),
    tx!(ecs, register_container_instance, "RegisterContainerInstance"),
    tx!(ecs, register_task_definition, "RegisterTaskDefinition"),
    tx!(ecs, run_task, "RunTask"),
    tx!(ecs, start_task, "StartTask"),
    tx!(ecs, stop_task, "StopTask"),
    tx!(ecs, submit_container_state_change, "SubmitContainerStateChange"),
    tx!(ecs, submit_task_state_change, "SubmitTaskStateChange"),
    tx!(ecs, tag_resource, "TagResource"),
    tx!(ecs, untag_resource, "UntagResource"),
    tx!(ecs, update_cluster, "UpdateCluster"),
    tx!(ecs, update_cluster_settings, "UpdateClusterSettings"),
    read!(ecs, update_container_agent, "UpdateContainerAgent"),
    tx!(ecs, update_container_instances_state, "UpdateContainerInstancesState"),
];

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

/// When the service's first call is made; each call takes a second.
const START_SECS: i64 = 1_800_000_000;

struct Service {
    store: Store,
    installation: Arc<Installation>,
    /// The next call's time and names.
    next: RefCell<(Timestamp, Names)>,
}

/// A caller: the account, or the node of a key.
#[derive(Clone, Copy)]
enum By<'a> {
    Root,
    Node(&'a str),
}

impl Service {
    fn new() -> Self {
        let installation = Installation {
            endpoint: "http://127.0.0.1:4566".into(),
            hosts: request::Hosts::new("127.0.0.1:4566".parse().expect("an address")),
            master: MasterKey::new(&[1; 32]).expect("a key"),
            open: None,
        };
        Self {
            store: Store::open(state::schema(), MemoryEngine::default()).expect("a store"),
            installation: Arc::new(installation),
            next: RefCell::new((Timestamp::from_secs(START_SECS), Names::new([0; 16]))),
        }
    }

    /// A service with the default cluster.
    async fn with_cluster() -> Self {
        let service = Self::new();
        service.ok("CreateCluster", json!({})).await;
        service
    }

    /// With a connected node of 1,024 CPU units and 512 MiB; answers its ARN too.
    async fn with_node() -> (Self, String) {
        let service = Self::with_cluster().await;
        let arn = service.node("AKIANODE1", 1024, 512).await;
        (service, arn)
    }

    /// With a node and the task definition `web:1`.
    async fn with_web() -> (Self, String) {
        let (service, node) = Self::with_node().await;
        service.ok("RegisterTaskDefinition", web()).await;
        (service, node)
    }

    /// Registers and connects a node with a key of its own.
    async fn node(&self, key: &str, cpu: u32, memory: u32) -> String {
        self.key(key).await;
        let answer = self.by(By::Node(key), "RegisterContainerInstance", registration(cpu, memory)).await;
        let arn = answer.expect("registered")["containerInstance"]["containerInstanceArn"].clone();
        let arn = arn.as_str().expect("an ARN").to_owned();
        self.connect(&arn, true).await;
        arn
    }

    /// Makes a node's access key.
    async fn key(&self, id: &str) {
        let owner = KeyOwner::Node { region: REGION.into(), cluster: "default".into(), instance: None };
        let (account, id, secret) = (ACCOUNT.into(), id.into(), Sealed::from_bytes(Vec::new()));
        let row = AccessKey { account, id, secret, owner, created_at: Timestamp::from_secs(START_SECS) };
        self.change(move |tx| tx.put(ACCESS_KEYS, row)).await;
    }

    async fn connect(&self, arn: &str, connected: bool) {
        let id = arn.rsplit('/').next().expect("an id").to_owned();
        let change = move |tx: &mut store::Tx| {
            tx.update(CONTAINER_INSTANCES, &key![ACCOUNT, REGION, "default", id], |row| row.agent_connected = connected)
        };
        self.change(change).await;
    }

    async fn change<T: Send + 'static>(&self, change: impl FnOnce(&mut store::Tx) -> T + Send + 'static) -> T {
        self.store.transact(move |tx| Ok::<_, ApiError>(change(tx))).await.expect("stored").value
    }

    /// Who `by` is once authenticated.
    fn caller(&self, by: By) -> Caller {
        let account = ACCOUNT.to_owned();
        let (principal, access_key_id) = match by {
            By::Root => (Principal::Root { account: account.clone() }, "AKIAROOT"),
            By::Node(id) => {
                let view = self.store.view();
                let row = view.get(ACCESS_KEYS, &key![id]).expect("a key");
                let KeyOwner::Node { region, cluster, instance } = row.owner.clone() else { panic!("a node's key") };
                (Principal::Node { account: account.clone(), region, cluster, access_key_id: id.into(), instance }, id)
            }
        };
        Caller {
            principal,
            account,
            region: REGION.into(),
            access_key_id: Some(access_key_id.into()),
            request_id: "request".into(),
            source_ip: "127.0.0.1".into(),
            user_agent: "test".into(),
            endpoint: "http://127.0.0.1:4566".into(),
            log_batch: None,
        }
    }

    fn cx(&self, by: By) -> Cx {
        let (now, names) = &mut *self.next.borrow_mut();
        let started = *now;
        *now = now.plus_secs(1);
        Cx {
            caller: self.caller(by),
            now: started,
            names: names.fork(),
            secrets: Arc::new(OsSecrets),
            installation: self.installation.clone(),
        }
    }

    async fn by(&self, by: By<'_>, operation: &str, input: Value) -> Result<Value, ApiError> {
        let entry = OPERATIONS.iter().find(|entry| entry.operation == operation).expect("an operation");
        let mut cx = self.cx(by);
        let principal = cx.caller.principal.clone();
        let ask = move |view: &View, checks: &[auth::Check]| {
            auth::authorise(view, &principal, checks).map_err(|denial| denied("ecs", &denial))
        };
        match entry.kind {
            Kind::Read(step) => step(input)?(&self.store.view(), &ask, &mut cx),
            Kind::Tx(step) => {
                let step = step(input)?;
                match self.store.transact(move |tx| step(tx, &ask, &mut cx)).await {
                    Ok(committed) => Ok(committed.value),
                    Err(TransactError::Refused(error)) => Err(error),
                    Err(TransactError::Store(error)) => panic!("{error}"),
                }
            }
            Kind::Flow(_) => panic!("no operation here is a flow"),
        }
    }

    /// The answer to root.
    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.by(By::Root, operation, input).await.expect("an answer")
    }

    /// The refusal that root gets, as `Code: text`.
    async fn err(&self, operation: &str, input: Value) -> String {
        self.by(By::Root, operation, input).await.expect_err("a refusal").to_string()
    }

    /// Runs one task of `web`; answers its ARN.
    async fn run_web(&self) -> String {
        let answer = self.ok("RunTask", json!({ "taskDefinition": "web" })).await;
        text(&answer["tasks"][0]["taskArn"])
    }

    async fn task(&self, arn: &str) -> Value {
        self.ok("DescribeTasks", json!({ "tasks": [arn], "include": ["TAGS"] })).await["tasks"][0].clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// `input` with the members of `more` laid over it.
fn with(mut input: Value, more: Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        input[name] = value.clone();
    }
    input
}

/// A task definition of one container that maps host port 8080.
fn web() -> Value {
    json!({
        "family": "web",
        "containerDefinitions": [{
            "name": "app",
            "image": "127.0.0.1:4566/web:1",
            "cpu": 256,
            "memory": 128,
            "portMappings": [{ "containerPort": 80, "hostPort": 8080 }],
        }],
    })
}

/// What an agent says when it joins.
fn registration(cpu: u32, memory: u32) -> Value {
    json!({
        "cluster": "default",
        "totalResources": [
            { "name": "CPU", "type": "INTEGER", "integerValue": cpu },
            { "name": "MEMORY", "type": "INTEGER", "integerValue": memory },
            { "name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "51678"] },
            { "name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": [] },
        ],
        "versionInfo": { "agentVersion": "1.0.0", "agentHash": "abc", "dockerVersion": "DockerVersion: crun 1.8" },
        "attributes": [
            { "name": "ecs.capability.task-cpu-mem-limit" },
            { "name": "com.amazonaws.ecs.capability.ecr-auth" },
            { "name": "com.amazonaws.ecs.capability.task-iam-role" },
            { "name": "com.amazonaws.ecs.capability.docker-remote-api.1.21" },
        ],
    })
}
