//! What people type, beside `up` and `down`: where a running Longshore is, and
//! a first run of the main job.
//!
//! This room talks to a server as any client does; it knows no state and no plan.

mod demo;
mod env;
mod out;
mod paths;

pub use env::env_line;
pub use out::{ReaderGone, say};
pub use paths::{Credentials, DATA_DIR, Endpoint, Paths, read_json};

use anyhow::Result;
use clap::Subcommand;
use std::path::PathBuf;

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
}

#[derive(clap::Args)]
pub struct DataArgs {
    /// The data folder that `up` was given
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data: PathBuf,
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Env(args) => env::run(&Paths::of(&args.data)),
        Command::Demo(args) => demo::run(&Paths::of(&args.data)),
    }
}
