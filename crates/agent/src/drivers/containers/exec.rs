//! A command inside a container that runs, by the runtime's `exec`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::shim_process::watched;
use super::{Containers, Error, Status};
use crate::drivers::bundle::has_zero;
use crate::drivers::files::{absent_is_fine, read_json};
use crate::drivers::records::{CONFIG, ContainerRecord};
use crate::drivers::runtime::complaint;
use crate::drivers::spec::ContainerId;

/// What the runtime is told of the command; where it writes its process id, and what it complains of.
const PROCESS: &str = "exec.json";
const PID_FILE: &str = "exec.pid";
const LOG: &str = "exec.log";
/// How long the runtime may take to notice that its command was killed, before it is killed too.
const KILLED_WAIT: Duration = Duration::from_secs(2);
/// How long output is read after the command's end, when something else still holds its pipe.
const LINGER: Duration = Duration::from_millis(200);
/// As a shell tells of a process that a signal ended.
const SIGNAL_CODE_BASE: i32 = 128;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// None for one that was killed because it did not end in time.
    pub code: Option<i32>,
    /// The beginning of what it wrote to both its outputs.
    pub output: String,
}

impl Containers {
    /// Runs `args` in the container, as its own user and with its environment and working directory. One command at a
    /// time; what has not ended after `limit` is killed.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Unknown`], and [`Error::Io`] when the runtime cannot be called.
    pub async fn exec(
        &self,
        id: &ContainerId,
        args: &[String],
        limit: Duration,
        output_bytes_max: usize,
    ) -> Result<Executed, Error> {
        let entry = self.entry(id)?;
        if !matches!(*entry.status.borrow(), Status::Running { .. }) {
            return Err(Error::NotRunning(id.clone()));
        }
        let failed = |error| Error::io("run a command in the container")(error);
        let record = ContainerRecord::read(&entry.dir).map_err(failed)?.ok_or_else(|| Error::Unknown(id.clone()))?;
        let mut call = Call::start(record, entry.dir.clone(), args.to_vec()).await.map_err(failed)?;
        call.finish(limit, output_bytes_max).await.map_err(failed)
    }
}

/// The runtime at work on a command.
struct Call {
    dir: PathBuf,
    child: Child,
    /// Readable from the child's end on.
    handle: AsyncFd<OwnedFd>,
    output: Receiver,
}

impl Call {
    async fn start(record: ContainerRecord, dir: PathBuf, args: Vec<String>) -> io::Result<Self> {
        absent_is_fine(std::fs::remove_file(dir.join(LOG)))?;
        absent_is_fine(std::fs::remove_file(dir.join(PID_FILE)))?;
        let (output, end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (done, spawned) = oneshot::channel();
        let at = dir.clone();
        // A thread of its own: the runtime may have to be started in another view of the host.
        let spawn = move || _ = done.send(spawn(&record, &at, &args, end));
        std::thread::Builder::new().name("exec".to_owned()).spawn(spawn)?;
        let child = spawned.await.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))?;
        let handle = watched(pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?)?;
        Ok(Self { dir, child, handle, output: Receiver::from_owned_fd(output)? })
    }

    async fn finish(&mut self, limit: Duration, output_bytes_max: usize) -> io::Result<Executed> {
        let mut said = Vec::new();
        let in_time = tokio::select! {
            ended = self.handle.readable() => ended.map(|_| true)?,
            () = read(&mut self.output, &mut said, output_bytes_max, true) => true,
            () = tokio::time::sleep(limit) => false,
        };
        if !in_time {
            self.kill().await?;
        }
        // A pipe that something in the container keeps open is not waited for.
        _ = timeout(LINGER, read(&mut self.output, &mut said, output_bytes_max, false)).await;
        let status = self.child.wait()?;
        let code = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| SIGNAL_CODE_BASE + signal);
        let code = status.code().or(code).filter(|_| in_time);
        let mut output = String::from_utf8_lossy(&said).into_owned();
        if output.is_empty()
            && code != Some(0)
            && in_time
            && self.dir.join(LOG).metadata().is_ok_and(|log| log.len() > 0)
        {
            output = complaint(&self.dir.join(LOG));
        }
        Ok(Executed { code, output })
    }

    /// Kills the command; the runtime, its parent, then ends. Its process id means no other process meanwhile.
    async fn kill(&self) -> io::Result<()> {
        let pid = std::fs::read_to_string(self.dir.join(PID_FILE)).ok();
        let pid = pid.and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
        if let Some(command) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            // It may have ended just now.
            _ = pidfd_send_signal(&command, Signal::KILL);
            if timeout(KILLED_WAIT, self.handle.readable()).await.is_ok() {
                return Ok(());
            }
        }
        _ = pidfd_send_signal(self.handle.as_fd(), Signal::KILL);
        self.handle.readable().await.map(drop)
    }
}

fn spawn(record: &ContainerRecord, dir: &Path, args: &[String], output: OwnedFd) -> io::Result<Child> {
    // The container's own process but for its command: runtimes differ in what they take over by themselves.
    let config: Value = read_json(&dir.join(CONFIG))?.unwrap_or_default();
    let mut process = config["process"].clone();
    process["args"] = args.into();
    process["terminal"] = false.into();
    if has_zero(&process) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command has a zero byte"));
    }
    std::fs::write(dir.join(PROCESS), process.to_string())?;
    let mut command = record.runtime.command(&record.runtime_root, &dir.join(LOG));
    command.args(["exec", "--pid-file"]).arg(dir.join(PID_FILE)).arg("--process").arg(dir.join(PROCESS));
    command.arg(record.id.as_str());
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    record.runtime.in_view(|| command.spawn())
}

/// Reads until there is no more, and keeps the first `bytes_max` bytes; then it returns, or waits `forever`.
async fn read(pipe: &mut Receiver, said: &mut Vec<u8>, bytes_max: usize, forever: bool) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = pipe.read(&mut piece).await {
        let room = bytes_max.saturating_sub(said.len());
        said.extend_from_slice(&piece[..count.min(room)]);
    }
    if forever {
        std::future::pending().await
    }
}
