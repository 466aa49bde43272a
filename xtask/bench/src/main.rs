//! Measures Longshore from outside, on this machine, beside what it is compared with in the same run.
//!
//! A figure is a fact about the machine it was taken on: the goals are printed beside the figures,
//! and the program succeeds when it could measure. It is no test, and no test calls it.

mod all;
mod api;
mod bare;
mod cpu;
mod figures;
mod first;
mod launch;
mod load;
mod peers;
mod pretend;
mod registry;
mod report;
mod runs;
mod server;
mod setting;
mod table;
mod tasks;
mod unpack;

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
    /// Signed calls beside moto's server; RunTask on a pretend node
    Api,
    /// Push, pull and manifests beside docker-registry
    Registry,
    /// Many tasks, short and staying, beside the bare runtime
    Tasks,
    /// A layer of 200 MB into a directory, beside hashing and inflating it
    Unpack,
    /// All of these but launch, into docs/benchmarks.md
    All,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Launch(arguments) => launch::run(&arguments),
        What::Api => all::one(api::run),
        What::Registry => all::one(registry::run),
        What::Tasks => all::one(runs::run),
        What::Unpack => all::one(unpack::run),
        What::All => all::run(),
    }
}

/// Nanoseconds of the wall clock since 1970: the only clock that a container shares with us.
fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
