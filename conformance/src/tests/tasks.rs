//! Tasks with real containers, by the AWS CLI.

use super::{Stage, id, text};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

fn shell(script: &str) -> Value {
    json!({ "command": ["sh", "-c", script] })
}

#[test]
fn a_task_runs_ends_with_its_code_and_leaves_its_log() -> Result<()> {
    let stage = Stage::new()?;
    let task = stage.run_to_end("bridge", shell("echo one; echo two >&2; exit 7"))?;
    assert_eq!(task["containers"][0]["exitCode"], 7);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    for time in [
        "createdAt",
        "connectivityAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    ] {
        assert!(!task[time].is_null(), "{time} is missing in {task:#}");
    }
    let mut log = stage.log(&task)?;
    log.sort();
    assert_eq!(log, ["one", "two"]);
    Ok(())
}

#[test]
fn a_running_task_has_every_field_and_stops_when_asked() -> Result<()> {
    let stage = Stage::new()?;
    let client = stage.client();
    let arn = stage.run(
        &stage.register("bridge", shell("trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done"))?,
        &["--started-by", "me"],
    )?;
    client.aws(&["ecs", "wait", "tasks-running", "--tasks", &arn])?;
    let described = client.aws(&["ecs", "describe-tasks", "--tasks", &arn])?;
    let task = &described["tasks"][0];
    let container = &task["containers"][0];
    assert_eq!(task["launchType"], "EC2");
    assert_eq!(task["group"], "family:web");
    assert_eq!(task["startedBy"], "me");
    assert_eq!(task["connectivity"], "CONNECTED");
    assert_eq!(task["desiredStatus"], "RUNNING");
    assert_eq!(task["overrides"]["containerOverrides"][0]["name"], "app");
    assert!(text(&container["containerArn"]).contains(":container/default/"), "{container}");
    assert!(text(&container["imageDigest"]).starts_with("sha256:"), "{container}");
    assert_eq!(text(&container["runtimeId"]).len(), 64, "{container}");
    assert_eq!(container["memory"], "64");
    assert_eq!(client.aws(&["ecs", "list-tasks", "--started-by", "me"])?["taskArns"], json!([arn]));

    client.aws(&["ecs", "stop-task", "--task", &arn, "--reason", "enough"])?;
    client.aws(&["ecs", "wait", "tasks-stopped", "--tasks", &arn])?;
    let stopped = stage.until(&arn, "STOPPED")?;
    assert_eq!((&stopped["stopCode"], &stopped["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    assert_eq!(stopped["containers"][0]["exitCode"], 0);
    assert_eq!(stage.log(&stopped)?, ["bye"]);
    Ok(())
}

#[test]
fn a_container_that_does_not_listen_is_killed_after_its_stop_timeout() -> Result<()> {
    let stage = Stage::new()?;
    let arn = stage.run(
        &stage.register(
            "none",
            json!({ "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "stopTimeout": 2 }),
        )?,
        &[],
    )?;
    stage.until(&arn, "RUNNING")?;
    stage.client().aws(&["ecs", "stop-task", "--task", &arn])?;
    assert_eq!(stage.until(&arn, "STOPPED")?["containers"][0]["exitCode"], 137);
    Ok(())
}

#[test]
fn image_definition_and_overrides_make_the_process() -> Result<()> {
    let stage = Stage::new()?;
    let from_image = stage.run_to_end("none", json!({}))?;
    assert_eq!(stage.log(&from_image)?, ["from the image"]);

    let container = json!({
        "entryPoint": ["sh", "-c"],
        "command": ["id -u; pwd; echo $FROM_IMAGE $A $B"],
        "environment": [{ "name": "A", "value": "definition" }, { "name": "B", "value": "definition" }],
        "user": "app",
        "workingDirectory": "/tmp",
    });
    let overrides =
        json!({ "containerOverrides": [{ "name": "app", "environment": [{ "name": "B", "value": "run" }] }] });
    let arn = stage.run(&stage.register("none", container)?, &["--overrides", &overrides.to_string()])?;
    let task = stage.until(&arn, "STOPPED")?;
    assert_eq!(stage.log(&task)?, ["1000", "/tmp", "yes definition run"]);
    Ok(())
}

#[test]
fn limits_hold_and_an_oom_kill_is_shown_as_such() -> Result<()> {
    let stage = Stage::new()?;
    let eater =
        json!({ "memory": 16, "command": ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=2; tail /dev/zero"] });
    let task = stage.run_to_end("none", eater)?;
    let container = &task["containers"][0];
    assert!(text(&container["reason"]).starts_with("OutOfMemoryError: "), "{container}");
    assert_eq!(container["exitCode"], 137);

    let confined = shell("id -u; ls /sys/firmware; dd if=/dev/mem of=/dev/null count=1 2>/dev/null || echo no mem");
    let log = stage.log(&stage.run_to_end("none", confined)?)?;
    assert_eq!(log, ["0", "no mem"]);
    Ok(())
}

fn fetch(port: u64) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port)?))?;
    stream.write_all(b"\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}

const SERVER: &str = "while :; do echo hello | nc -l -p 8080; done";

#[test]
fn bridge_ports_are_reached_on_loopback_static_and_dynamic() -> Result<()> {
    let stage = Stage::new()?;
    for (mapping, fixed) in
        [(json!({ "containerPort": 8080, "hostPort": 28080 }), Some(28080)), (json!({ "containerPort": 8080 }), None)]
    {
        let container = json!({ "command": ["sh", "-c", SERVER], "portMappings": [mapping] });
        let arn = stage.run(&stage.register("bridge", container)?, &[])?;
        let task = stage.client().aws_until(&["ecs", "describe-tasks", "--tasks", &arn], |answer| {
            !answer["tasks"][0]["containers"][0]["networkBindings"][0].is_null()
        })?;
        let binding = &task["tasks"][0]["containers"][0]["networkBindings"][0];
        assert_eq!(binding["containerPort"], 8080);
        let port = binding["hostPort"].as_u64().expect("a port");
        assert!(fixed.is_none_or(|fixed| fixed == port), "{binding}");
        stage.until(&arn, "RUNNING")?;
        let answered = (0..100).find_map(|_| {
            fetch(port).ok().filter(|text| !text.is_empty()).or_else(|| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                None
            })
        });
        assert_eq!(answered.as_deref(), Some("hello"));
        stage.client().aws(&["ecs", "stop-task", "--task", &arn])?;
        stage.until(&arn, "STOPPED")?;
    }
    Ok(())
}

#[test]
fn network_modes_give_what_they_say() -> Result<()> {
    let stage = Stage::new()?;
    let interfaces = |mode: &str| -> Result<Vec<String>> {
        let task = stage.run_to_end(mode, shell("ls /sys/class/net"))?;
        Ok(stage.log(&task)?.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect())
    };
    assert_eq!(interfaces("none")?, ["lo"]);
    assert_eq!(interfaces("bridge")?, ["eth0", "lo"]);
    let host: Vec<String> =
        std::fs::read_dir("/sys/class/net")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let seen = interfaces("host")?;
    assert!(
        seen.contains(&"lo".to_owned()) && seen.iter().filter(|name| host.contains(name)).count() >= 1,
        "{seen:?} of {host:?}"
    );
    Ok(())
}

#[test]
fn what_does_not_fit_is_a_failure_with_the_reason() -> Result<()> {
    let stage = Stage::new()?;
    let client = stage.client();
    let huge = stage.register("bridge", json!({ "memory": 30_000_000 }))?;
    let answer = client.aws(&["ecs", "run-task", "--task-definition", &huge])?;
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:MEMORY", "{answer}");
    let fixed = stage.register(
        "bridge",
        json!({ "command": ["sleep", "60"], "portMappings": [{ "containerPort": 80, "hostPort": 28081 }] }),
    )?;
    let first = stage.run(&fixed, &[])?;
    let answer = client.aws(&["ecs", "run-task", "--task-definition", &fixed])?;
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:PORTS", "{answer}");
    stage.until(&first, "RUNNING")?;
    Ok(())
}

#[test]
fn an_image_that_is_not_there_is_said_in_the_reason() -> Result<()> {
    let stage = Stage::new()?;
    let missing = format!("{}/web:none", stage.server.registry()?);
    let task = stage.run_to_end("none", json!({ "image": missing }))?;
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    assert!(text(&task["stoppedReason"]).contains("CannotPullContainerError"), "{task:#}");
    Ok(())
}

#[test]
fn the_ecr_name_of_this_installation_is_this_registry() -> Result<()> {
    let stage = Stage::new()?;
    let account = stage.server.endpoint()?.account;
    let image = format!("{account}.dkr.ecr.us-east-1.amazonaws.com/web:1");
    let task = stage.run_to_end("none", json!({ "image": image }))?;
    assert_eq!(stage.log(&task)?, ["from the image"], "task {}", id(text(&task["taskArn"])));
    Ok(())
}

#[test]
fn a_task_runs_on_without_a_container_that_is_not_essential() -> Result<()> {
    let stage = Stage::new()?;
    let main = json!({ "name": "main", "image": stage.image, "memory": 32, "command": ["sleep", "60"] });
    let missing = format!("{}/web:none", stage.server.registry()?);
    let side = json!({ "name": "side", "image": missing, "memory": 32, "essential": false });
    let input = json!({ "family": "two", "networkMode": "none", "containerDefinitions": [main, side] });
    stage.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
    let task = stage.until(&stage.run("two", &[])?, "RUNNING")?;
    let side = task["containers"].as_array().into_iter().flatten().find(|container| container["name"] == "side");
    let side = side.expect("the other container");
    assert_eq!(side["lastStatus"], "STOPPED", "{task:#}");
    assert!(text(&side["reason"]).contains("CannotPullContainerError"), "{task:#}");
    Ok(())
}
