//! A shim as a process: spawned by this agent, or found living by a later one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::drivers::Error;
use crate::drivers::records::SHIM_LOG;

/// How to become a shim: a program, and what comes before the container's directory on its command line.
#[derive(Clone, Debug)]
pub struct ShimCommand {
    pub program: PathBuf,
    pub args: Vec<String>,
}

impl ShimCommand {
    /// Must be called within a tokio runtime.
    pub(super) fn spawn(&self, dir: &Path) -> Result<ShimProcess, Error> {
        self.try_spawn(dir).map_err(Error::io(format!("start a shim with {}", self.program.display())))
    }

    fn try_spawn(&self, dir: &Path) -> io::Result<ShimProcess> {
        let log = File::options().append(true).create(true).open(dir.join(SHIM_LOG))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn()?;
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(ShimProcess { start_word: child.stdin.take(), handle: watched(handle)? })
    }
}

pub(super) struct ShimProcess {
    /// The shim's standard input.
    pub start_word: Option<ChildStdin>,
    handle: AsyncFd<OwnedFd>,
}

impl ShimProcess {
    pub fn adopted(handle: OwnedFd) -> io::Result<Self> {
        Ok(Self { start_word: None, handle: watched(handle)? })
    }

    /// Returns when the process has ended. A child of this process is then reaped; one of a former agent was
    /// left to init.
    pub async fn ended(&self) {
        // A pidfd is readable from its process's end on, so there is nothing to clear or to fail.
        let _readable = self.handle.readable().await;
        let _not_ours =
            waitid(WaitId::PidFd(self.handle.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

#[expect(deprecated, reason = "its successor is unsafe for types that lie about their descriptor; OwnedFd does not")]
pub(super) fn watched(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}
