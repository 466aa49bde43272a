//! `longshore down`: ends the server, then stops and removes the containers.

use crate::data_dir::DataDir;
use agent::Stopping;
use anyhow::{Context, Result, bail};
use clap::Args;
use cli::{Endpoint, Paths};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the server may take to finish its requests and end its agent.
const SERVER_END_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Args)]
pub struct DownArgs {
    /// The data folder that `up` was given
    #[arg(long, value_name = "DIR", default_value = cli::DATA_DIR)]
    data: PathBuf,
}

pub fn run(args: DownArgs) -> Result<()> {
    let paths = Paths::of(&args.data);
    if !paths.data.is_dir() {
        bail!("{} is not a data folder: nothing runs there", paths.data.display());
    }
    let data = claim_from_server(&paths)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stopped = runtime.block_on(stop_all(&data.paths.agent()));
    // Not waited for: what is left after an interrupt may take as long as a container does.
    runtime.shutdown_background();
    let stopped = stopped?;
    if !data.paths.telemetry().exists() {
        data.leave();
        return cli::say(format_args!("Longshore is down. It was ephemeral: nothing of it is left."));
    }
    cli::say(format_args!(
        "Longshore is down; containers stopped: {stopped}. State, images and logs stay in {}.",
        paths.data.display()
    ))
}

/// Stops the containers of the node whose folder this is, unless interrupted; answers how many ran.
async fn stop_all(node: &Path) -> Result<usize> {
    let shim = std::env::current_exe()?;
    tokio::select! {
        stopped = agent::stop_all(node, &shim, |stopping| crate::say_aside(waiting(&stopping))) => Ok(stopped?),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("interrupted; containers may still run. `longshore down` goes on with them, `longshore up` reports them")
        }
    }
}

fn waiting(Stopping { task, containers, kill_in_s }: &Stopping) -> String {
    format!("waiting for task {task} ({}): asked to end, killed in {kill_in_s} s", containers.join(", "))
}

/// Takes the folder's lock, ending the server that holds it.
///
/// The lock, not the process id, says whether a server runs: an id may have
/// passed to a stranger.
fn claim_from_server(paths: &Paths) -> Result<DataDir> {
    if let Ok(data) = DataDir::claim(paths.clone()) {
        return Ok(data);
    }
    let server: Endpoint =
        cli::read_json(&paths.endpoint())?.context("a server is starting up on this folder: try again")?;
    let pid = i32::try_from(server.pid).ok().and_then(Pid::from_raw).context("the server's process id is not valid")?;
    kill_process(pid, Signal::TERM).context("cannot end the server")?;
    let begun = Instant::now();
    loop {
        match DataDir::claim(paths.clone()) {
            Ok(data) => return Ok(data),
            Err(error) if begun.elapsed() > SERVER_END_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
