//! Our own commands, for who has no other client.

use crate::{Client, HostImage, Longshore};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Output;

/// Output and exit code; what went wrong is in the test's own output.
fn call(server: &Longshore, name: &str, arguments: &[&str]) -> Result<Output> {
    // The data folder's option goes first: what follows a command of a container is the container's.
    let output = server.command(name)?.args(arguments).output()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn done(server: &Longshore, name: &str, arguments: &[&str]) -> Result<String> {
    let output = call(server, name, arguments)?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(text(&output))
}

#[test]
fn an_image_is_pushed_run_listed_and_stopped_without_any_other_client() -> Result<()> {
    let server = Longshore::start()?;
    let image = HostImage::busybox(&["sh", "-c", "echo from the image; exit 4"])?;
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    let archive = archive.to_str().context("a path")?;
    let saved = Client::of(&server).skopeo(&["copy", &image.source(), &format!("docker-archive:{archive}:tools:1")])?;
    ensure!(saved.ok, "skopeo: {}", saved.stderr);
    let pushed = done(&server, "push", &[archive, "tools:1"])?;
    assert!(pushed.contains("/tools:1\nsha256:"), "{pushed}");
    let images: Value = serde_json::from_str(&done(&server, "images", &["--output", "json"])?)?;
    assert_eq!((&images[0]["repositoryName"], &images[0]["imageTags"][0]), (&"tools".into(), &"1".into()));

    let ran = call(&server, "run", &["tools:1"])?;
    assert_eq!((text(&ran).as_str(), ran.status.code()), ("from the image", Some(4)));
    for _ in 0..2 {
        let ran = call(&server, "run", &["--publish", "80", "--env", "A=b", "tools:1", "sh", "-c", "echo $A"])?;
        assert_eq!((text(&ran).as_str(), ran.status.code()), ("b", Some(0)));
    }

    let task = done(
        &server,
        "run",
        &["--detach", "tools:1", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"],
    )?;
    while !done(&server, "logs", &[&task])?.contains("up") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(done(&server, "ps", &[])?.lines().any(|line| line.starts_with(&task) && line.contains("RUNNING")));
    done(&server, "stop", &["--reason", "enough", &task])?;
    let stopped =
        || -> Result<Value> { Ok(serde_json::from_str(&done(&server, "ps", &["--all", "--output", "json"])?)?) };
    let found = |tasks: &Value| {
        tasks.as_array()?.iter().find(|it| it["taskArn"].as_str().is_some_and(|arn| arn.ends_with(&task))).cloned()
    };
    while found(&stopped()?).context("the task is listed")?["lastStatus"] != "STOPPED" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ended = found(&stopped()?).context("the task is listed")?;
    assert_eq!(ended["stoppedReason"], "enough");
    // What was run twice alike is one revision.
    assert!(ended["taskDefinitionArn"].as_str().is_some_and(|arn| arn.ends_with("/tools:3")), "{ended:#}");
    Ok(())
}
