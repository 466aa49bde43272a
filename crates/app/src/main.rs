//! Longshore in one binary: control plane, node agent, container shim and command line.
//!
//! This is the composition root; it wires the rooms together and holds no logic of theirs.

mod agent_process;
mod announce;
mod data_dir;
mod down;
mod engine;
mod ephemeral;
mod first_start;
mod image_args;
mod terms;
mod up;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const FIRST_STEPS: &str = "First steps:
  longshore up               # as root; stays in the foreground
  longshore demo             # in another shell: a first task
  eval \"$(longshore env)\"    # then: aws ecs list-tasks";

/// Your own Amazon ECS: clusters, tasks, images and logs on machines of your own.
#[derive(Parser)]
#[command(name = "longshore", version, about, after_help = FIRST_STEPS)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server and its local node; Ctrl-C ends both, containers stay
    Up(up::UpArgs),
    /// End the server, if it runs, and stop all containers, each within its stop timeout
    Down(down::DownArgs),
    #[command(flatten)]
    Client(cli::Command),
    /// The node agent; `up` starts it
    #[command(hide = true)]
    Agent(agent_process::AgentArgs),
    /// One container's shim; the agent starts it
    #[command(hide = true)]
    Shim { dir: PathBuf },
    /// Unpacks one layer; the agent starts it
    #[command(hide = true)]
    Unpack { order: String },
}

fn main() -> ExitCode {
    match Args::parse().command {
        // A shim stays single-threaded: no runtime, no logging of ours.
        Command::Shim { dir } => agent::shim::main(&dir),
        // So does an unpacker, until it is confined.
        Command::Unpack { order } => agent::unpack::main(&order),
        Command::Up(args) => answer(up::run(args)),
        Command::Down(args) => answer(down::run(args)),
        Command::Agent(args) => answer(agent_process::run(args)),
        Command::Client(command) => outcome(cli::run(command)),
    }
}

fn answer(done: anyhow::Result<()>) -> ExitCode {
    outcome(done.map(|()| ExitCode::SUCCESS))
}

fn outcome(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) if error.is::<cli::ReaderGone>() => ExitCode::from(cli::ReaderGone::EXIT_CODE),
        Err(error) => {
            // What went wrong may be told in the words of strangers.
            say_aside(oci::text::printable(&format!("longshore: {error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// A line on the standard error, if anybody reads it.
fn say_aside(line: impl Display) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// What is logged unless `LONGSHORE_LOG` says otherwise: our own news, and the storage engine's worries.
const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn";

/// Sends tracing to standard error.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LONGSHORE_LOG").unwrap_or_else(|_| LOG_FILTER.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
