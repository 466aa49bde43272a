//! A Longshore of its own for one test: data folder, port, node and containers.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until its node has joined.
const READY_TIMEOUT: Duration = Duration::from_secs(40);

/// How the lines begin in which a server says that it serves, or follows another one.
const READY: &str = "Longshore is ready";
const STANDS_BY: &str = "Longshore stands by";

const POLL: Duration = Duration::from_millis(20);

/// A running server; dropped, it and its containers end.
pub struct Longshore {
    dir: TempDir,
    server: Option<Child>,
    /// The address asked for: port 0 at first, then the same one again.
    listen: String,
    /// Further options of `up`.
    options: Vec<String>,
    /// Its commands are given the data folder as seen from the folder that it is in.
    is_relative: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Endpoint {
    pub url: String,
    pub account: String,
    pub region: String,
    pub pid: u32,
}

#[derive(Clone, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Longshore {
    /// Starts a server with a data folder of its own and waits until it is ready.
    pub fn start() -> Result<Self> {
        Self::start_with("127.0.0.1:0", &[])
    }

    /// As [`Longshore::start`], on another address and with further options of `up`.
    pub fn start_with(listen: &str, options: &[&str]) -> Result<Self> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let (dir, listen) = (tempfile::tempdir()?, listen.to_owned());
        let mut longshore = Self { dir, server: None, listen, options, is_relative: false };
        longshore.up()?;
        Ok(longshore)
    }

    /// A second server on the engine of `first`, given by the options: it has the key of that one, and
    /// is waited for until it stands by.
    pub fn standby(first: &Self, options: &[&str]) -> Result<Self> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let (dir, listen) = (tempfile::tempdir()?, "127.0.0.1:0".to_owned());
        let mut standby = Self { dir, server: None, listen, options, is_relative: false };
        std::fs::copy(first.key(), standby.key())?;
        standby.spawn()?;
        standby.wait_said(STANDS_BY, 0)?;
        standby.listen = standby.registry()?;
        Ok(standby)
    }

    /// Where the master key lies.
    pub fn key(&self) -> PathBuf {
        self.data().with_extension("key")
    }

    /// Starts a server that was ended again, to stand by.
    pub fn stand_by(&mut self) -> Result<()> {
        let before = self.said(STANDS_BY);
        self.spawn()?;
        self.wait_said(STANDS_BY, before)
    }

    /// Waits until the server has become ready more than `before` times.
    pub fn wait_leads(&mut self, before: usize) -> Result<()> {
        self.wait_said(READY, before)
    }

    /// Waits until the server has said more than `before` times that it stands by.
    pub fn wait_stands_by(&mut self, before: usize) -> Result<()> {
        self.wait_said(STANDS_BY, before)
    }

    /// Sends the server a signal that does not end it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let server = self.server.as_ref().context("the server does not run")?;
        Ok(kill_process(Pid::from_child(server), signal)?)
    }

    /// As [`Longshore::start`], with the data in a folder of somebody else's choice, which it is told relatively.
    pub fn start_on(data: &Path) -> Result<Self> {
        let (dir, listen) = (tempfile::tempdir()?, "127.0.0.1:0".to_owned());
        std::os::unix::fs::symlink(data, dir.path().join("data"))?;
        let mut longshore = Self { dir, server: None, listen, options: Vec::new(), is_relative: true };
        longshore.up()?;
        Ok(longshore)
    }

    /// The binary that `cargo build` made beside this test.
    pub fn binary() -> Result<PathBuf> {
        let test = std::env::current_exe()?;
        let folder = test.ancestors().find(|folder| folder.join("longshore").is_file());
        Ok(folder.context("build the binary first: cargo build --bin longshore")?.join("longshore"))
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// A command of the binary on this data folder.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(Self::binary()?);
        command.arg(name).arg("--data");
        match self.is_relative {
            true => command.current_dir(self.dir.path()).arg("data"),
            false => command.arg(self.data()),
        };
        Ok(command)
    }

    /// Starts the server, for the first time or again, on the same address.
    pub fn up(&mut self) -> Result<()> {
        let before = self.said(READY);
        self.spawn()?;
        self.wait_said(READY, before)?;
        self.listen = self.registry()?;
        Ok(())
    }

    fn spawn(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command("up")?;
        command
            .args(["--listen", &self.listen])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.server = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until the log has more than `before` lines that begin with `line`.
    fn wait_said(&mut self, line: &str, before: usize) -> Result<()> {
        let begun = Instant::now();
        while self.said(line) <= before {
            let ended = self.server.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || begun.elapsed() > READY_TIMEOUT {
                bail!("the server never said '{line}':\n{}", self.log_text());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn said(&self, line: &str) -> usize {
        self.log_text().lines().filter(|said| said.starts_with(line)).count()
    }

    /// Everything that the server and its agent have said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn endpoint(&self) -> Result<Endpoint> {
        read_json(&self.data().join("endpoint"))
    }

    pub fn credentials(&self) -> Result<Credentials> {
        read_json(&self.data().join("credentials"))
    }

    /// Host and port, as image references begin.
    pub fn registry(&self) -> Result<String> {
        let url = self.endpoint()?.url;
        Ok(url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned())
    }

    /// Sends the server a signal and waits until it has ended.
    pub fn end(&mut self, signal: Signal) -> Result<()> {
        let mut server = self.server.take().context("the server does not run")?;
        kill_process(Pid::from_child(&server), signal)?;
        server.wait()?;
        Ok(())
    }

    /// `longshore down`: the server, if it runs, and every container.
    pub fn down(&mut self) -> Result<String> {
        let output = self.command("down")?.output()?;
        if let Some(mut server) = self.server.take() {
            server.wait()?;
        }
        if !output.status.success() {
            bail!("down failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Longshore {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log_text());
        }
        // An ephemeral one leaves no folder.
        let is_gone = self.server.is_none() && !self.data().exists();
        if !is_gone && let Err(error) = self.down() {
            eprintln!("a test's Longshore did not go down: {error:#}");
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}
