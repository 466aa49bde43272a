//! Starting a container, waiting for its end, and clearing up after a shim that did not.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base::Timestamp;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use serde_json::Value;

use super::Shim;
use super::pump::Pump;
use super::sink::Sink;
use super::stdio::{self, Console, Ours, Theirs};
use crate::drivers::cgroup;
use crate::drivers::files::read_json;
use crate::drivers::process::ProcessRef;
use crate::drivers::records::{CONFIG, Exit, Outcome, RUNTIME_LOG, Started};
use crate::drivers::runtime::complaint;
use crate::drivers::{filter, now, start_error};

/// Where the runtime writes the process id of the container's first process.
const PID_FILE: &str = "init.pid";

impl Shim {
    pub(super) fn run_container(&self) -> io::Result<()> {
        let (pump, _kept) = match self.start() {
            Ok(started) => started,
            Err(message) => return self.conclude(&self.ended(None, Outcome::NotStarted { message })),
        };
        let (started, handle) = self.started()?;
        self.wake_agent();
        self.keep_filter();
        pump.run(&handle)?;
        let outcome = reap(started.init.pid)?;
        self.conclude(&self.ended(Some(started.at), outcome))
    }

    /// The container is running when this returns; otherwise it says why not. What is given beside the pump must
    /// be kept while it runs.
    fn start(&self) -> Result<(Pump<'_>, Ours), String> {
        let cannot = |error: io::Error| format!("could not make room for the container's output: {error}");
        let (ours, theirs) = stdio::pair(&self.record, &self.dir).map_err(cannot)?;
        let sink = Sink::open(&self.dir, &self.record).map_err(cannot)?;
        let mut ours = self.call_runtime(theirs)?.map_or(ours, Ours::with_terminal);
        let pump = Pump::new(std::mem::take(&mut ours.outputs), sink, self).map_err(cannot)?;
        Ok((pump, ours))
    }

    /// Creates and starts in two calls. `run --detach` would be one, but is the container's parent until it
    /// returns: a process that ends before that is reaped there, and how it ended is lost. Gives the terminal, if
    /// there is to be one.
    fn call_runtime(&self, streams: Theirs) -> Result<Option<OwnedFd>, String> {
        let mut create = self.runtime();
        create.args(["create", "--bundle"]).arg(&self.dir);
        create.arg("--pid-file").arg(self.pid_file());
        let console = streams.attach(&mut create);
        create.arg(self.record.id.as_str());
        let mut start = self.runtime();
        start.args(["start", self.record.id.as_str()]).stdout(Stdio::null()).stderr(Stdio::null());
        let called = self.record.runtime.in_view(move || {
            let created = create.status();
            // The command owns this process's copies of the pipes' ends: they must be closed for the pipes to end.
            drop(create);
            match created {
                Ok(status) if status.success() => {
                    let terminal = console.map(Console::receive).transpose()?;
                    start.status().map(|status| (status, terminal))
                }
                other => other.map(|status| (status, None)),
            }
        });
        match called {
            Ok((status, terminal)) if status.success() => Ok(terminal),
            Ok(_) => Err(self.why_not_started()),
            Err(error) => Err(format!("could not call {}: {error}", self.record.runtime.path.display())),
        }
    }

    /// What the runtime complains of, with the command where it is about that.
    fn why_not_started(&self) -> String {
        let config = read_json::<Value>(&self.dir.join(CONFIG)).ok().flatten().unwrap_or_default();
        let command = config["process"]["args"][0].as_str().unwrap_or_default();
        start_error::worded(&self.record.runtime.name, command, &complaint(&self.dir.join(RUNTIME_LOG)))
    }

    /// Records that the container runs. Its first process is this one's child, so its pid stays its own.
    fn started(&self) -> io::Result<(Started, OwnedFd)> {
        let text = fs::read_to_string(self.pid_file())?;
        let pid: i32 = text.trim().parse().map_err(io::Error::other)?;
        let init = Pid::from_raw(pid).ok_or_else(|| io::Error::other("the runtime gave no process id"))?;
        let handle = pidfd_open(init, PidfdFlags::empty())?;
        let started = Started { init: ProcessRef::of(pid)?, at: now() };
        started.write(&self.dir)?;
        Ok((started, handle))
    }

    /// Without it, the next container takes longer to start, and no more.
    fn keep_filter(&self) {
        let Some(kept) = &self.record.keep_filter else { return };
        let state = Path::new(&self.record.runtime_root).join(self.record.id.as_str());
        if let Err(error) = filter::keep(&state, kept) {
            eprintln!("the compiled seccomp filter could not be kept: {error}");
        }
    }

    /// Must be called while the runtime has not removed the container's control group.
    fn ended(&self, started_at: Option<Timestamp>, outcome: Outcome) -> Exit {
        let oom_killed = cgroup::oom_kills(&self.record.cgroup).is_ok_and(|kills| kills > 0);
        Exit { outcome, oom_killed, started_at, ended_at: now() }
    }

    /// After a shim that died: whatever it left of the container is killed, since nobody would learn how it
    /// ends, nor read its output.
    pub(super) fn recover(&self) -> io::Result<()> {
        if Exit::read(&self.dir)?.is_some() {
            self.wake_agent();
            return self.delete_container();
        }
        let started_at = Started::read(&self.dir)?.map(|started| started.at);
        let message = "the container's shim process died; the container was killed, its exit code is not known";
        let exit = self.ended(started_at, Outcome::Lost { message: message.to_owned() });
        self.delete_container()?;
        self.write_exit(&exit)?;
        self.wake_agent();
        Ok(())
    }

    /// Kills what still runs and removes what the runtime keeps; no error when there is nothing.
    pub(super) fn delete_container(&self) -> io::Result<()> {
        let mut delete = self.runtime();
        delete.args(["delete", "--force", self.record.id.as_str()]);
        let status = delete.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(complaint(&self.dir.join(RUNTIME_LOG)))) }
    }

    fn runtime(&self) -> Command {
        let log = self.dir.join(RUNTIME_LOG);
        let mut command = self.record.runtime.command(&self.record.runtime_root, &log);
        command.stdin(Stdio::null());
        command
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join(PID_FILE)
    }
}

/// The exit status of a child that has ended.
fn reap(pid: i32) -> io::Result<Outcome> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process id"))?;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED))?;
    let status = status.ok_or_else(|| io::Error::other("the container's process has no exit status"))?;
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Outcome::Exited { code },
        (None, signal) => Outcome::Signaled { signal: signal.unwrap_or_default() },
    })
}
