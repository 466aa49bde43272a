//! A task's whole story is there with its last state, and says the same whenever it is read.

use super::{Stage, text};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// `KIND container` of each event, as the first answer has them in which the task has stopped.
fn first_whole(stage: &Stage, task: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let story = read(stage, task)?;
        if story.iter().any(|event| event == "STOPPED") {
            assert_eq!(read(stage, task)?, story, "it is final");
            return Ok(story);
        }
        ensure!(begun.elapsed() < Duration::from_secs(40), "the task never stopped: {story:?}");
    }
}

fn read(stage: &Stage, task: &str) -> Result<Vec<String>> {
    let output = stage.server.command("events")?.args([task, "--output", "json"]).output()?;
    ensure!(output.status.success(), "events failed: {}", String::from_utf8_lossy(&output.stderr));
    let story: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let what = |event: &Value| format!("{} {}", text(&event["kind"]), text(&event["container"])).trim().to_owned();
    Ok(story.iter().map(what).collect())
}

/// Nothing but these, which may stand in any order, and each chain in its own.
fn check(story: &[String], whole: &[&str], chains: &[&[&str]]) {
    let (mut told, mut expect) = (story.to_vec(), whole.to_vec());
    told.sort();
    expect.sort_unstable();
    assert_eq!(told, expect, "{story:#?}");
    for chain in chains {
        let mut rest = story.iter();
        let found = chain.iter().all(|wanted| rest.any(|event| event == wanted));
        assert!(found, "{chain:?} in {story:#?}");
    }
}

#[test]
fn the_first_answer_after_the_end_has_the_whole_story_in_order() -> Result<()> {
    let stage = Stage::new()?;
    // From now on the node has the image, and pulls tell no bytes.
    stage.run_to_end("none", json!({ "command": ["true"] }))?;
    let container = |name: &str, command: &str| json!({ "name": name, "image": stage.image, "memory": 32, "stopTimeout": 2, "command": ["sh", "-c", command] });
    let mut first = container("a", "sleep 1; exit 0");
    first["dependsOn"] = json!([{ "containerName": "b", "condition": "START" }]);
    let input = json!({ "family": "two", "networkMode": "none", "containerDefinitions": [first, container("b", "while :; do sleep 1; done")] });
    stage.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
    let story = first_whole(&stage, &stage.run("two", &[])?)?;
    #[rustfmt::skip]
    let whole = [
        "CREATED_TASK", "PLACED", "ORDER_SENT", "ORDER_TAKEN", "ORDER_ACKNOWLEDGED",
        "PULL_STARTED a", "PULL_STARTED b", "PULLED a", "PULLED b", "WAITING a",
        "CREATED b", "STARTED b", "CREATED a", "STARTED a", "RUNNING",
        "EXITED a", "ENDING", "STOPPING b", "STOPPING_TASK", "ORDER_SENT", "ORDER_ACKNOWLEDGED",
        "KILLING b", "EXITED b", "STOPPED",
    ];
    let ways: [&[&str]; 4] = [
        &["CREATED_TASK", "PLACED", "ORDER_SENT", "ORDER_TAKEN", "ORDER_ACKNOWLEDGED", "ORDER_SENT"],
        &["ORDER_TAKEN", "PULL_STARTED b", "PULLED b", "CREATED b", "STARTED b", "CREATED a", "STARTED a", "RUNNING"],
        &["RUNNING", "EXITED a", "ENDING", "STOPPING_TASK", "ORDER_SENT", "ORDER_ACKNOWLEDGED", "KILLING b"],
        &["PULLED a", "CREATED a", "ENDING", "STOPPING b", "KILLING b", "EXITED b", "STOPPED"],
    ];
    check(&story, &whole, &ways);
    assert_eq!((story[0].as_str(), story.last().map(String::as_str)), ("CREATED_TASK", Some("STOPPED")));

    let missing = stage.register("none", json!({ "image": stage.image.replace(":1", ":none") }))?;
    let story = first_whole(&stage, &stage.run(&missing, &[])?)?;
    let way = ["CREATED_TASK", "PLACED", "ORDER_SENT", "ORDER_TAKEN", "PULL_STARTED app", "FAILED app", "ENDING"];
    let whole = [&way[..], &["ORDER_ACKNOWLEDGED", "STOPPING_TASK", "STOPPED"]].concat();
    check(&story, &whole, &[&[&way[..], &["STOPPING_TASK", "STOPPED"]].concat()]);
    Ok(())
}

#[test]
fn the_same_mistake_has_the_same_answer_from_every_command() -> Result<()> {
    let stage = Stage::new()?;
    let complaint = |command: &str, arguments: &[&str]| -> Result<String> {
        let output = stage.server.command(command)?.args(arguments).output()?;
        ensure!(!output.status.success(), "{command} {arguments:?} went well");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (unknown, other) =
        ("0".repeat(32), format!("arn:aws:ecs:us-east-1:000000000000:task/default/{}", "0".repeat(32)));
    for command in ["logs", "events", "stop"] {
        let said = complaint(command, &[&unknown])?;
        assert!(said.contains(&format!("task {unknown} was not found in cluster default")), "{command}: {said}");
        let said = complaint(command, &["nonsense"])?;
        assert!(said.contains("taskId length should be one of [32,36]"), "{command}: {said}");
        let said = complaint(command, &["--cluster", "zz", &other])?;
        assert!(said.contains("Identifier is for cluster default. Your cluster is zz"), "{command}: {said}");
    }
    stage.register("none", json!({ "command": ["true"], "image": stage.image }))?;
    stage.client().aws(&["ecr", "delete-repository", "--repository-name", "web", "--force"])?;
    let said = complaint("run", &["web:77"])?;
    assert!(said.contains("family web exists but has no revision 77"), "{said}");
    Ok(())
}
