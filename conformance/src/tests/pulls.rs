//! Images of other people's registries, and of a node whose disk is full.

use super::{Stage, id, text};
use crate::{Client, Door, HostImage, Longshore, Stranger};
use anyhow::Result;
use serde_json::{Value, json};

fn push_to(client: &Client, stranger: &Stranger, name: &str, creds: bool) -> Result<()> {
    let image = HostImage::busybox(&["echo", "from a stranger"])?;
    let to = format!("docker://{}/{name}", stranger.host);
    let login: &[&str] = if creds { &["--dest-creds", "user:secret"] } else { &[] };
    let answer = client.skopeo(&[&["copy", "--dest-tls-verify=false"], login, &[&image.source(), &to]].concat())?;
    anyhow::ensure!(answer.ok, "push to {name} failed: {}", answer.stderr);
    Ok(())
}

/// `config.json` lines of `/etc/ecs/ecs.config` with `user:secret` for these hosts.
fn auth(hosts: &[&str]) -> Result<tempfile::NamedTempFile> {
    let logins: serde_json::Map<String, Value> =
        hosts.iter().map(|host| ((*host).to_owned(), json!({ "username": "user", "password": "secret" }))).collect();
    let file = tempfile::NamedTempFile::new()?;
    let lines = format!("ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={}\n", Value::Object(logins));
    std::fs::write(file.path(), lines)?;
    Ok(file)
}

#[test]
fn images_come_from_any_registry() -> Result<()> {
    let (mut basic, bearer) = (Stranger::start(&Door::Basic)?, Stranger::start(&Door::Bearer)?);
    let tls = Stranger::start(&Door::Tls)?;
    let auth = auth(&[&basic.host, &bearer.host])?;
    let mirrors = [format!("docker.io=http://{}", bearer.host), format!("tls.example=https://{}", tls.host)];
    let (auth, ca) = (auth.path().to_string_lossy().into_owned(), tls.ca().to_string_lossy().into_owned());
    let options = ["--registry-auth", &auth, "--registry-ca", &ca];
    let options = [&options[..], &["--registry-mirror", &mirrors[0], "--registry-mirror", &mirrors[1]]].concat();
    let stage = Stage::of(Longshore::start_with("127.0.0.1:0", &options)?)?;
    let client = stage.client();
    push_to(&client, &basic, "team/app:1", true)?;
    push_to(&client, &bearer, "library/busybox:latest", true)?;
    push_to(&client, &bearer, "team/app:1", true)?;
    push_to(&client, &tls, "team/app:1", false)?;

    let in_private = format!("{}/team/app:1", basic.host);
    let with_token = format!("{}/team/app:1", bearer.host);
    for image in [in_private.as_str(), &with_token, "busybox", "tls.example/team/app:1"] {
        let task = stage.run_to_end("none", json!({ "image": image }))?;
        assert_eq!(task["stopCode"], "EssentialContainerExited", "{image}: {task:#}");
        assert_eq!(stage.log(&task)?, ["from a stranger"], "{image}: {task:#}");
    }
    let asked = bearer.tokens_asked();
    assert!(asked.contains(&"repository:library/busybox:pull Basic".to_owned()), "{asked:?}");

    // Without credentials for that name of it, and with a name that means nothing.
    let unknown = in_private.replace("localhost", "127.0.0.1");
    let missing = in_private.replace(":1", ":none").replace("/team", "/nowhere");
    for (image, why) in [(unknown, "pull access denied"), (missing, "not found")] {
        let task = stage.run_to_end("none", json!({ "image": image }))?;
        let reason = text(&task["stoppedReason"]);
        let start = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref ";
        assert!(reason.contains(start) && reason.contains(why), "{task:#}");
    }

    // What was pulled once serves while its registry is gone.
    basic.end()?;
    let task = stage.run_to_end("none", json!({ "image": in_private }))?;
    assert_eq!(stage.log(&task)?, ["from a stranger"], "task {}", id(text(&task["taskArn"])));
    Ok(())
}
