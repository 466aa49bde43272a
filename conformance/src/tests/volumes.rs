//! What containers keep files in, and who else sees them.

use super::given::{expect, run_together, said};
use super::{Stage, id, push, text};
use crate::LayeredImage;
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// An image with a VOLUME, and files in it of a user's own.
fn image_with_volume(stage: &Stage) -> Result<String> {
    let mut image = LayeredImage::new()?;
    image.pack(&["bin", "var"], |root| {
        fs::create_dir_all(root.join("bin"))?;
        fs::create_dir_all(root.join("var/lib/app"))?;
        fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is missing")?;
        for applet in ["sh", "cat", "stat", "touch"] {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        fs::write(root.join("var/lib/app/seed"), "from the image")?;
        chown(root.join("var/lib/app/seed"), Some(1000), Some(1000))?;
        Ok(chown(root.join("var/lib/app"), Some(1000), Some(1000))?)
    })?;
    let config = json!({ "Env": ["PATH=/bin"], "Cmd": ["sh"], "Volumes": { "/var/lib/app": {} } });
    let source = image.finish(&config)?;
    stage.client().aws(&["ecr", "create-repository", "--repository-name", "keeper"])?;
    let name = format!("{}/keeper:1", stage.server.registry()?);
    push(&stage.client(), &source, &name, &[])?;
    Ok(name)
}

fn wait_gone(path: &Path) -> Result<()> {
    let begun = Instant::now();
    while path.exists() {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{} stays", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

const LOOK: &str = r#"
echo "image=$(cat /var/lib/app/seed) of $(stat -c %u /var/lib/app/seed) in $(stat -c %u:%a /var/lib/app)"
echo "added=$(cat /var/lib/app/added)"
echo "scratch=$(cat /mine/note) $(cat /scratch/note)"
echo "theirs=$( (echo x >/scratch/x) 2>/dev/null && echo writable || echo read-only)"
echo "host=$(cat /host/note) $( (echo x >/host/note) 2>/dev/null && echo writable || echo read-only)"
echo "memory=$(busybox grep ' /memory tmpfs ' /proc/mounts | busybox grep -o size=1024k)"
echo "before=$(cat /kept/count 2>/dev/null || echo none)"
echo one >/kept/count
"#;

#[test]
fn volumes_are_shared_filled_kept_and_cleared_away() -> Result<()> {
    let mut stage = Stage::new()?;
    let keeper_image = image_with_volume(&stage)?;
    let host = tempfile::tempdir()?;
    fs::write(host.path().join("note"), "of the host")?;
    let made = host.path().join("made/for/it");
    let mount = |volume: &str, path: &str| json!({ "sourceVolume": volume, "containerPath": path });
    let shared = json!({ "name": "kept", "dockerVolumeConfiguration": { "scope": "shared", "autoprovision": true, "driver": "local" } });
    let memory = json!({ "type": "tmpfs", "device": "tmpfs", "o": "size=1m" });
    let task = json!({ "networkMode": "none", "volumes": [
        { "name": "scratch" },
        { "name": "host", "host": { "sourcePath": host.path() } },
        { "name": "made", "host": { "sourcePath": made } },
        { "name": "memory", "dockerVolumeConfiguration": { "scope": "task", "driverOpts": memory } },
        shared,
    ] });
    // It has ended, and is gone, before the other begins.
    let keeper = json!({
        "name": "keeper", "image": keeper_image,
        "command": ["sh", "-c", "echo shared >/scratch/note; echo later >/var/lib/app/added"],
        "mountPoints": [mount("scratch", "/scratch")],
    });
    let read_only = json!({ "sourceVolume": "host", "containerPath": "/host", "readOnly": true });
    let app = json!({
        "name": "app", "essential": true,
        "command": ["sh", "-c", LOOK.replace("stat ", "busybox stat ")],
        "dependsOn": [{ "containerName": "keeper", "condition": "SUCCESS" }],
        "volumesFrom": [{ "sourceContainer": "keeper", "readOnly": true }],
        "mountPoints": [
            mount("scratch", "/mine"), mount("made", "/made"), mount("memory", "/memory"), mount("kept", "/kept"), read_only,
        ],
    });
    let ended = run_together(&stage, task, &[app, keeper])?;
    expect(
        &said(&stage, &ended)?,
        &[
            ("image", "from the image of 1000 in 1000:755"),
            ("added", "later"),
            ("scratch", "shared shared"),
            ("theirs", "read-only"),
            ("host", "of the host read-only"),
            ("memory", "size=1024k"),
            ("before", "none"),
        ],
    );
    assert!(made.is_dir());
    let volumes = stage.server.data().join("agent/volumes");
    wait_gone(&volumes.join("tasks").join(id(text(&ended["taskArn"]))))?;

    stage.server.end(Signal::KILL)?;
    stage.server.up()?;
    let reader = json!({
        "name": "app", "essential": true, "command": ["sh", "-c", "echo kept=$(cat /again/count)"],
        "mountPoints": [mount("kept", "/again")],
    });
    let known = json!({ "name": "kept", "dockerVolumeConfiguration": { "scope": "shared" } });
    let ended =
        run_together(&stage, json!({ "networkMode": "none", "volumes": [known] }), std::slice::from_ref(&reader))?;
    expect(&said(&stage, &ended)?, &[("kept", "one")]);

    let mut unknown = reader;
    unknown["mountPoints"][0]["sourceVolume"] = json!("never-made");
    let nobodys = json!({ "name": "never-made", "dockerVolumeConfiguration": { "scope": "shared" } });
    let ended = run_together(&stage, json!({ "networkMode": "none", "volumes": [nobodys] }), &[unknown])?;
    let reason = text(&ended["containers"][0]["reason"]);
    let expect =
        "ResourceInitializationError: initialize volume: volume detection failed, volume 'never-made' does not";
    assert!(reason.starts_with(expect), "{ended:#}");
    Ok(())
}
