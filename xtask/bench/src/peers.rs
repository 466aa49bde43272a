//! Others' servers, started for the measurement and ended with it. They are installed by whoever measures:
//! Debian's docker-registry, and moto's server from PyPI in a virtual environment beside the build.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The measured version of moto's server.
const MOTO: &str = "moto[server]==5.2.5";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server on a port of loopback.
pub struct Peer {
    child: Child,
    /// Address and port.
    pub host: String,
}

impl Peer {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Debian's registry with a store of its own in `folder`.
    pub fn docker_registry(folder: &Path) -> Result<Self> {
        let host = free_port()?;
        let store = folder.join("docker-registry");
        fs::create_dir_all(&store)?;
        let config = folder.join("docker-registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {store:?}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{host}\"}}\n"
        );
        fs::write(&config, text)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        Self::start(command, host, &folder.join("docker-registry.log"))
            .context("docker-registry: install Debian's package of that name")
    }

    /// moto's server, which fakes AWS in memory and checks no signatures.
    pub fn moto(scratch: &Path) -> Result<Self> {
        let host = free_port()?;
        let (address, port) = host.split_once(':').context("an address has a port")?;
        let mut command = Command::new(moto_installed(&scratch.join("moto"))?);
        command.args(["-H", address, "-p", port]);
        Self::start(command, host.clone(), &scratch.join("moto.log"))
    }

    fn start(mut command: Command, host: String, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut peer = Self { child: command.spawn()?, host };
        let begun = Instant::now();
        while TcpStream::connect(&peer.host).is_err() {
            if let Some(status) = peer.child.try_wait()? {
                bail!("it ended at once: {status}");
            }
            ensure!(begun.elapsed() < START_TIMEOUT, "it does not listen on {}", peer.host);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The program in a virtual environment at `folder`, made where it is missing.
fn moto_installed(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("bin/moto_server");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO]))?;
    }
    Ok(program)
}

/// Runs a command to its successful end.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot call {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
