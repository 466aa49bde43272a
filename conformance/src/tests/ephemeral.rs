//! Servers for test suites: nothing is left of them, they go back to their first second, and take anybody's word.

use super::{Stage, push, text};
use crate::{Client, HostImage, Longshore};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Most that a reset may take by the issue, with 1,000 rows and with 20 containers; tests run beside others, on machines
/// that may be slow, and allow more.
const RESET_ROWS_MS: u64 = 100;
const RESET_CONTAINERS_MS: u64 = 2_000;
const SLACK: u64 = 5;

/// A shell that no polite signal ends; its stop timeout would keep a test waiting.
const STUBBORN: &str = "trap '' TERM; while :; do sleep 1; done";
const STUBBORN_STOP_TIMEOUT_S: u64 = 60;

fn stubborn(mode: &str, stage: &Stage) -> Result<String> {
    stage.register(
        mode,
        json!({
            "memory": 16, "command": ["sh", "-c", STUBBORN], "stopTimeout": STUBBORN_STOP_TIMEOUT_S,
        }),
    )
}

/// Status and body of curl's answer.
fn curl(server: &Longshore, path: &str, args: &[&str]) -> Result<(String, String)> {
    let url = format!("{}{path}", server.endpoint()?.url);
    let output =
        Command::new("curl").args(["-s", "-w", "\n%{http_code}", "--max-time", "60"]).args(args).arg(url).output()?;
    let said = String::from_utf8(output.stdout)?;
    let (body, status) = said.rsplit_once('\n').context("no status")?;
    Ok((status.to_owned(), body.to_owned()))
}

/// Resets and answers how many milliseconds that took.
fn reset(server: &Longshore) -> Result<u64> {
    let begun = Instant::now();
    let (status, body) = curl(server, "/_longshore/reset", &["-X", "POST"])?;
    ensure!(status == "204", "{status}: {body}");
    Ok(begun.elapsed().as_millis().try_into()?)
}

/// Processes that have `folder` among their words: servers, agents, shims.
fn processes(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.to_string_lossy();
    let entries = fs::read_dir("/proc")?.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let words = entries.map(|words| String::from_utf8_lossy(&words).replace('\0', " "));
    Ok(words.filter(|words| words.contains(&*folder)).collect())
}

/// What a node in `folder` has on the host, whose bridge, control groups and tables are called `name`.
pub(super) fn left(folder: &Path, name: &str) -> Result<Vec<String>> {
    let mut left = processes(folder)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    left.extend(mounts.lines().filter(|mount| mount.contains(&*folder.to_string_lossy())).map(str::to_owned));
    for command in
        [&["ip", "-o", "link"][..], &["nft", "list", "tables"], &["find", "/sys/fs/cgroup", "-name", "longshore*"]]
    {
        let output = Command::new(command[0]).args(&command[1..]).output()?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        left.extend(lines.lines().filter(|line| line.contains(name)).map(str::to_owned));
    }
    for path in [folder.to_owned(), folder.with_extension("key"), folder.with_extension("gone")] {
        left.extend(path.exists().then(|| path.display().to_string()));
    }
    Ok(left)
}

/// What the node of `folder` calls its bridge and its control groups: of the hash of its own folder.
pub(super) fn name_of(folder: &Path) -> Result<String> {
    let agent = fs::canonicalize(folder.join("agent"))?;
    let output = Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum"]).arg(&agent).output()?;
    Ok(format!("longshore-{}", String::from_utf8(output.stdout)?.get(..5).context("a hash")?))
}

#[test]
fn nothing_is_left_of_an_ephemeral_server() -> Result<()> {
    let mut stage = Stage::of(Longshore::start_with("127.0.0.1:0", &["--ephemeral"])?)?;
    let task = stage.run(&stubborn("bridge", &stage)?, &[])?;
    stage.until(&task, "RUNNING")?;
    let folder = stage.server.data();
    let name = name_of(&folder)?;
    let there = left(&folder, &name)?;
    ensure!(
        there.iter().any(|what| what.contains("overlay")) && there.len() > 5,
        "nothing seen of a server: {there:?}"
    );
    let begun = Instant::now();
    stage.server.end(Signal::INT)?;
    ensure!(begun.elapsed() < Duration::from_secs(STUBBORN_STOP_TIMEOUT_S / 2), "it waited for a stop timeout");
    assert_eq!(left(&folder, &name)?, Vec::<String>::new());
    // Down ends one as well, and leaves no folder of its own making.
    stage.server.up()?;
    assert!(stage.server.down()?.contains("nothing of it is left"));
    assert_eq!(left(&folder, &name)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn only_the_folder_is_left_of_an_ephemeral_server_that_is_killed() -> Result<()> {
    let mut stage = Stage::of(Longshore::start_with("127.0.0.1:0", &["--ephemeral"])?)?;
    let task = stage.run(&stubborn("none", &stage)?, &[])?;
    stage.until(&task, "RUNNING")?;
    let folder = stage.server.data();
    let name = name_of(&folder)?;
    stage.server.end(Signal::KILL)?;
    let begun = Instant::now();
    let own = vec![folder.display().to_string()];
    while left(&folder, &name)? != own {
        ensure!(begun.elapsed() < Duration::from_secs(20), "left: {:?}", left(&folder, &name)?);
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

#[test]
fn a_reset_brings_back_the_first_second() -> Result<()> {
    let stage = Stage::of(Longshore::start_with("127.0.0.1:0", &["--ephemeral"])?)?;
    let (client, server) = (stage.client(), &stage.server);
    reset(server)?;
    let state = r#"
import boto3, json
ecs, ecr, logs = boto3.client("ecs"), boto3.client("ecr"), boto3.client("logs")
nodes = ecs.list_container_instances()["containerInstanceArns"]
nodes = [ {key: value for key, value in node.items() if key not in ("version", "registeredAt")} | {"registeredAt": str(node["registeredAt"])}
    for node in ecs.describe_container_instances(containerInstances=nodes)["containerInstances"]]
print(json.dumps([ecs.list_clusters()["clusterArns"], nodes, ecs.list_task_definitions()["taskDefinitionArns"],
    ecs.list_tasks()["taskArns"], ecs.list_tasks(desiredStatus="STOPPED")["taskArns"],
    ecr.describe_repositories()["repositories"], logs.describe_log_groups()["logGroups"]], sort_keys=True))"#;
    let first = client.python(state)?;
    assert_eq!(first[5], json!([]), "the repository is gone");
    // A page cannot do it, nor a stranger's name.
    for header in ["Origin: http://localhost", "Sec-Fetch-Site: cross-site", "Host: evil.example"] {
        assert_eq!(curl(server, "/_longshore/reset", &["-X", "POST", "-H", header])?.0, "403", "{header}");
    }
    assert_eq!(curl(server, "/_longshore/reset", &[])?.0, "405");
    let rows = client.python(
        r#"
import boto3, concurrent.futures as f
ecs = boto3.client("ecs")
with f.ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda n: ecs.create_cluster(clusterName=f"c{n}"), range(1000)))
node = ecs.list_container_instances()["containerInstanceArns"][0]
ecs.update_container_instances_state(containerInstances=[node], status="DRAINING")
print(len([arn for page in ecs.get_paginator("list_clusters").paginate() for arn in page["clusterArns"]]))"#,
    )?;
    assert_eq!(rows, json!(1001));
    let took = reset(server)?;
    println!("a reset with 1,000 rows took {took} ms, of {RESET_ROWS_MS}");
    ensure!(took < RESET_ROWS_MS * SLACK, "{took} ms");
    assert_eq!(client.python(state)?, first);

    client.aws(&["ecr", "create-repository", "--repository-name", "web"])?;
    push(&client, &HostImage::busybox(&["sh", "-c", "true"])?.source(), &stage.image, &[])?;
    let definition = stubborn("none", &stage)?;
    for _ in 0..2 {
        stage.run(&definition, &["--count", "10"])?;
    }
    client.aws_until(&["ecs", "describe-clusters"], |answer| answer["clusters"][0]["runningTasksCount"] == 20)?;
    let shims =
        || Ok::<_, anyhow::Error>(processes(&server.data())?.iter().filter(|words| words.contains(" shim ")).count());
    assert_eq!(shims()?, 20);
    let took = reset(server)?;
    println!("a reset with 20 containers took {took} ms, of {RESET_CONTAINERS_MS}");
    ensure!(took < RESET_CONTAINERS_MS * SLACK, "{took} ms");
    assert_eq!(shims()?, 0);
    assert_eq!(client.python(state)?, first);
    // The next suite finds a server that works at once, from the first revision on.
    client.aws(&["ecr", "create-repository", "--repository-name", "web"])?;
    push(&client, &HostImage::busybox(&["sh", "-c", "true"])?.source(), &stage.image, &[])?;
    let stopped = stage.run_to_end("bridge", json!({ "command": ["sh", "-c", "echo again; exit 3"] }))?;
    assert_eq!(stopped["containers"][0]["exitCode"], 3);
    assert!(text(&stopped["taskDefinitionArn"]).ends_with("web:1"));
    assert_eq!(stage.log(&stopped)?, ["again"]);
    Ok(())
}

#[test]
fn a_server_that_keeps_its_state_knows_no_reset() -> Result<()> {
    let server = Longshore::start()?;
    let (status, body) = curl(&server, "/_longshore/reset", &["-X", "POST"])?;
    let (unknown_status, unknown_body) = curl(&server, "/_longshore/unknown", &["-X", "POST"])?;
    assert_eq!(status, "404");
    let start = |body: &str| body.split("<RequestId>").next().unwrap_or_default().to_owned();
    assert_eq!((status, start(&body)), (unknown_status, start(&unknown_body)));
    Ok(())
}

/// boto3 as suites for emulators configure it: made-up keys.
fn as_anybody(server: &Longshore, program: &str) -> Result<Value> {
    let made_up =
        "import boto3, json, os\nos.environ['AWS_ACCESS_KEY_ID'] = os.environ['AWS_SECRET_ACCESS_KEY'] = 'test'\n";
    Client::of(server).python(&format!("{made_up}{program}"))
}

#[test]
fn without_auth_anybody_is_root_of_the_account_but_not_of_the_host() -> Result<()> {
    let options = ["--ephemeral", "--no-auth", "--account", "123456789012"];
    let stage = Stage::of(Longshore::start_with("127.0.0.1:0", &options)?)?;
    let server = &stage.server;
    let program = r#"
ecs, sts, logs = boto3.client("ecs"), boto3.client("sts"), boto3.client("logs")
def refused(**more):
    container = dict(name="app", image=IMAGE, memory=32, command=["true"]) | more.pop("container", {})
    try: ecs.register_task_definition(family="host", containerDefinitions=[container], **more)
    except ecs.exceptions.ClientException as error: return error.response["Error"]["Message"].split(" reaches")[0]
ecs.register_task_definition(family="sdk", containerDefinitions=[dict(name="app", image=IMAGE, memory=32, command=["sh", "-c", "echo hello; exit 7"],
    logConfiguration=dict(logDriver="awslogs", options={"awslogs-group": "/sdk", "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}))])
task = ecs.run_task(taskDefinition="sdk")["tasks"][0]["taskArn"]
ecs.get_waiter("tasks_stopped").wait(tasks=[task], WaiterConfig=dict(Delay=1))
stopped = ecs.describe_tasks(tasks=[task])["tasks"][0]
said = logs.get_log_events(logGroupName="/sdk", logStreamName="p/app/" + task.split("/")[-1])["events"]
other = boto3.client("ecs", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y", aws_session_token="z")
print(json.dumps([sts.get_caller_identity()["Arn"], stopped["containers"][0]["exitCode"], [event["message"] for event in said],
    other.create_cluster(clusterName="far")["cluster"]["clusterArn"],
    refused(networkMode="host"), refused(pidMode="host"), refused(container=dict(privileged=True))]))"#;
    let answer = as_anybody(server, &program.replace("IMAGE", &format!("'{}'", stage.image)))?;
    let expect = json!([
        "arn:aws:iam::123456789012:root",
        7,
        ["hello"],
        "arn:aws:ecs:eu-west-1:123456789012:cluster/far",
        "networkMode host",
        "pidMode host",
        "privileged",
    ]);
    assert_eq!(answer, expect);
    // No signature at all, and a registry that takes any password.
    let target = [
        "-H",
        "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters",
        "-H",
        "Content-Type: application/x-amz-json-1.1",
    ];
    let (status, body) = curl(server, "/", &[&target[..], &["-d", "{}"]].concat())?;
    ensure!(status == "200" && body.contains(":123456789012:cluster/default"), "{status} {body}");
    let answer = Client::of(server).skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--creds",
        "any:body",
        &format!("docker://{}", stage.image),
    ])?;
    ensure!(answer.ok, "{}", answer.stderr);
    // A page is refused as ever.
    assert_eq!(curl(server, "/", &[&target[..], &["-d", "{}", "-H", "Origin: http://localhost"]].concat())?.0, "403");
    Ok(())
}

#[test]
fn without_auth_is_for_ephemeral_servers_on_loopback() -> Result<()> {
    let refused = |options: &[&str]| -> Result<String> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(Longshore::binary()?);
        let output = command.arg("up").arg("--data").arg(dir.path().join("data")).args(options).output()?;
        ensure!(!output.status.success(), "{options:?} started");
        ensure!(!dir.path().join("data").exists(), "{options:?} left a folder");
        Ok(String::from_utf8(output.stderr)?)
    };
    assert!(refused(&["--no-auth"])?.contains("--ephemeral"));
    assert!(refused(&["--ephemeral", "--no-auth-allow-host"])?.contains("--no-auth"));
    assert!(refused(&["--ephemeral", "--engine", "fjall"])?.contains("--engine"));
    let public = ["--listen", "0.0.0.0:0", "--tls-cert", "/x", "--tls-key", "/x", "--ephemeral", "--no-auth"];
    assert!(refused(&public)?.contains("listen on a loopback address"));
    let kept = tempfile::tempdir()?;
    fs::write(kept.path().join("mine"), "")?;
    let mut command = Command::new(Longshore::binary()?);
    let output = command.args(["up", "--ephemeral", "--data"]).arg(kept.path()).output()?;
    assert!(String::from_utf8(output.stderr)?.contains("is not empty"));
    assert!(kept.path().join("mine").exists());
    Ok(())
}

#[test]
fn the_host_is_in_reach_where_that_is_allowed() -> Result<()> {
    let options = ["--ephemeral", "--no-auth", "--no-auth-allow-host"];
    let stage = Stage::of(Longshore::start_with("127.0.0.1:0", &options)?)?;
    let stopped = stage.run_to_end("host", json!({ "command": ["true"] }))?;
    assert_eq!(stopped["containers"][0]["exitCode"], 0);
    Ok(())
}
