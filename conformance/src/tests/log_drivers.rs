//! Log drivers with real containers: what is one event, what stays on the node, what happens to output that has
//! nowhere to go.

use super::{Stage, id, text};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of an event: 262,144 with its overhead of 26.
const EVENT_BYTES_MAX: usize = 262_118;
/// Lines that the container without a place for its output writes: some 700 kB, four times what its buffer holds.
const MANY: usize = 8_000;

fn awslogs(more: Value) -> Value {
    let mut configuration = super::log_configuration();
    for (name, value) in more.as_object().into_iter().flatten() {
        configuration["options"][name] = value.clone();
    }
    configuration
}

fn file(options: Value) -> Value {
    json!({ "logDriver": "json-file", "options": options })
}

impl Stage {
    fn register_all(&self, family: &str, containers: &Value) -> Result<()> {
        let input = json!({ "family": family, "networkMode": "none", "containerDefinitions": containers });
        self.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
        Ok(())
    }

    fn messages(&self, stream: &str) -> Result<Vec<String>> {
        let (group, stream) = ("--log-group-name=/test", format!("--log-stream-name={stream}"));
        let page = self.client().aws(&["logs", "get-log-events", group, &stream, "--start-from-head"])?;
        Ok(page["events"].as_array().into_iter().flatten().map(|event| text(&event["message"]).to_owned()).collect())
    }
}

/// The files of a container that ended: name and texts of each, by name.
fn files(data: &Path, container: &Value) -> Result<Vec<(String, Vec<String>)>> {
    let runtime_id = text(&container["runtimeId"]);
    let places = ["containers", "stopped"].map(|place| data.join("agent").join(place).join(runtime_id));
    let dir: PathBuf = places.into_iter().find(|dir| dir.exists()).context("nothing is left of the container")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((_, number)) = name.split_once("-json.log") {
            let lines = fs::read_to_string(&path)?;
            let entries: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            files.push((number.to_owned(), entries.iter().map(|entry| text(&entry["log"]).to_owned()).collect()));
        }
    }
    files.sort();
    Ok(files)
}

#[test]
fn drivers_write_what_dockers_write() -> Result<()> {
    let stage = Stage::new()?;
    let container = |name: &str, script: &str, logs: Value| {
        let command = ["sh", "-c", script];
        json!({ "name": name, "image": stage.image, "memory": 32, "command": command, "logConfiguration": logs })
    };
    let trace = "echo '2026-09-01 12:00:00 first'; echo ' at one' >&2; sleep 0.1; echo ' at two'; sleep 0.1; \
                 echo '2026-09-01 12:00:01 second'";
    let many = "i=0; while test $i -lt 100; do echo line $i; i=$((i+1)); done; printf rest";
    let mut containers = json!([
        container("app", trace, awslogs(json!({ "awslogs-datetime-format": "%Y-%m-%d %H:%M:%S" }))),
        container("long", "head -c 300000 /dev/zero | tr '\\0' x; echo", awslogs(json!({ "mode": "blocking" }))),
        container("file", many, file(json!({ "max-size": "2k", "max-file": "3" }))),
        container("quiet", "echo said", json!({ "logDriver": "none" })),
        container("plain", "echo said", Value::Null),
    ]);
    let all = ["long", "file", "quiet", "plain"];
    containers[0]["dependsOn"] =
        all.iter().map(|name| json!({ "containerName": name, "condition": "COMPLETE" })).collect();
    for container in containers.as_array_mut().into_iter().flatten().skip(1) {
        container["essential"] = json!(false);
        container.as_object_mut().into_iter().for_each(|members| members.retain(|_, value| !value.is_null()));
    }
    stage.register_all("drivers", &containers)?;
    let task = stage.until(&stage.run("drivers", &[])?, "STOPPED")?;

    let stream = |name: &str| format!("test/{name}/{}", id(text(&task["taskArn"])));
    let events = stage.messages(&stream("app"))?;
    assert_eq!(events, ["2026-09-01 12:00:00 first\n at one\n at two\n", "2026-09-01 12:00:01 second\n"]);
    let lengths: Vec<usize> = stage.messages(&stream("long"))?.iter().map(String::len).collect();
    assert_eq!(lengths, [EVENT_BYTES_MAX, 300_000 - EVENT_BYTES_MAX]);

    let named = |name: &str| {
        let found = task["containers"].as_array().into_iter().flatten().find(|container| container["name"] == name);
        files(&stage.server.data(), found.unwrap_or(&Value::Null))
    };
    let rotated = named("file")?;
    let names: Vec<&str> = rotated.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["", ".1", ".2"]);
    let kept: String = rotated.iter().rev().flat_map(|(_, lines)| lines.iter().map(String::as_str)).collect();
    let first = 100 - kept.lines().count() + 1;
    let expect: String = (first..100).map(|number| format!("line {number}\n")).collect();
    assert!(first > 0 && kept == format!("{expect}rest"), "{kept}");
    assert_eq!(named("quiet")?, []);
    assert_eq!(named("plain")?, [(String::new(), vec!["said\n".to_owned()])]);
    Ok(())
}

#[test]
fn output_without_a_place_waits_is_dropped_and_counted_or_fails_its_container() -> Result<()> {
    let stage = Stage::new()?;
    let logs = |mode: Value| {
        let mut logs = awslogs(json!({ "awslogs-create-group": "false" }));
        for (name, value) in mode.as_object().into_iter().flatten() {
            logs["options"][name] = value.clone();
        }
        logs
    };
    let flood = format!(
        "x=0123456789012345678901234567890123456789; i=0; \
         while test $i -lt {MANY}; do echo $i $x$x; i=$((i+1)); done; \
         trap 'exit 0' TERM; while :; do sleep 0.1; done"
    );
    let command = json!(["sh", "-c", flood]);
    let flooding = json!({ "command": command, "logConfiguration": logs(json!({ "max-buffer-size": "1k" })) });
    let task = stage.run(&stage.register("none", flooding)?, &[])?;
    stage.until(&task, "RUNNING")?;
    stage.story(&task, "OUTPUT_WAITS app")?;
    let client = stage.client();
    client.aws(&["logs", "create-log-group", "--log-group-name", "/test"])?;
    client.aws(&["ecs", "stop-task", "--task", &task])?;
    stage.until(&task, "STOPPED")?;
    let story = stage.story(&task, "OUTPUT_DROPPED app")?;
    let dropped = story.iter().rev().find(|event| event["kind"] == "OUTPUT_DROPPED").context("counted")?;
    let count: usize = text(&dropped["text"]).split(' ').next().unwrap_or_default().parse()?;
    let arrived = stage.messages(&format!("test/app/{}", id(&task)))?.len();
    assert!(count > 0 && arrived > 0 && arrived + count == MANY, "{arrived} and {count}: {dropped}");

    client.aws(&["ecs", "put-account-setting-default", "--name", "defaultLogDriverMode", "--value", "blocking"])?;
    let failed = stage.run_to_end(
        "none",
        json!({ "command": ["true"], "logConfiguration": logs(json!({ "awslogs-group": "/none" })) }),
    )?;
    let reason = text(&failed["containers"][0]["reason"]);
    let expect =
        "CannotStartContainerError: failed to initialize logging driver: failed to create Cloudwatch log stream";
    assert!(reason.starts_with(expect), "{reason}");

    let splunk = json!({ "logDriver": "splunk", "options": { "splunk-url": "http://s", "splunk-token": "t" } });
    let definition = stage.register("none", json!({ "logConfiguration": splunk }))?;
    let refused = client.aws(&["ecs", "run-task", "--task-definition", &definition])?;
    let failure = &refused["failures"][0];
    assert_eq!(failure["reason"], "ATTRIBUTE");
    assert!(text(&failure["detail"]).contains("logging-driver.splunk"), "{failure}");
    Ok(())
}
