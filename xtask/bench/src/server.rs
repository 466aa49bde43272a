//! A Longshore of the measurement's own: started, waited for, looked at and ended.

use anyhow::{Context, Result, bail};
use cli::Paths;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How the ready line begins.
const READY: &str = "Longshore is ready";

pub struct Server {
    child: Child,
    pub paths: Paths,
    /// From spawning the process to its ready line.
    pub ready_in: Duration,
    /// Kept open: a server whose standard output breaks would end.
    _stdout: BufReader<ChildStdout>,
}

/// What a process keeps in memory, in KiB: VmRSS and VmHWM of proc(5), `status`.
#[derive(Clone, Copy)]
pub struct Memory {
    pub rss_kib: u64,
    pub peak_kib: u64,
}

impl Server {
    /// Starts the server on a free port of loopback and waits for its ready line. Its log goes beside `data`.
    pub fn start(binary: &Path, data: &Path) -> Result<Self> {
        Self::start_with(binary, data, &[])
    }

    /// As [`Server::start`], with more options of `longshore up`.
    pub fn start_with(binary: &Path, data: &Path, options: &[&str]) -> Result<Self> {
        let log = File::options().create(true).append(true).open(data.with_extension("log"))?;
        let mut command = Command::new(binary);
        command.arg("up").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).args(options);
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has no standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let ready_in = begun.elapsed();
        let server = Self { child, paths: Paths::of(data), ready_in, _stdout: stdout };
        if line.starts_with(READY) {
            return Ok(server);
        }
        bail!("the server did not become ready: {line}{}", server.log());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The local node's agent.
    pub fn agent_pid(&self) -> Result<u32> {
        child_named(self.child.id(), "agent")?.context("the server has no agent process")
    }

    /// Everything that server and agent have complained of.
    pub fn log(&self) -> String {
        fs::read_to_string(self.paths.data.with_extension("log")).unwrap_or_default()
    }

    /// The server's memory, and its agent's.
    pub fn memory(&self) -> Result<(Memory, Memory)> {
        Ok((Memory::of(self.pid())?, Memory::of(self.agent_pid()?)?))
    }

    /// Ends the server and its agent, as Ctrl-C would; containers stay.
    pub fn end(mut self) -> Result<()> {
        self.terminate()
    }

    fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

/// Removes what the installation keeps on the host, whether its server runs or not. No error where there is none.
pub fn down(binary: &Path, data: &Path) -> Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let done = Command::new(binary).arg("down").arg("--data").arg(data).output()?;
    if !done.status.success() {
        bail!("longshore down failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!("the measured server could not be ended: {error:#}");
        }
    }
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("/proc/{pid}/status has no {name}"))
        };
        Ok(Self { rss_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")? })
    }
}

/// The child of `parent` whose first argument is `argument`.
fn child_named(parent: u32, argument: &str) -> Result<Option<u32>> {
    for thread in fs::read_dir(format!("/proc/{parent}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        for pid in children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()) {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if arguments.split(|byte| *byte == 0).nth(1) == Some(argument.as_bytes()) {
                return Ok(Some(pid));
            }
        }
    }
    Ok(None)
}
