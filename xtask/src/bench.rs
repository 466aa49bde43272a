//! `cargo xtask bench`: builds what is measured and what measures, then runs it.
//!
//! The measuring program is the package `bench`: it speaks the product's protocols with the product's
//! own crates, which this program must do without, since it generates parts of them.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// The product is measured as it is shipped, by a program that is as fast.
const BUILD: [&str; 6] = ["build", "--release", "--package", "longshore", "--package", "bench"];
const RUN: [&str; 6] = ["run", "--quiet", "--release", "--package", "bench", "--"];

/// `arguments` are the measurement's name and its options.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    cargo(root, &BUILD, &[])?;
    cargo(root, &RUN, arguments)
}

fn cargo(root: &Path, verb: &[&str], arguments: &[String]) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(verb).args(arguments).current_dir(root).status();
    ensure!(status.context("cannot call cargo")?.success(), "cargo {} failed", verb[0]);
    Ok(())
}
