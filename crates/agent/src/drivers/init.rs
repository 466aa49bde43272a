//! The init process of containers, a program of its own: `init/init.rs`, which `build.rs` builds.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Where it lies in a node's directory.
pub(crate) const FILE: &str = "init";

/// Puts the program of this version there. Containers that run the former one keep it.
pub(crate) fn install(data: &Path) -> io::Result<()> {
    let file = data.join(FILE);
    if fs::read(&file).is_ok_and(|there| there == PROGRAM) {
        return Ok(());
    }
    let staged = data.join("init.new");
    fs::write(&staged, PROGRAM)?;
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755))?;
    fs::rename(staged, file)
}
