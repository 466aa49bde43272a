//! Two servers on one etcd: one leads, the other takes over.

use super::{Stage, push, text};
use crate::{Client, HostImage, Longshore};
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use testbed::Etcd;

/// Runs tasks one after the other at whichever of two servers answers, each under a token of its own
/// and again under that token until it is acknowledged; prints whose task it was and its ARN. Ends
/// after three at the second server.
const TRAFFIC: &str = r#"
import sys, time, uuid, boto3
from botocore.config import Config
config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
clients = [boto3.client("ecs", endpoint_url=url, config=config) for url in sys.argv[1:3]]
at = second = 0
while second < 3:
    token, answer = str(uuid.uuid4()), None
    while answer is None:
        try:
            answer = clients[at].run_task(taskDefinition=sys.argv[3], clientToken=token, startedBy="traffic")
        except Exception as error:
            at = 1 - at
            time.sleep(0.05)
    for task in answer["tasks"]:
        print(at, task["taskArn"], flush=True)
        second += at
    time.sleep(0.05)
"#;

/// Tasks that are acknowledged before the first server is killed.
const ACKNOWLEDGED: usize = 8;

fn run_traffic(stage: &mut Stage, second: &Longshore, definition: &str) -> Result<Vec<String>> {
    let urls = [stage.server.endpoint()?.url, second.endpoint()?.url];
    let mut traffic = stage.client().python_beside(TRAFFIC, &[&urls[0], &urls[1], definition])?;
    let mut traffic = traffic.stdout(Stdio::piped()).spawn()?;
    let mut acknowledged = Vec::new();
    for line in BufReader::new(traffic.stdout.take().context("piped")?).lines() {
        acknowledged.push(line?.split_once(' ').context("whose and which")?.1.to_owned());
        if acknowledged.len() == ACKNOWLEDGED {
            stage.server.end(Signal::KILL)?;
        }
    }
    anyhow::ensure!(traffic.wait()?.success(), "the traffic ended early");
    Ok(acknowledged)
}

/// Every task that the traffic made, by a server's account.
fn listed(client: &Client) -> Result<BTreeSet<String>> {
    let mut tasks = BTreeSet::new();
    for status in ["RUNNING", "STOPPED"] {
        let answer = client.aws(&["ecs", "list-tasks", "--started-by", "traffic", "--desired-status", status])?;
        tasks.extend(answer["taskArns"].as_array().into_iter().flatten().map(|arn| text(arn).to_owned()));
    }
    Ok(tasks)
}

/// Containers whose shims run for the node of a data folder.
fn containers(data: &Path) -> Result<usize> {
    let output = Command::new("pgrep").args(["-fc", &format!("shim {}", data.display())]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn describe(client: &Client, tasks: &[String]) -> Result<Vec<Value>> {
    let arns = tasks.iter().map(String::as_str);
    let args: Vec<&str> = ["ecs", "describe-tasks", "--tasks"].into_iter().chain(arns).collect();
    let answer = client.aws(&args)?;
    assert_eq!(answer["failures"], json!([]), "an acknowledged task is lost");
    Ok(answer["tasks"].as_array().cloned().unwrap_or_default())
}

/// As `--engine` of `up` takes it.
fn engine(etcd: &Etcd) -> String {
    format!("etcd://{}", etcd.address())
}

#[test]
fn a_standby_takes_over_and_nothing_acknowledged_is_lost_or_started_twice() -> Result<()> {
    let etcd = Etcd::start()?;
    let engine = engine(&etcd);
    let mut first = Stage::of(Longshore::start_with("127.0.0.1:0", &["--engine", &engine])?)?;
    let sleeper = first.register("none", json!({ "command": ["sleep", "3600"] }))?;
    let oldest = first.run(&sleeper, &[])?;
    let runtime = |task: &Value| text(&task["containers"][0]["runtimeId"]).to_owned();
    let container = runtime(&first.until(&oldest, "RUNNING")?);
    let mut second = Longshore::standby(&first.server, &["--engine", &engine])?;

    let refused =
        first.client().aws_error(&["--endpoint-url", &second.endpoint()?.url, "sts", "get-caller-identity"])?;
    let leads = format!("{} leads", first.server.endpoint()?.url);
    assert!(refused.contains("ServiceUnavailable") && refused.contains(&leads), "{refused}");

    let asked = Command::new(Longshore::binary()?).arg("ps").arg("--data").arg(second.data()).output()?;
    let said = String::from_utf8(asked.stderr)?;
    assert!(said.contains(&leads) && said.contains("stands by"), "{said}");

    let acknowledged = run_traffic(&mut first, &second, &sleeper)?;
    second.wait_leads(0)?;
    let client = Client::of(&second);
    let expected: BTreeSet<String> = acknowledged.iter().cloned().collect();
    assert_eq!((listed(&client)?, expected.len()), (expected, acknowledged.len()), "a token starts one task");
    let tasks = describe(&client, &acknowledged)?;
    let first_node = text(&tasks[0]["containerInstanceArn"]).to_owned();
    let of_first: Vec<String> = tasks
        .iter()
        .filter(|task| task["containerInstanceArn"] == first_node.as_str())
        .map(|task| text(&task["taskArn"]).to_owned())
        .collect();
    assert!((ACKNOWLEDGED..acknowledged.len()).contains(&of_first.len()), "{tasks:#?}");

    let image = format!("{}/web:1", second.registry()?);
    push(&client, &HostImage::busybox(&["sh", "-c", "echo from the image"])?.source(), &image, &[])?;
    let mut second = Stage { server: second, image };
    let task = second.run_to_end("bridge", json!({ "command": ["sh", "-c", "echo after"] }))?;
    assert_eq!((&task["containers"][0]["exitCode"], second.log(&task)?), (&json!(0), vec!["after".to_owned()]));

    first.server.stand_by()?;
    assert!(containers(&first.server.data())? <= 1 + of_first.len(), "a standby starts nothing");
    second.server.end(Signal::INT)?;
    first.server.wait_leads(1)?;
    for arn in &of_first {
        let task = first.until(arn, "RUNNING")?;
        assert_eq!(task["containerInstanceArn"], first_node.as_str(), "the node is the one that it was");
    }
    assert_eq!(containers(&first.server.data())?, 1 + of_first.len(), "each runs once");
    assert_eq!(runtime(&first.until(&oldest, "RUNNING")?), container, "the same container");
    first.client().aws(&["ecs", "stop-task", "--task", &oldest])?;
    first.until(&oldest, "STOPPED")?;
    Ok(())
}

#[test]
fn a_server_without_the_key_of_the_data_does_not_stand_by() -> Result<()> {
    let etcd = Etcd::start()?;
    let first = Longshore::start_with("127.0.0.1:0", &["--engine", &engine(&etcd)])?;
    let other = tempfile::tempdir()?;
    let said = || -> Result<String> {
        let mut up = Command::new(Longshore::binary()?);
        up.args(["up", "--listen", "127.0.0.1:0", "--engine", &engine(&etcd), "--data"]).arg(other.path().join("data"));
        let output = up.output()?;
        anyhow::ensure!(!output.status.success(), "it started");
        Ok(String::from_utf8(output.stderr)?)
    };
    let absent = said()?;
    assert!(absent.contains("cannot read the master key") && absent.contains("the server that leads"), "{absent}");
    std::fs::write(other.path().join("data.key"), [7; 32])?;
    let wrong = said()?;
    assert!(wrong.contains("is not the master key of this data: copy the key file"), "{wrong}");
    drop(first);
    Ok(())
}

#[test]
fn a_leader_that_was_held_up_finds_another_one_and_stands_by() -> Result<()> {
    let etcd = Etcd::start()?;
    let options = ["--engine", &engine(&etcd)];
    let mut first = Longshore::start_with("127.0.0.1:0", &options)?;
    let mut second = Longshore::standby(&first, &options)?;
    let group = |name| ["logs", "create-log-group", "--log-group-name", name];
    Client::of(&first).aws(&group("/first"))?;

    first.signal(Signal::STOP)?;
    second.wait_leads(0)?;
    Client::of(&second).aws(&group("/second"))?;
    first.signal(Signal::CONT)?;
    first.wait_stands_by(0)?;
    let refused = Client::of(&first).aws_error(&group("/late"))?;
    assert!(refused.contains(&format!("{} leads", second.endpoint()?.url)), "{refused}");

    second.end(Signal::KILL)?;
    first.wait_leads(1)?;
    let groups = Client::of(&first).aws(&["logs", "describe-log-groups"])?;
    let names: Vec<_> =
        groups["logGroups"].as_array().into_iter().flatten().map(|group| text(&group["logGroupName"])).collect();
    assert_eq!(names, ["/first", "/second"]);
    Ok(())
}
