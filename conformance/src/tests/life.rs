//! Servers and agents end in every way; tasks go on.

use super::{Stage, text};
use crate::Longshore;
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// Ticks twice a second until it is told to end.
const TICKER: &str = "trap 'echo end; exit 3' TERM; i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.5; done";

fn ticking(stage: &Stage) -> Result<String> {
    let arn = stage.run(&stage.register("bridge", json!({ "command": ["sh", "-c", TICKER] }))?, &[])?;
    stage.until(&arn, "RUNNING")?;
    Ok(arn)
}

/// Stops the task and checks that the log has every tick once, in order, and the end.
fn finish(stage: &Stage, arn: &str) -> Result<()> {
    stage.client().aws(&["ecs", "stop-task", "--task", arn])?;
    let task = stage.until(arn, "STOPPED")?;
    assert_eq!(task["containers"][0]["exitCode"], 3, "{task:#}");
    let log = stage.log(&task)?;
    let ticks = log.len() - 1;
    let expected: Vec<String> = (0..ticks).map(|i| format!("tick {i}")).chain(["end".to_owned()]).collect();
    assert_eq!(log, expected);
    Ok(())
}

fn runtime_id(stage: &Stage, arn: &str) -> Result<String> {
    Ok(text(&stage.until(arn, "RUNNING")?["containers"][0]["runtimeId"]).to_owned())
}

#[test]
fn ctrl_c_leaves_containers_and_the_next_up_adopts_them() -> Result<()> {
    let mut stage = Stage::new()?;
    let arn = ticking(&stage)?;
    let before = runtime_id(&stage, &arn)?;
    stage.server.end(Signal::INT)?;
    stage.server.up()?;
    assert_eq!(runtime_id(&stage, &arn)?, before, "the same container");
    finish(&stage, &arn)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() -> Result<()> {
    let mut stage = Stage::new()?;
    let arn = ticking(&stage)?;
    stage.client().aws(&["logs", "create-log-group", "--log-group-name", "/kept"])?;
    stage.server.end(Signal::KILL)?;
    stage.server.up()?;
    let groups = stage.client().aws(&["logs", "describe-log-groups", "--log-group-name-prefix", "/kept"])?;
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/kept");
    finish(&stage, &arn)
}

#[test]
fn a_killed_agent_is_started_again_and_takes_its_containers_over() -> Result<()> {
    let stage = Stage::new()?;
    let arn = ticking(&stage)?;
    let before = runtime_id(&stage, &arn)?;
    let agent = agent_of(stage.server.endpoint()?.pid)?;
    kill_process(agent, Signal::KILL)?;
    let cluster = ["ecs", "list-container-instances", "--status", "ACTIVE"];
    let instance = text(&stage.client().aws(&cluster)?["containerInstanceArns"][0]).to_owned();
    let describe = ["ecs", "describe-container-instances", "--container-instances", &instance];
    let new_agent = || agent_of(stage.server.endpoint()?.pid);
    while new_agent().map_or(true, |pid| pid == agent) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stage.client().aws_until(&describe, |answer| answer["containerInstances"][0]["agentConnected"] == true)?;
    assert_eq!(runtime_id(&stage, &arn)?, before, "the same container");
    finish(&stage, &arn)
}

/// The agent among the server's children.
fn agent_of(server: u32) -> Result<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
    let all = std::fs::read_dir(format!("/proc/{server}/task"))?
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let pids = all.chain([children]).collect::<Vec<_>>().join(" ");
    let agent = pids.split_whitespace().find(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"agent"))
    });
    agent.and_then(|pid| Pid::from_raw(pid.parse().ok()?)).ok_or_else(|| anyhow::anyhow!("no agent among {pids}"))
}

#[test]
fn down_stops_containers_and_the_next_up_says_so() -> Result<()> {
    let mut stage = Stage::new()?;
    let arn = ticking(&stage)?;
    let said = stage.server.down()?;
    assert!(said.contains("containers stopped: 1"), "{said}");
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    assert!(!mounts.contains(&*stage.server.data().to_string_lossy()), "{mounts}");
    stage.server.up()?;
    let task = stage.until(&arn, "STOPPED")?;
    assert_eq!(task["containers"][0]["exitCode"], 3, "{task:#}");
    assert_eq!(task["stopCode"], "TerminationNotice", "{task:#}");
    Ok(())
}

#[test]
fn down_tells_what_it_waits_for_and_goes_on_after_ctrl_c() -> Result<()> {
    let mut stage = Stage::new()?;
    let deaf = json!({ "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "stopTimeout": 3 });
    let arn = stage.run(&stage.register("bridge", deaf)?, &[])?;
    stage.until(&arn, "RUNNING")?;
    let mut down = stage.server.command("down")?.stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(down.stderr.take().expect("piped")).read_line(&mut line)?;
    assert!(line.starts_with("waiting for task ") && line.contains("killed in 3 s"), "{line}");
    kill_process(Pid::from_child(&down), Signal::INT)?;
    assert!(!down.wait()?.success());
    let said = stage.server.down()?;
    assert!(said.contains("containers stopped: 1"), "{said}");
    stage.server.up()?;
    let task = stage.until(&arn, "STOPPED")?;
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    assert_eq!(task["stopCode"], "TerminationNotice", "{task:#}");
    Ok(())
}

#[test]
fn output_that_nobody_reads_any_more_ends_a_command_quietly() -> Result<()> {
    let stage = Stage::new()?;
    let script = r#"{ "$0" demo --data "$1"; echo "code $?" >&2; } | head -1"#;
    let mut piped = Command::new("sh");
    piped.args(["-c", script]).arg(Longshore::binary()?).arg(stage.server.data());
    let output = piped.output()?;
    let (read, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(read.contains("repository") && said.trim() == "code 141", "{read}{said}");
    Ok(())
}

#[test]
fn secrets_are_files_of_their_owner_alone() -> Result<()> {
    let stage = Stage::new()?;
    let data = stage.server.data();
    let key = data.with_extension("key");
    for file in [data.join("credentials"), data.join("agent-credentials"), data.join("endpoint"), key] {
        assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    assert_eq!(std::fs::metadata(&data)?.permissions().mode() & 0o777, 0o700);
    let secret = stage.server.credentials()?.secret_access_key;
    let found = std::process::Command::new("grep").args(["-rlF", "--", &secret]).arg(&data).output()?;
    assert_eq!(
        String::from_utf8(found.stdout)?.trim(),
        data.join("credentials").to_string_lossy(),
        "the secret is nowhere else"
    );
    Ok(())
}

#[test]
fn data_stays_at_home_and_serves_one_at_a_time() -> Result<()> {
    let mut stage = Stage::new()?;
    let said = |command: &mut std::process::Command| -> Result<String> {
        let output = command.args(["--listen", "127.0.0.1:0"]).output()?;
        anyhow::ensure!(!output.status.success(), "it started");
        Ok(String::from_utf8(output.stderr)?)
    };
    let second = said(&mut stage.server.command("up")?)?;
    assert!(second.contains("another Longshore runs on"), "{second}");
    stage.server.end(Signal::INT)?;
    let elsewhere = said(stage.server.command("up")?.args(["--account", "111111111111"]))?;
    assert!(elsewhere.contains("at home in account 000000000000"), "{elsewhere}");
    stage.server.up()
}
