//! A real etcd: Debian's, on free ports of loopback.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Ports that were free may be taken by the time that etcd binds them.
const START_ATTEMPTS: u32 = 5;

pub struct Etcd {
    process: Child,
    ports: Ports,
    folder: TempDir,
}

#[derive(Clone, Copy)]
struct Ports {
    client: u16,
    peer: u16,
}

impl Etcd {
    /// # Errors
    /// When etcd is not installed, or does not become healthy.
    pub fn start() -> io::Result<Self> {
        for _ in 0..START_ATTEMPTS {
            let folder = tempfile::tempdir()?;
            let ports = Ports { client: free_port()?, peer: free_port()? };
            let mut etcd = Self { process: spawn(folder.path(), ports)?, ports, folder };
            if etcd.is_healthy()? {
                return Ok(etcd);
            }
        }
        Err(io::Error::other("etcd does not start on this machine"))
    }

    /// Where it listens to clients.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.client).into()
    }

    /// Kills it and starts it on what it kept, at the same port.
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.process = spawn(self.folder.path(), self.ports)?;
        if self.is_healthy()? { Ok(()) } else { Err(io::Error::other("etcd does not start again")) }
    }

    /// Runs etcd's own client; answers what it printed.
    ///
    /// # Errors
    /// What it complains of.
    pub fn ctl(&self, args: &[&str]) -> io::Result<String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.address().to_string()]).args(args);
        let output = command.output()?;
        match output.status.success() {
            true => String::from_utf8(output.stdout).map_err(io::Error::other),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Stops or continues the process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// False when it ended, or was not healthy in time.
    fn is_healthy(&mut self) -> io::Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            if health(self.address()).is_ok_and(|answer| answer.contains("\"true\"")) {
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
        Ok(false)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn spawn(folder: &Path, ports: Ports) -> io::Result<Child> {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (client, peer) = (url(ports.client), url(ports.peer));
    let mut command = Command::new("etcd");
    command.args(["--name", "test", "--log-level", "error", "--data-dir"]).arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("test={peer}")]);
    let spawned = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.map_err(|error| io::Error::new(error.kind(), format!("etcd: {error}; ./test installs it")))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn health(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
