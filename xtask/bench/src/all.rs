//! `all`: every table, as a page of the documentation.

use crate::setting::Setting;
use crate::table::{Row, markdown};
use crate::{api, registry, runs, unpack};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

type Measurement = fn(&Setting) -> Result<Vec<Row>>;

const MEASUREMENTS: [(&str, Measurement); 4] =
    [("The API", api::run), ("The registry", registry::run), ("Tasks", runs::run), ("Layers", unpack::run)];

pub fn run() -> Result<()> {
    let setting = Setting::here()?;
    let mut page = format!(
        "# Benchmarks\n\nMade by `cargo xtask bench all`, each figure beside its peer's in the same run, on {}.\n\
         What is measured and how: `xtask/bench/src`.\n",
        machine()?
    );
    for (title, measure) in MEASUREMENTS {
        eprintln!("{title} …");
        let table = markdown(&measure(&setting).with_context(|| title)?);
        println!("{table}");
        write!(page, "\n## {title}\n\n{table}")?;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

/// One table, on the terminal.
pub fn one(measure: Measurement) -> Result<()> {
    println!("{}", markdown(&measure(&Setting::here()?)?));
    Ok(())
}

fn machine() -> Result<String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = Command::new("uname").arg("-r").output()?.stdout;
    let mib = std::fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = mib.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).context("no MemTotal")?;
    Ok(format!("{cpus} CPUs, {} GiB, Linux {}", kib >> 20, String::from_utf8_lossy(&kernel).trim()))
}
