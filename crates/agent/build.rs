//! Builds the init process of containers, `init/init.rs`, into a static file that needs nothing of an image.
//! Why so: docs/decisions/0006-an-init-without-a-library.md.

use std::env::{var, var_os};
use std::path::PathBuf;
use std::process::{Command, exit};

const SOURCE: &str = "init/init.rs";
/// Static, without a C library's start files, small.
const OPTIONS: [&str; 8] = [
    "panic=abort",
    "opt-level=s",
    "overflow-checks=off",
    "strip=symbols",
    "relocation-model=static",
    "link-arg=-nostartfiles",
    "link-arg=-nostdlib",
    "link-arg=-static",
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    if let Err(problem) = build() {
        println!("cargo::error=the init process of containers cannot be built: {problem}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let of_cargo = |name: &str| var(name).map_err(|error| format!("{name}: {error}"));
    let output = PathBuf::from(of_cargo("OUT_DIR")?).join("init");
    let mut rustc = Command::new(of_cargo("RUSTC")?);
    rustc.args(["--edition", "2024", "--crate-name", "init", "--crate-type", "bin", "--target"]);
    rustc.arg(of_cargo("TARGET")?).args(OPTIONS.iter().flat_map(|option| ["-C", option]));
    if let Some(linker) = var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(PathBuf::from("linker=".to_owned() + &linker.to_string_lossy()));
    }
    let status = rustc.arg("-o").arg(output).arg(SOURCE).status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("rustc: {status}")) }
}
