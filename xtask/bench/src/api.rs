//! `api`: what signed calls cost, beside moto's server, which checks no signature.

use crate::cpu;
use crate::figures::Samples;
use crate::load;
use crate::peers::Peer;
use crate::pretend::PretendNode;
use crate::server::Server;
use crate::setting::Setting;
use crate::table::{Promise, Row};
use anyhow::{Context, Result};
use bytes::Bytes;
use client::{AwsClient, Credentials};
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long each load lasts; loads of the two take turns, so many times.
const LOAD_TIME: Duration = Duration::from_secs(5);
const TURNS: usize = 3;
const CONNECTIONS: usize = 16;
/// Clusters that are listed, and tasks that are described at once.
const CLUSTERS: usize = 10;
const TASKS: usize = 10;
/// Goals: calls a processor second, against moto's; tasks a second.
const TIMES_MOTO: f64 = 20.0;
const RUN_TASK_A_SECOND: f64 = 2500.0;
const RUN_TASK_TIME: Duration = Duration::from_secs(10);

/// Where calls go, and what they cost there.
struct Side<'a> {
    aws: AwsClient,
    host: &'a str,
    pid: u32,
}

pub fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = setting.folder()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let server = Server::start_with(&setting.longshore, &folder.path().join("data"), &["--no-node"])?;
    let peer = Peer::moto(&setting.scratch)?;
    let endpoint: cli::Endpoint = cli::read_json(&server.paths.endpoint())?.context("the server tells no endpoint")?;
    let credentials: cli::Credentials = cli::read_json(&server.paths.credentials())?.context("no access key")?;
    let node: cli::Credentials = cli::read_json(&server.paths.agent_credentials())?.context("no node key")?;
    let host = endpoint.url.strip_prefix("http://").context("the endpoint is not plain HTTP")?;
    let ours = Side { aws: endpoint.aws(credentials)?, host, pid: server.pid() };
    let moto = Side { aws: anybody(&peer.host, &endpoint.region)?, host: &peer.host, pid: peer.pid() };
    let pretend = runtime.block_on(PretendNode::join(&endpoint.aws(node)?, &endpoint.cluster))?;
    let mut rows = beside_moto(&runtime, &ours, &moto, &endpoint.cluster)?;
    rows.extend(run_task(&runtime, &ours, &endpoint.cluster)?);
    pretend.leave();
    server.end()?;
    Ok(rows)
}

fn anybody(host: &str, region: &str) -> Result<AwsClient> {
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned().into(),
        session_token: None,
    };
    Ok(AwsClient::new(&format!("http://{host}"), region, credentials)?)
}

fn beside_moto(runtime: &Runtime, ours: &Side, moto: &Side, cluster: &str) -> Result<Vec<Row>> {
    runtime.block_on(moto.furnish_instance(cluster))?;
    let (our_tasks, their_tasks) = (runtime.block_on(ours.furnish(cluster))?, runtime.block_on(moto.furnish(cluster))?);
    let describe = |tasks: &[Value]| json!({ "cluster": cluster, "tasks": tasks });
    let calls =
        [("ListClusters", json!({}), json!({})), ("DescribeTasks", describe(&our_tasks), describe(&their_tasks))];
    let mut rows = Vec::new();
    for (operation, our_input, their_input) in calls {
        let (mut our_rates, mut their_rates) = (Samples::default(), Samples::default());
        for _ in 0..TURNS {
            our_rates.push(runtime.block_on(ours.per_cpu_second(operation, &our_input))?);
            their_rates.push(runtime.block_on(moto.per_cpu_second(operation, &their_input))?);
        }
        rows.push(Row {
            what: format!("{operation}, signed, {CONNECTIONS} clients"),
            unit: "calls/CPU-s",
            ours: our_rates.median(),
            peer: Some(("moto_server", their_rates.median())),
            promise: Promise::AtLeastTimes { floor: TIMES_MOTO, goal: TIMES_MOTO },
        });
    }
    Ok(rows)
}

/// Durable, audited and placed.
fn run_task(runtime: &Runtime, ours: &Side, cluster: &str) -> Result<Vec<Row>> {
    let request = ours.request("RunTask", &json!({ "cluster": cluster, "taskDefinition": "bench" }))?;
    let before = cpu::seconds(ours.pid)?;
    let load = runtime.block_on(load::run(ours.host, CONNECTIONS, RUN_TASK_TIME, request))?;
    let cost = cpu::seconds(ours.pid)? - before;
    let row = |what: &str, unit, ours, promise| Row { what: what.to_owned(), unit, ours, peer: None, promise };
    Ok(vec![
        row("RunTask, 16 clients, pretend node", "tasks/s", load.per_second(), Promise::AtLeast(RUN_TASK_A_SECOND)),
        row("the same, 99th percentile", "ms", load.latencies_ms.percentile(99), Promise::Nothing),
        row("the same, processor", "ms/task", cost * 1e3 / load.requests as f64, Promise::Nothing),
    ])
}

impl Side<'_> {
    fn request(&self, operation: &str, input: &Value) -> Result<Request<Bytes>> {
        let (head, body) = self.aws.signed("ecs", operation, input, &[])?.into_parts();
        Ok(Request::from_parts(head, Bytes::from(body)))
    }

    async fn per_cpu_second(&self, operation: &str, input: &Value) -> Result<f64> {
        let request = self.request(operation, input)?;
        let before = cpu::seconds(self.pid)?;
        let load = load::run(self.host, CONNECTIONS, LOAD_TIME, request).await?;
        Ok(load.requests as f64 / (cpu::seconds(self.pid)? - before))
    }

    /// Clusters, a task definition and running tasks; answers the tasks' ARNs.
    async fn furnish(&self, cluster: &str) -> Result<Vec<Value>> {
        for count in 1..CLUSTERS {
            self.aws.call("ecs", "CreateCluster", &json!({ "clusterName": format!("bench-{count}") })).await?;
        }
        let container = json!({ "name": "bench", "image": "busybox", "memory": 6 });
        let definition = json!({ "family": "bench", "networkMode": "none", "containerDefinitions": [container] });
        self.aws.call("ecs", "RegisterTaskDefinition", &definition).await?;
        let input = json!({ "cluster": cluster, "taskDefinition": "bench", "count": TASKS });
        let answer = self.aws.call("ecs", "RunTask", &input).await?;
        let tasks = answer["tasks"].as_array().context("RunTask answered no tasks")?;
        Ok(tasks.iter().map(|task| task["taskArn"].clone()).collect())
    }

    /// moto has no agents: an instance is there once it is registered.
    async fn furnish_instance(&self, cluster: &str) -> Result<()> {
        self.aws.call("ecs", "CreateCluster", &json!({ "clusterName": cluster })).await?;
        let document = json!({ "instanceId": "i-0123456789abcdef0" }).to_string();
        let input = json!({ "cluster": cluster, "instanceIdentityDocument": document });
        self.aws.call("ecs", "RegisterContainerInstance", &input).await?;
        Ok(())
    }
}
