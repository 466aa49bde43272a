//! The shim: one small single-threaded process per container, our own binary re-executed.
//!
//! It starts the container through the OCI runtime, is its parent, copies its output into the spool or a
//! file and records how it ended; the agent may die, be upgraded and come back meanwhile. It knows nothing but its
//! container's directory (the files are listed in [`crate::drivers::records`]), reads the word to start from
//! standard input, and says "something changed" by a byte in the directory's FIFO. A shim that finds that an
//! earlier one began clears up after it: the container is killed and recorded as lost.
//!
//! To keep it small it must be entered before any other thread or runtime is started.

mod json_file;
mod lines;
mod pump;
mod run;
mod sink;
mod stdio;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::drivers::process::ProcessRef;
use crate::drivers::records::{BEGUN, ContainerRecord, Exit, LOCK, WAKE};
use base::is_disk_full;

/// How dear the shim is to the OOM killer: last of all, since its container cannot do without it
/// (proc(5), `oom_score_adj`; -1000 would be never).
const OOM_SCORE: &str = "-999";

/// How long a shim waits before it looks again whether the disk has room.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// Runs the shim of the container whose directory is `dir`, until the container is over.
pub fn main(dir: &Path) -> ExitCode {
    match run(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shim of {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &Path) -> io::Result<()> {
    let dir = fs::canonicalize(dir)?;
    detach()?;
    let _lock = lock(&dir)?;
    let begun = dir.join(BEGUN);
    if begun.exists() {
        return Shim::open(&dir)?.recover();
    }
    if !told_to_start()? {
        return Ok(());
    }
    File::create(begun)?;
    Shim::open(&dir)?.run_container()
}

/// Leaves the agent's session and its fate, and becomes the parent of what the runtime leaves behind.
fn detach() -> io::Result<()> {
    // Fails for the leader of a process group, who then is no child of a terminal's session either.
    let _already_leading = rustix::process::setsid();
    // Blocked rather than ignored: `Command` gives children a clean mask, but keeps ignored signals ignored.
    let deaf_to: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    deaf_to.thread_block()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Refused to a user who is not root; then the shim is as dear as anyone.
    let _refused = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    std::env::set_current_dir("/")
}

/// Held for the shim's life, so that there are never two of one container.
fn lock(dir: &Path) -> io::Result<File> {
    let path = dir.join(LOCK);
    let mut file = File::options().write(true).create(true).truncate(false).open(&path)?;
    let taken = |_| io::Error::other(format!("another shim holds {}", path.display()));
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(taken)?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(&ProcessRef::of(std::process::id().cast_signed())?)?)?;
    Ok(file)
}

/// Waits for the agent's word; false when it went away without one.
fn told_to_start() -> io::Result<bool> {
    let mut word = [0; 1];
    Ok(io::stdin().lock().read(&mut word)? == 1)
}

/// A container's shim at work.
struct Shim {
    dir: PathBuf,
    record: ContainerRecord,
    wake: OwnedFd,
}

impl Shim {
    fn open(dir: &Path) -> io::Result<Self> {
        let record = ContainerRecord::read(dir)?;
        let record = record.ok_or_else(|| io::Error::other(format!("{} holds no container", dir.display())))?;
        // Opened for both, a FIFO needs no reader: the agent may be away.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let wake = rustix::fs::open(dir.join(WAKE), flags, Mode::empty())?;
        Ok(Self { dir: dir.to_owned(), record, wake })
    }

    /// Tells the agent to look. A full FIFO tells it already.
    fn wake_agent(&self) {
        let _full = rustix::io::write(&self.wake, b"!");
    }

    /// Records the end, tells the agent and removes what the runtime keeps of the container.
    fn conclude(&self, exit: &Exit) -> io::Result<()> {
        self.write_exit(exit)?;
        self.wake_agent();
        self.delete_container()
    }

    /// Nobody else knows how the container ended: on a full disk this waits until there is room for it.
    fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        loop {
            match exit.write(&self.dir) {
                Err(error) if is_disk_full(&error) => std::thread::sleep(FULL_DISK_PAUSE),
                written => return written,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::ffi::OsStr;

    /// What makes this test binary a shim: the test below, alone and on the main thread.
    pub(crate) const ARGS: [&str; 5] =
        ["--exact", "shim::tests::act_as_shim", "--ignored", "--nocapture", "--test-threads=1"];

    #[test]
    #[ignore = "other tests run it as their shim process"]
    fn act_as_shim() {
        let last = std::env::args_os().next_back().unwrap_or_default();
        if last.as_os_str() == OsStr::new(ARGS[4]) || !std::path::Path::new(&last).is_absolute() {
            return;
        }
        let failed = super::run(std::path::Path::new(&last)).inspect_err(|error| eprintln!("{error}")).is_err();
        std::process::exit(i32::from(failed));
    }
}
