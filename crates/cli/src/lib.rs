//! What people type, beside `up` and `down`: where a running Longshore is, a first run of the main job,
//! and images and tasks for who has no AWS client at hand.
//!
//! This room talks to a server as any client does; it knows no state and no plan.

mod definition;
mod demo;
mod env;
mod events;
mod images;
mod logs;
mod out;
mod paths;
mod pauses;
mod ps;
mod push;
mod run;
mod session;
mod stop;
mod table;
mod task;

pub use env::env_line;
pub use out::{ReaderGone, say};
pub use paths::{Credentials, DATA_DIR, Endpoint, Paths, read_json};
pub use push::send as send_image;
pub use session::{Session, text};

use anyhow::Result;
use clap::Subcommand;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Print the shell lines that point the AWS CLI, SDKs and Terraform at the running server
    #[command(after_help = "Use it so: eval \"$(longshore env)\"")]
    Env(DataArgs),
    /// Push a small image, run it as a task, and show its states and logs
    #[command(
        after_help = "The server has to run. What it makes is called hello: a repository, a task definition, the log group /longshore/hello."
    )]
    Demo(DataArgs),
    /// Push an image from a file or folder; its repository is made if it is missing
    Push(With<push::PushArgs>),
    /// List images
    Images(With<ImagesArgs>),
    /// Run an image or task definition, show its output and end as it does
    Run(InCluster<run::RunArgs>),
    /// List tasks
    Ps(InCluster<PsArgs>),
    /// Show what a task wrote
    Logs(InCluster<LogsArgs>),
    /// Show what happened to a task: why it is where it is, pulls, states, health, ends, and who stopped it
    Events(InCluster<EventsArgs>),
    /// Stop tasks
    Stop(InCluster<StopArgs>),
}

/// A command's own arguments, and the server's.
#[derive(clap::Args)]
pub struct With<A: clap::Args> {
    #[command(flatten)]
    own: A,
    #[command(flatten)]
    data: DataArgs,
}

/// As [`With`], of one cluster.
#[derive(clap::Args)]
pub struct InCluster<A: clap::Args> {
    #[command(flatten)]
    with: With<A>,
    /// Cluster [default: the local node's]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

#[derive(clap::Args)]
pub struct ImagesArgs {
    /// Of this repository alone
    repository: Option<String>,
    /// As a table, or as the API's documents
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::Args)]
pub struct PsArgs {
    /// Stopped tasks too
    #[arg(long, short)]
    all: bool,
    /// As a table, or as the API's documents
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::Args)]
pub struct LogsArgs {
    /// The task's id or ARN
    task: String,
    /// Of this container alone
    #[arg(long, short, value_name = "NAME")]
    container: Option<String>,
    /// Go on until the task has stopped
    #[arg(long, short)]
    follow: bool,
    /// As lines, or as documents of one line
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::Args)]
pub struct EventsArgs {
    /// The task's id or ARN
    task: String,
    /// As a table, or as the API's documents
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(clap::Args)]
pub struct StopArgs {
    /// Ids or ARNs
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// What the tasks' stoppedReason shall say
    #[arg(long)]
    reason: Option<String>,
}

#[derive(clap::Args)]
pub struct DataArgs {
    /// The data folder that `up` was given
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data: PathBuf,
}

/// # Errors
/// What kept the command from its work; a task's own failure is an exit code.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Env(args) => env::run(&Paths::of(&args.data))?,
        Command::Demo(args) => demo::run(&Paths::of(&args.data))?,
        Command::Push(args) => {
            let session = args.data.session()?;
            Session::block_on(push::run(&session, &args.own))?;
        }
        Command::Images(With { own, data }) => {
            let session = data.session()?;
            Session::block_on(images::run(&session, own.repository.as_deref(), own.output))?;
        }
        Command::Run(args) => {
            let (session, cluster) = args.open()?;
            return Session::block_on(run::run(&session, &cluster, &args.with.own));
        }
        Command::Ps(args) => {
            let ((session, cluster), own) = (args.open()?, &args.with.own);
            let which = ps::Which { cluster: &cluster, all: own.all };
            Session::block_on(ps::run(&session, &which, own.output))?;
        }
        Command::Logs(args) => {
            let ((session, cluster), own) = (args.open()?, &args.with.own);
            let container = own.container.as_deref();
            let wanted = logs::Wanted { cluster: &cluster, task: &own.task, container, follow: own.follow };
            Session::block_on(logs::run(&session, &wanted, own.output))?;
        }
        Command::Events(args) => {
            let ((session, cluster), own) = (args.open()?, &args.with.own);
            Session::block_on(events::run(&session, &cluster, &own.task, own.output))?;
        }
        Command::Stop(args) => {
            let ((session, cluster), own) = (args.open()?, &args.with.own);
            Session::block_on(stop::run(&session, &cluster, &own.tasks, own.reason.as_deref()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl DataArgs {
    fn session(&self) -> Result<Session> {
        Session::open(&Paths::of(&self.data))
    }
}

impl<A: clap::Args> InCluster<A> {
    /// The server, and the cluster that is meant.
    fn open(&self) -> Result<(Session, String)> {
        let session = self.with.data.session()?;
        let cluster = self.cluster.clone().unwrap_or_else(|| session.endpoint.cluster.clone());
        Ok((session, cluster))
    }
}
