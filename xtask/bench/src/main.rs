//! Measures Longshore from outside, on this machine, beside what it is compared with in the same run.
//!
//! A figure is a fact about the machine it was taken on: the goals are printed beside the figures,
//! and the program succeeds when it could measure. It is no test, and no test calls it.

mod bare;
mod figures;
mod first;
mod launch;
mod report;
mod server;
mod tasks;

use clap::{Parser, Subcommand};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measurements of Longshore")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From RunTask to the container's first instruction, memory at rest, and start to ready
    Launch(launch::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Launch(arguments) => launch::run(&arguments),
    }
}

/// Nanoseconds of the wall clock since 1970: the only clock that a container shares with us.
fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
