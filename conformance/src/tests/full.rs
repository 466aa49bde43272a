//! A node and a server whose disk is full, and has room again.

use super::{Stage, push, text};
use crate::{HostImage, Longshore};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

/// MiB of the file system; unpacking leaves 64 of it free.
const DISK_MIB: u64 = 300;

/// A small ext4 of its own in a file, until it is dropped.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new() -> Result<Self> {
        let disk = Self { dir: tempfile::tempdir()? };
        let image = disk.dir.path().join("image");
        File::create(&image)?.set_len(DISK_MIB << 20)?;
        std::fs::create_dir(disk.root())?;
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.root()))?;
        Ok(disk)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Writes until so many bytes are left.
    fn fill(&self, left: u64) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.root().join("fill"))?;
        for bytes in [1_u64 << 20, 1 << 12, 1 << 10, 1] {
            while free(&self.root())? >= left + bytes && file.write_all(&vec![1; usize::try_from(bytes)?]).is_ok() {}
        }
        Ok(())
    }

    fn make_room(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.root().join("fill"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.root())) {
            eprintln!("{error:#}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn free(path: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// Whether any process has this among its arguments.
fn is_running(argument: &str) -> Result<bool> {
    let processes =
        std::fs::read_dir("/proc")?.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    Ok(processes.into_iter().any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())))
}

/// Log events that no compression makes small.
const PUT_NOISE: &str = r#"
import base64, boto3, json, os, time
logs = boto3.client("logs")
try:
    for _ in range(6):
        events = [{"timestamp": int(time.time() * 1000), "message": base64.b64encode(os.urandom(150000)).decode()} for _ in range(4)]
        logs.put_log_events(logGroupName="/noise", logStreamName="s", logEvents=events)
    print(json.dumps("taken"))
except Exception as error:
    print(json.dumps(str(error)))
"#;

#[test]
fn a_full_disk_is_said_and_everything_goes_on_with_room() -> Result<()> {
    let disk = SmallDisk::new()?;
    let data = disk.root().join("data");
    std::fs::create_dir(&data)?;
    let stage = Stage::of(Longshore::start_on(&data)?)?;
    let client = stage.client();
    client.aws(&["logs", "create-log-group", "--log-group-name", "/noise"])?;
    client.aws(&["logs", "create-log-stream", "--log-group-name", "/noise", "--log-stream-name", "s"])?;
    let late = stage.register("none", json!({ "command": ["sh", "-c", "sleep 8.25; exit 7"] }))?;

    // Room for the state, and not for an image: this one is new to the node.
    let other = stage.image.replace(":1", ":2");
    push(&client, &HostImage::busybox(&["echo", "another"])?.source(), &other, &[])?;
    disk.fill(50 << 20)?;
    let task = stage.run_to_end("none", json!({ "image": other }))?;
    let reason = text(&task["stoppedReason"]);
    assert!(reason.contains("CannotPullContainerError") && reason.contains("disk"), "{task:#}");

    disk.make_room()?;
    let late = stage.run(&late, &[])?;
    stage.until(&late, "RUNNING")?;
    disk.fill(0)?;
    let error = client.aws_error(&["ecs", "create-cluster", "--cluster-name", "full"])?;
    assert!(error.contains("No space left on device") && !error.contains("reload"), "{error}");
    let said = client.python(PUT_NOISE)?;
    assert!(text(&said).contains("No space left on device") || text(&said).contains("Service"), "{said}");
    let pushed =
        push(&client, &HostImage::busybox(&["echo", "third"])?.source(), &stage.image.replace(":1", ":3"), &[]);
    assert!(pushed.is_err(), "there was room for an image");
    let listed = client.aws(&["ecs", "list-clusters"])?;
    assert_eq!(listed["clusterArns"].as_array().map(Vec::len), Some(1), "reads go on: {listed}");

    // The container ends on the full disk; how it ended is not lost.
    while is_running("8.25")? {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    disk.make_room()?;
    let task = stage.until(&late, "STOPPED")?;
    assert_eq!(task["containers"][0]["exitCode"], 7, "{task:#}");
    client.aws(&["ecs", "create-cluster", "--cluster-name", "room"])?;
    assert_eq!(client.python(PUT_NOISE)?, "taken");
    push(&client, &HostImage::busybox(&["echo", "third"])?.source(), &stage.image.replace(":1", ":3"), &[])?;
    let task = stage.run_to_end("none", json!({ "image": other }))?;
    assert_eq!(stage.log(&task)?, ["another"], "{task:#}");
    Ok(())
}

/// A folder with the tar file `tar` of a root that has so many MiB that no compression makes small, each time others.
fn root(mib: u64) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let files = dir.path().join("root/bin");
    std::fs::create_dir_all(&files)?;
    std::io::copy(&mut File::open("/dev/urandom")?.take(mib << 20), &mut File::create(files.join("noise"))?)?;
    run(Command::new("tar").arg("-C").arg(dir.path().join("root")).arg("-cf").arg(dir.path().join("tar")).arg("bin"))?;
    Ok(dir)
}

#[test]
fn a_server_on_a_full_disk_keeps_its_output_starts_after_a_kill_and_heals() -> Result<()> {
    let disk = SmallDisk::new()?;
    let data = disk.root().join("data");
    std::fs::create_dir(&data)?;
    let mut stage = Stage::of(Longshore::start_on(&data)?)?;
    let staged = || Ok::<_, anyhow::Error>(std::fs::read_dir(data.join("blobs/staging"))?.count());

    // A push that does not fit leaves nothing, and the server's own state has room.
    let push = |server: &Longshore, mib: u64, name: &str| -> Result<std::process::Output> {
        Ok(server.command("push")?.arg(root(mib)?.path().join("tar")).arg(name).output()?)
    };
    assert!(push(&stage.server, 100, "big:1")?.status.success());
    let refused = push(&stage.server, 110, "big:2")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("507 UNAVAILABLE: the registry's disk has no room"), "{said}");
    assert_eq!(staged()?, 0);
    assert!(free(&disk.root())? >= 64 << 20);
    stage.client().aws(&["ecs", "create-cluster", "--cluster-name", "still-written"])?;

    let script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo tick $i; sleep 0.2; done; exit 7";
    let definition = stage.register("none", json!({ "command": ["sh", "-c", script] }))?;
    let task = stage.run(&definition, &[])?;
    stage.until(&task, "RUNNING")?;
    disk.fill(0)?;
    stage.server.end(Signal::KILL)?;
    let before = stage.server.log_text().len();
    stage.server.up()?;
    let said = stage.server.log_text().split_off(before);
    assert!(said.contains("the data folder's disk is full: nothing can be written until it has room"), "{said}");
    let error = stage.client().aws_error(&["ecs", "create-cluster", "--cluster-name", "full"])?;
    assert!(error.contains("ServiceUnavailable") && error.contains("tries again every few seconds"), "{error}");

    disk.make_room()?;
    let task = stage.until(&task, "STOPPED")?;
    assert_eq!(task["containers"][0]["exitCode"], 7, "{task:#}");
    let ticks: Vec<String> = (1..=60).map(|tick| format!("tick {tick}")).collect();
    assert_eq!(stage.log(&task)?, ticks);
    stage.client().aws(&["ecs", "create-cluster", "--cluster-name", "room"])?;
    Ok(())
}
