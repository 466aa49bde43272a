//! A real etcd for one test: Debian's, on free ports of loopback, ended with the test.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

pub struct Etcd {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Etcd {
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, peer) = (free_port()?, free_port()?);
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let process = Command::new("etcd")
            .args(["--name", "test", "--log-level", "error", "--data-dir"])
            .arg(folder.path().join("etcd"))
            .args(["--listen-client-urls", &url(port), "--advertise-client-urls", &url(port)])
            .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
            .args(["--initial-cluster", &format!("test={}", url(peer))])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("etcd is not installed: run ./test, which installs it")?;
        let etcd = Self { process, port, _folder: folder };
        let begun = Instant::now();
        while !health(port).is_ok_and(|answer| answer.contains("\"true\"")) {
            if begun.elapsed() > START_TIMEOUT {
                bail!("etcd did not start");
            }
            std::thread::sleep(POLL);
        }
        Ok(etcd)
    }

    /// As `--engine` of `up` takes it.
    pub fn engine(&self) -> String {
        format!("etcd://127.0.0.1:{}", self.port)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn health(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
