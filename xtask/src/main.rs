//! Chores of this repository: `cargo xtask --help`.

mod bench;
mod codegen;
mod tidy;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(about = "Chores of the Longshore repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Trim botocore's service models into crates/wire/models.
    Models {
        /// botocore's `data` folder, as unpacked from its source distribution.
        #[arg(long)]
        from: PathBuf,
    },
    /// Write shape tables, typed structs, the dispatch table and docs/coverage.md.
    Codegen {
        /// Write nothing; fail if a generated file is not what would be written.
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of the house that neither the compiler nor clippy keeps.
    Tidy,
    /// Build for release and measure, as root: `cargo xtask bench launch`.
    Bench {
        /// The measurement and its options; `--help` lists them.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Models { from } => codegen::trim(root(), &from),
        Chore::Codegen { check: true } => codegen::check(root()),
        Chore::Codegen { check: false } => codegen::write(root()),
        Chore::Tidy => tidy::run(root()),
        Chore::Bench { arguments } => bench::run(root(), &arguments),
    }
}

/// The repository's root: this package lives one folder below.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
