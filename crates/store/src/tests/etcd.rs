//! A real etcd for one test: Debian's, on free ports of loopback, ended with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{EtcdEngine, EtcdPlace};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Ports that were free may be taken by the time that etcd binds them.
const START_ATTEMPTS: u32 = 5;

pub struct Etcd {
    process: Child,
    port: u16,
    peer_port: u16,
    prefixes: u32,
    folder: TempDir,
}

impl Etcd {
    pub fn start() -> Self {
        let started = (0..START_ATTEMPTS).find_map(|_| Self::try_start());
        started.expect("etcd starts: ./test installs it")
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, peer_port) = (free_port(), free_port());
        let process = spawn(folder.path(), port, peer_port);
        let mut etcd = Self { process, port, peer_port, prefixes: 0, folder };
        etcd.is_healthy().then_some(etcd)
    }

    /// Kills it and starts it on what it kept, at the same port.
    pub fn restart(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is our child");
        self.process = spawn(self.folder.path(), self.port, self.peer_port);
        assert!(self.is_healthy(), "it starts again");
    }

    fn is_healthy(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if self.process.try_wait().expect("it is our child").is_some() {
                return false;
            }
            if health(self.port).is_ok_and(|answer| answer.contains("\"true\"")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// From now on engines have other rows.
    pub fn next_prefix(&mut self) {
        self.prefixes += 1;
    }

    pub fn prefix(&self) -> String {
        format!("test{}", self.prefixes)
    }

    pub fn place(&self) -> EtcdPlace {
        format!("etcd://127.0.0.1:{}/{}", self.port, self.prefix()).parse().expect("a place")
    }

    /// The engine of a server at `address`.
    pub fn engine(&self, address: &str) -> EtcdEngine {
        EtcdEngine::new(self.place(), address).expect("a runtime")
    }

    /// Runs etcd's own client; answers what it printed.
    pub fn ctl(&self, args: &[&str]) -> String {
        let endpoint = format!("127.0.0.1:{}", self.port);
        let mut command = Command::new("etcdctl");
        let output = command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint]).args(args).output();
        let output = output.expect("etcdctl is installed: ./test does that");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Stops or continues the process.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &Path, port: u16, peer_port: u16) -> Child {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    Command::new("etcd")
        .args(["--name", "test", "--log-level", "error", "--data-dir"])
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)])
        .args(["--listen-peer-urls", &url(peer_port), "--initial-advertise-peer-urls", &url(peer_port)])
        .args(["--initial-cluster", &format!("test={}", url(peer_port))])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd is installed: ./test does that")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

fn health(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
