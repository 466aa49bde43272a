//! The local node: an agent process of its own, started and kept by `up`.

use crate::image_args::ImageArgs;
use anyhow::{Context, Result};
use clap::Args;
use cli::{Credentials, Paths};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin, Command};

/// Pause before an agent that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How long an agent may take to leave; it leaves containers running.
const END_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct AgentArgs {
    /// Folder of the node's own data
    #[arg(long)]
    data: PathBuf,
    /// Endpoint of the control plane
    #[arg(long)]
    server: String,
    #[arg(long)]
    region: String,
    #[arg(long)]
    cluster: String,
    /// File with the node's access key
    #[arg(long)]
    credentials: PathBuf,
    #[command(flatten)]
    images: ImageArgs,
    /// Its containers end with it
    #[arg(long)]
    ephemeral: bool,
}

/// Runs the agent until its standard input ends (with whoever started it) or a signal comes.
pub fn run(args: AgentArgs) -> Result<()> {
    crate::log_to_stderr();
    let credentials: Credentials =
        cli::read_json(&args.credentials)?.with_context(|| format!("{} is missing", args.credentials.display()))?;
    let config = agent::Config {
        endpoint: args.server,
        region: args.region,
        cluster: args.cluster,
        credentials: credentials.into(),
        data_dir: args.data,
        shim: std::env::current_exe()?,
        images: args.images.options()?,
        ephemeral: args.ephemeral,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(agent::run(config, starter_gone()))?)
}

/// Resolves when the pipe that is our standard input closes; never, if it is no pipe.
async fn starter_gone() {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let Some(mut input) = input.ok().and_then(|input| Receiver::from_owned_fd(input).ok()) else {
        return std::future::pending().await;
    };
    let mut byte = [0];
    while matches!(input.read(&mut byte).await, Ok(1..)) {}
}

/// What an agent is started with.
pub struct Start<'a> {
    pub region: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
    /// Where it calls the server.
    pub endpoint: &'a str,
    pub paths: &'a Paths,
    pub images: &'a ImageArgs,
    /// Its containers end with it.
    pub ephemeral: bool,
}

/// Keeps one agent process running.
pub struct Supervisor {
    command: Command,
    child: Child,
    /// Held open as long as the agent should work: waiting for a child closes what it has of it.
    input: Option<ChildStdin>,
}

impl Supervisor {
    pub fn start(start: Start) -> Result<Self> {
        let Start { region, cluster, endpoint, paths, images, ephemeral } = start;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("agent").arg("--data").arg(paths.agent()).arg("--credentials").arg(paths.agent_credentials());
        command.args(["--server", endpoint, "--region", region, "--cluster", cluster]);
        command.args(images.command_line());
        command.args(ephemeral.then_some("--ephemeral"));
        // Its input ends with us, however we end; a terminal's Ctrl-C is ours alone to handle.
        command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the node agent")?;
        let input = child.stdin.take();
        Ok(Self { command, child, input })
    }

    /// Resolves after the agent ended unasked and was started again.
    pub async fn keep(&mut self) {
        let status = self.child.wait().await;
        tracing::warn!(status = %shown(status), "the node agent ended; it is started again");
        tokio::time::sleep(RESTART_PAUSE).await;
        match self.command.spawn() {
            Ok(mut child) => {
                self.input = child.stdin.take();
                self.child = child;
            }
            Err(error) => tracing::error!(%error, "the node agent could not be started"),
        }
    }

    /// Ends the agent; its containers stay, unless it is ephemeral.
    pub async fn end(&mut self) {
        drop(self.input.take());
        if tokio::time::timeout(END_TIMEOUT, self.child.wait()).await.is_err() {
            _ = self.child.kill().await;
        }
    }
}

fn shown(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}
