//! Several containers of one task: the order of start and stop, health, restarts, failures, and the story of it all.

use super::{Stage, text};
use anyhow::Result;
use serde_json::{Value, json};

impl Stage {
    /// Registers and runs a task of these containers, laid over the usual defaults; answers its ARN.
    fn run_all(&self, containers: Vec<Value>) -> Result<String> {
        let defaults = json!({ "image": self.image, "memory": 32, "stopTimeout": 5, "logConfiguration": super::log_configuration() });
        let filled = containers.into_iter().map(|mut container| {
            for (name, value) in defaults.as_object().into_iter().flatten() {
                if container[name].is_null() {
                    container[name] = value.clone();
                }
            }
            container
        });
        let input =
            json!({ "family": "many", "networkMode": "none", "containerDefinitions": filled.collect::<Vec<_>>() });
        self.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
        self.run("many", &[])
    }

    /// `KIND container` of each event, once one of them is `last`.
    pub(super) fn story(&self, task: &str, last: &str) -> Result<Vec<Value>> {
        let begun = std::time::Instant::now();
        loop {
            let output = self.server.command("events")?.args([task, "--output", "json"]).output()?;
            anyhow::ensure!(output.status.success(), "events failed: {}", String::from_utf8_lossy(&output.stderr));
            let story: Vec<Value> = serde_json::from_slice(&output.stdout)?;
            if story.iter().any(|event| what(event) == last) {
                return Ok(story);
            }
            anyhow::ensure!(begun.elapsed().as_secs() < 30, "{last} never came: {story:#?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn what(event: &Value) -> String {
    format!("{} {}", text(&event["kind"]), text(&event["container"])).trim().to_owned()
}

fn container<'a>(task: &'a Value, name: &str) -> &'a Value {
    let containers = task["containers"].as_array().into_iter().flatten();
    containers.into_iter().find(|container| container["name"] == name).unwrap_or(&Value::Null)
}

/// Where each of these stands in the story, in that order.
fn in_order(story: &[Value], events: &[&str]) {
    let at = |event: &&str| story.iter().position(|it| what(it) == **event);
    let places: Vec<_> = events.iter().map(at).collect();
    let told: Vec<_> = story.iter().map(what).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{events:?} are at {places:?} of {told:?}");
}

const WAIT: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

#[test]
fn containers_start_by_dependency_and_stop_the_other_way_round() -> Result<()> {
    let stage = Stage::new()?;
    let check = json!({ "command": ["CMD-SHELL", "cat /tmp/ready"], "interval": 5, "timeout": 2, "retries": 1, "startPeriod": 10 });
    let arn = stage.run_all(vec![
        json!({ "name": "web", "command": ["sh", "-c", WAIT], "dependsOn": [
            { "containerName": "migrate", "condition": "SUCCESS" }, { "containerName": "db", "condition": "HEALTHY" },
        ] }),
        json!({ "name": "migrate", "essential": false, "command": ["true"], "dependsOn": [{ "containerName": "db", "condition": "START" }] }),
        json!({ "name": "db", "command": ["sh", "-c", format!("echo yes > /tmp/ready; {WAIT}")], "healthCheck": check }),
    ])?;
    stage.until(&arn, "RUNNING")?;
    let described = stage.client().aws_until(&["ecs", "describe-tasks", "--tasks", &arn], |answer| {
        answer["tasks"][0]["healthStatus"] == "HEALTHY"
    })?;
    assert_eq!(container(&described["tasks"][0], "web")["healthStatus"], "UNKNOWN");
    assert_eq!(container(&described["tasks"][0], "db")["healthStatus"], "HEALTHY");

    stage.client().aws(&["ecs", "stop-task", "--task", &arn, "--reason", "enough"])?;
    let stopped = stage.until(&arn, "STOPPED")?;
    assert_eq!(container(&stopped, "db")["exitCode"], 0, "{stopped:#}");
    let story = stage.story(&arn, "EXITED db")?;
    in_order(&story, &["PLACED", "ORDER_SENT", "STARTED db", "STARTED migrate", "EXITED migrate"]);
    in_order(&story, &["STARTED db", "HEALTH db", "STARTED web", "STOPPING_TASK"]);
    in_order(&story, &["STOPPING_TASK", "STOPPING web", "EXITED web", "STOPPING db", "EXITED db", "STOPPED"]);
    let told = |kind: &str| story.iter().find(|event| event["kind"] == kind).map(|event| text(&event["text"]));
    assert!(told("PLACED").is_some_and(|text| text.contains("it alone has room, of 1 active")), "{:?}", told("PLACED"));
    let stopping = told("STOPPING_TASK").unwrap_or_default();
    assert!(stopping.starts_with("UserInitiated: enough, by arn:aws:iam::"), "{stopping}");
    Ok(())
}

#[test]
fn what_cannot_start_says_why_and_what_is_ill_is_seen() -> Result<()> {
    let stage = Stage::new()?;
    let failing = stage.run_all(vec![
        json!({ "name": "web", "dependsOn": [{ "containerName": "job", "condition": "SUCCESS" }] }),
        json!({ "name": "job", "essential": false, "command": ["sh", "-c", "exit 3"] }),
    ])?;
    let check = json!({ "command": ["CMD", "/bin/cat", "/no/such/file"], "interval": 5, "timeout": 2, "retries": 1 });
    let ill = stage.run_all(vec![json!({ "name": "web", "command": ["sh", "-c", WAIT], "healthCheck": check })])?;
    let missing = stage.run_all(vec![json!({ "name": "web", "command": ["/no/such/program"] })])?;

    let task = stage.until(&failing, "STOPPED")?;
    let reason = "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [job] for target [web] as dependency did not exit successfully.";
    assert_eq!((&task["stopCode"], &container(&task, "web")["reason"]), (&json!("TaskFailedToStart"), &json!(reason)));
    assert_eq!(container(&task, "job")["exitCode"], 3, "{task:#}");
    let task = stage.until(&missing, "STOPPED")?;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    assert!(text(&container(&task, "web")["reason"]).starts_with("CannotStartContainerError: "), "{task:#}");
    stage.story(&missing, "FAILED web")?;

    let answer = stage.client().aws_until(&["ecs", "describe-tasks", "--tasks", &ill], |answer| {
        answer["tasks"][0]["healthStatus"] == "UNHEALTHY"
    })?;
    assert_eq!(answer["tasks"][0]["lastStatus"], "RUNNING", "a task of no service runs on");
    let story = stage.story(&ill, "HEALTH web")?;
    let health = story.iter().find(|event| event["kind"] == "HEALTH").expect("health");
    assert_eq!(health["health"], "UNHEALTHY");
    assert!(text(&health["text"]).contains("No such file"), "{health}");
    Ok(())
}

/// The least period that ECS takes is a minute, so this test lasts as long.
#[test]
fn a_container_is_started_again_by_its_policy() -> Result<()> {
    let stage = Stage::new()?;
    let policy = json!({ "enabled": true, "restartAttemptPeriod": 60 });
    let script = "echo run; [ -e /tmp/again ] && exit 0; : > /tmp/again; sleep 61; exit 5";
    let arn =
        stage.run_all(vec![json!({ "name": "app", "command": ["sh", "-c", script], "restartPolicy": policy })])?;
    let before = stage.until(&arn, "RUNNING")?;
    std::thread::sleep(std::time::Duration::from_secs(30));
    let task = stage.until(&arn, "STOPPED")?;
    assert_eq!(
        (&task["stopCode"], &task["containers"][0]["exitCode"]),
        (&json!("EssentialContainerExited"), &json!(0))
    );
    assert_eq!(before["containers"][0]["runtimeId"], task["containers"][0]["runtimeId"], "in place");
    assert_eq!(stage.log(&task)?, ["run", "run"], "one stream");
    in_order(&stage.story(&arn, "EXITED app")?, &["RESTARTING app", "RESTARTED app", "EXITED app"]);
    Ok(())
}
