//! What killed servers leave on the host.

use super::ephemeral::{left, name_of};
use super::{Stage, text};
use crate::Longshore;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an agent may take to end after its server.
const AGENT_END_TIMEOUT: Duration = Duration::from_secs(20);

/// Kills a server once its node has a bridge, and answers what the node is called.
fn killed(server: &mut Longshore) -> Result<String> {
    let (folder, name) = (server.data(), name_of(&server.data())?);
    wait(|| Ok(bridges(&folder, &name)? == 1)).context("no bridge")?;
    server.end(Signal::KILL)?;
    wait(|| Ok(!left(&folder, &name)?.iter().any(|what| what.contains(" agent ")))).context("the agent goes on")?;
    Ok(name)
}

fn bridges(folder: &Path, name: &str) -> Result<usize> {
    Ok(left(folder, name)?.iter().filter(|what| what.contains(&format!(": {name}:"))).count())
}

fn wait(until: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !until()? {
        ensure!(begun.elapsed() < AGENT_END_TIMEOUT, "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn the_next_node_clears_away_what_killed_ones_left_whose_folder_is_gone() -> Result<()> {
    let (mut removed, mut kept) = (Longshore::start()?, Longshore::start()?);
    let (removed_name, kept_name) = (killed(&mut removed)?, killed(&mut kept)?);
    fs::remove_dir_all(removed.data())?;
    fs::remove_file(removed.key())?;
    ensure!(bridges(&removed.data(), &removed_name)? == 1, "nothing was left");
    let next = Longshore::start()?;
    assert_eq!(left(&removed.data(), &removed_name)?, Vec::<String>::new());
    assert_eq!(bridges(&kept.data(), &kept_name)?, 1);
    assert!(next.log_text().contains(&removed_name), "{}", next.log_text());
    Ok(())
}

#[test]
fn what_is_left_of_a_stopped_container_stays_as_long_as_it_is_to() -> Result<()> {
    let options = ["--engine-task-cleanup-wait-duration", "6s"];
    let stage = Stage::of(Longshore::start_with("127.0.0.1:0", &options)?)?;
    let stopped = stage.run_to_end("none", json!({ "command": ["sh", "-c", "echo changed > /file"] }))?;
    let runtime_id = text(&stopped["containers"][0]["runtimeId"]);
    let remains = stage.server.data().join("agent/stopped").join(runtime_id);
    wait(|| Ok(remains.join("upper/file").exists())).context("nothing is left")?;
    wait(|| Ok(!remains.exists())).context("it stays")
}
