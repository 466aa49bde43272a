//! `api`: what signed calls cost, beside moto's server, which checks no signature.
//!
//! Every load is a closed loop of one signed request, whose answers are looked into. Before each stands
//! a short one that is not counted: code and data are warm then.

use crate::cpu;
use crate::figures::Samples;
use crate::load::{self, Asked, Load};
use crate::peers::Peer;
use crate::pretend::PretendNode;
use crate::server::Server;
use crate::setting::Setting;
use crate::table::{Promise, Row};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use client::{AwsClient, Credentials};
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long each load lasts; loads of the two take turns, so many times.
const LOAD_TIME: Duration = Duration::from_secs(5);
const WARM_TIME: Duration = Duration::from_secs(1);
const TURNS: usize = 3;
const CONNECTIONS: usize = 16;
/// Clusters that are listed, and tasks that are described at once.
const CLUSTERS: usize = 10;
const TASKS: usize = 10;
const FAMILY: &str = "bench";
/// Goals: calls a processor second, against moto's; tasks a second.
const TIMES_MOTO: f64 = 20.0;
const RUN_TASK_A_SECOND: f64 = 2500.0;
const RUN_TASK_TIME: Duration = Duration::from_secs(10);
/// How long the node may take afterwards until it was sent every task.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Where calls go, and what they cost there.
struct Side<'a> {
    aws: AwsClient,
    host: &'a str,
    pid: u32,
    cluster: &'a str,
    /// moto has no agents, and its instances are EC2's: without one, its tasks are Fargate's.
    launch_type: &'static str,
}

pub fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = setting.folder()?;
    let server = Server::start_with(&setting.longshore, &folder.path().join("data"), &["--no-node"])?;
    let measured = measure(setting, &server).with_context(|| format!("the server said:\n{}", server.log()));
    server.end()?;
    measured
}

fn measure(setting: &Setting, server: &Server) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let peer = Peer::moto(&setting.scratch)?;
    let endpoint: cli::Endpoint = cli::read_json(&server.paths.endpoint())?.context("the server tells no endpoint")?;
    let credentials: cli::Credentials = cli::read_json(&server.paths.credentials())?.context("no access key")?;
    let node: cli::Credentials = cli::read_json(&server.paths.agent_credentials())?.context("no node key")?;
    let host = endpoint.url.strip_prefix("http://").context("the endpoint is not plain HTTP")?;
    let cluster = endpoint.cluster.as_str();
    let ours = Side { aws: endpoint.aws(credentials)?, host, pid: server.pid(), cluster, launch_type: "EC2" };
    let moto = Side {
        aws: anybody(&peer.host, &endpoint.region)?,
        host: &peer.host,
        pid: peer.pid(),
        cluster,
        launch_type: "FARGATE",
    };
    let attributes = runtime.block_on(ours.furnish())?;
    runtime.block_on(moto.furnish())?;
    let pretend = runtime.block_on(PretendNode::join(&endpoint.aws(node)?, cluster, &attributes))?;
    let mut rows = beside_moto(&runtime, &ours, &moto)?;
    rows.extend(run_task(&runtime, &ours, &pretend)?);
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

fn beside_moto(runtime: &Runtime, ours: &Side, moto: &Side) -> Result<Vec<Row>> {
    let last = format!("/{}\"", cluster_name(CLUSTERS - 1));
    let list = |side: &Side| side.asked("ListClusters", &json!({}), vec![last.clone()]);
    let describe = |side: &Side| {
        let tasks = runtime.block_on(side.start_tasks())?;
        let contains = tasks.iter().map(ToString::to_string).collect();
        side.asked("DescribeTasks", &json!({ "cluster": side.cluster, "tasks": tasks }), contains)
    };
    Ok(vec![
        contest(runtime, "ListClusters", (ours, list(ours)?), (moto, list(moto)?))?,
        contest(runtime, &format!("DescribeTasks of {TASKS}"), (ours, describe(ours)?), (moto, describe(moto)?))?,
    ])
}

/// The same of both in turns.
fn contest(runtime: &Runtime, what: &str, ours: (&Side, Arc<Asked>), moto: (&Side, Arc<Asked>)) -> Result<Row> {
    let (mut our_rates, mut their_rates, mut calls) = (Samples::default(), Samples::default(), [0, 0]);
    for _ in 0..TURNS {
        for (at, ((side, asked), rates)) in [(&ours, &mut our_rates), (&moto, &mut their_rates)].into_iter().enumerate()
        {
            let (load, cost) = runtime.block_on(side.load(LOAD_TIME, asked))?;
            rates.push(load.requests as f64 / cost);
            calls[at] += load.requests;
        }
    }
    Ok(Row {
        what: format!("{what}, signed, {CONNECTIONS} clients ({} calls, moto {})", calls[0], calls[1]),
        unit: "calls/CPU-s",
        ours: our_rates.median(),
        peer: Some(("moto_server", their_rates.median())),
        promise: Promise::AtLeastTimes { floor: TIMES_MOTO, goal: TIMES_MOTO },
    })
}

/// Durable (fjall syncs before an answer), audited (the record commits with the task) and placed.
fn run_task(runtime: &Runtime, ours: &Side, node: &PretendNode) -> Result<Vec<Row>> {
    let contains = ["\"tasks\":[{", "\"failures\":[]"].map(str::to_owned).to_vec();
    let asked = ours.asked("RunTask", &json!({ "cluster": ours.cluster, "taskDefinition": FAMILY }), contains)?;
    let before = node.taken();
    let (load, cost) = runtime.block_on(ours.load(RUN_TASK_TIME, &asked))?;
    let ended = Instant::now();
    // The tasks of the warm-up are more.
    while node.taken() < before + load.requests {
        ensure!(
            ended.elapsed() < DELIVERY_TIMEOUT,
            "the node was sent {} tasks, {} were run",
            node.taken(),
            load.requests
        );
        std::thread::sleep(POLL);
    }
    let row = |what: &str, unit, ours, promise| Row { what: what.to_owned(), unit, ours, peer: None, promise };
    let title =
        format!("RunTask, durable, audited, placed, {CONNECTIONS} clients, pretend node ({} calls)", load.requests);
    Ok(vec![
        row(&title, "tasks/s", load.per_second(), Promise::AtLeast(RUN_TASK_A_SECOND)),
        row("the same, median", "ms", load.latencies_ms.median(), Promise::Nothing),
        row("the same, 99th percentile", "ms", load.latencies_ms.percentile(99), Promise::Nothing),
        row("the same, the server's processor time", "ms/task", cost * 1e3 / load.requests as f64, Promise::Nothing),
        row(
            "the node was sent the last task after the last answer",
            "s",
            ended.elapsed().as_secs_f64(),
            Promise::Nothing,
        ),
    ])
}

fn cluster_name(count: usize) -> String {
    format!("bench-{count}")
}

impl Side<'_> {
    fn asked(&self, operation: &str, input: &Value, contains: Vec<String>) -> Result<Arc<Asked>> {
        let (head, body) = self.aws.signed("ecs", operation, input, &[])?.into_parts();
        Ok(Arc::new(Asked { request: Request::from_parts(head, Bytes::from(body)), contains }))
    }

    /// The load after a warm-up, and the processor seconds that it cost the server.
    async fn load(&self, time: Duration, asked: &Arc<Asked>) -> Result<(Load, f64)> {
        load::run_checked(self.host, CONNECTIONS, WARM_TIME, asked).await?;
        let before = cpu::seconds(self.pid)?;
        let load = load::run_checked(self.host, CONNECTIONS, time, asked).await?;
        Ok((load, cpu::seconds(self.pid)? - before))
    }

    /// Clusters and a task definition; answers the attributes that it requires.
    async fn furnish(&self) -> Result<Value> {
        let others = (1..CLUSTERS).map(cluster_name);
        for name in others.chain([self.cluster.to_owned()]) {
            self.aws.call("ecs", "CreateCluster", &json!({ "clusterName": name })).await?;
        }
        let container = json!({ "name": "bench", "image": "busybox", "memory": 6 });
        let definition = json!({ "family": FAMILY, "networkMode": "none", "containerDefinitions": [container] });
        let made = self.aws.call("ecs", "RegisterTaskDefinition", &definition).await?;
        Ok(made["taskDefinition"]["requiresAttributes"].clone())
    }

    /// Answers the tasks' ARNs.
    async fn start_tasks(&self) -> Result<Vec<Value>> {
        let input = json!({
            "cluster": self.cluster, "taskDefinition": FAMILY, "count": TASKS, "launchType": self.launch_type
        });
        let answer = self.aws.call("ecs", "RunTask", &input).await?;
        let tasks = answer["tasks"].as_array().filter(|tasks| tasks.len() == TASKS);
        let tasks = tasks.with_context(|| format!("RunTask did not start {TASKS} tasks: {answer}"))?;
        Ok(tasks.iter().map(|task| task["taskArn"].clone()).collect())
    }
}
