//! Unpacks one layer: our own binary re-executed, with nothing within reach but the layer's own directory.
//!
//! The packed bytes come in on standard input, a [`Report`] goes out as the last line of standard output; the
//! agent's half is [`crate::images`]. Before the first byte is read, the process has another root (the
//! directory that it fills), a network namespace with nothing in it, a user who owns nothing, no capability
//! beyond those that writing a layer takes (see [`oci::unpack`]), and a bound on its memory. When the agent
//! goes away, the input ends, and so does the process.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci::unpack::{Expected, Limits, UnpackError, Unpacked, fill};
use rustix::process::{Resource, Rlimit, chroot, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_no_new_privs};
use serde::{Deserialize, Serialize};

/// Memory of the process, in bytes: the largest zstd window of 32 MiB while it grows, and buffers.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Descriptors: the three standard ones, the input's second, the root, the current directory, and what is being made.
const DESCRIPTORS_MAX: u64 = 32;
/// The kernel's user and group for whom it has no name (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;
/// What writing a layer takes of root's power.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_ADMIN);

/// What to unpack, and where: the process's one argument, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// An empty directory.
    pub root: PathBuf,
    pub media_type: String,
    pub expected: Expected,
    pub limits: Limits,
}

/// How it went. An error is its text.
pub(crate) type Report = Result<Unpacked, String>;

/// Carries out the order on standard input. The exit code tells no more than the report.
pub fn main(order: &str) -> ExitCode {
    let report: Report = run(order).map_err(|error| error.to_string());
    let told = serde_json::to_string(&report).map_err(io::Error::from);
    let told = told.and_then(|line| io::stdout().write_all(format!("{line}\n").as_bytes()));
    if report.is_ok() && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the process that unpacks layers cannot be confined ({0}); the agent has to run as root")]
    Confine(#[from] io::Error),
    #[error("the order to unpack a layer cannot be read: {0}")]
    Order(#[from] serde_json::Error),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

fn run(order: &str) -> Result<Unpacked, Error> {
    let order: Order = serde_json::from_str(order)?;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    confine(&order.root)?;
    Ok(fill(input, &order.media_type, Path::new("/"), &order.expected, &order.limits)?)
}

/// Gives up all that is not needed, for good. Must be called before there is a second thread.
fn confine(root: &Path) -> io::Result<()> {
    limit(Resource::Data, MEMORY_BYTES_MAX)?;
    limit(Resource::Nofile, DESCRIPTORS_MAX)?;
    limit(Resource::Core, 0)?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC)?;
    chroot(root)?;
    std::env::set_current_dir("/")?;
    set_no_new_privs(true)?;
    // The capabilities outlive the change of user; those in effect have to be taken up anew.
    set_keep_capabilities(true)?;
    setgroups(&[])?;
    setresgid(Gid::from_raw(NOBODY), Gid::from_raw(NOBODY), Gid::from_raw(NOBODY))?;
    setresuid(Uid::from_raw(NOBODY), Uid::from_raw(NOBODY), Uid::from_raw(NOBODY))?;
    let sets = CapabilitySets { effective: CAPABILITIES, permitted: CAPABILITIES, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

fn limit(resource: Resource, max: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) })?)
}

#[cfg(test)]
pub(crate) mod tests {
    /// What makes this test binary an unpacker: the test below, alone and on the main thread, silent before
    /// its report.
    pub(crate) const ARGS: [&str; 6] =
        ["--exact", "unpack::tests::act_as_unpacker", "--ignored", "--nocapture", "--quiet", "--test-threads=1"];

    #[test]
    #[ignore = "other tests run it as their unpacking process"]
    fn act_as_unpacker() {
        let order = std::env::args().next_back().filter(|last| last.starts_with('{'));
        if let Some(order) = order {
            let done = super::main(&order) == std::process::ExitCode::SUCCESS;
            std::process::exit(i32::from(!done));
        }
    }
}
