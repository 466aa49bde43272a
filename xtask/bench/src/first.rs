//! The program that containers run, compiled with the toolchain at hand.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Statically linked: the image holds nothing else.
const FLAGS: [&str; 10] =
    ["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort", "-C", "strip=symbols", "-o"];
/// The linker that the build of the repository uses (`.cargo/config.toml`).
const LINKER: [&str; 2] = ["-C", "linker=clang"];

/// Compiles `first.rs` into `folder`; answers the program.
pub fn compiled(folder: &Path) -> Result<Vec<u8>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("first.rs");
    let program = folder.join("first");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let status = Command::new(compiler).args(LINKER).args(FLAGS).arg(&program).arg(source).status();
    if !status.context("cannot call rustc")?.success() {
        bail!("rustc could not make the static program that containers run; it needs libc6-dev");
    }
    fs::read(&program).with_context(|| format!("cannot read {}", program.display()))
}
