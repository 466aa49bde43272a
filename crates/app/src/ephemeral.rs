//! `up --ephemeral`: a server for test suites, of which nothing is left.

use crate::first_start::{ACCOUNT, REGION, Wanted};
use anyhow::{Context, Result, bail};
use clap::Args;
use request::Open;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(next_help_heading = "For test suites")]
pub struct EphemeralArgs {
    /// Keep nothing: state lives in memory, the data folder is a temporary one unless --data names it, and all of
    /// it is gone at the end, containers first; POST /_longshore/reset brings back the beginning
    #[arg(long, conflicts_with = "engine")]
    pub ephemeral: bool,
    /// Take any credentials, or none, as the account's root; on loopback alone
    #[arg(long, requires = "ephemeral")]
    no_auth: bool,
    /// Let tasks reach the host in spite of --no-auth: host network, privileged, devices, its files
    #[arg(long, requires = "no_auth")]
    no_auth_allow_host: bool,
}

impl EphemeralArgs {
    /// Refuses an address at which others would be root.
    pub fn check(&self, listen: SocketAddr) -> Result<()> {
        if self.no_auth && !listen.ip().is_loopback() {
            bail!("--no-auth makes root of whoever reaches {listen}: listen on a loopback address, such as 127.0.0.1");
        }
        Ok(())
    }

    /// Who callers are that prove nothing; none, if that is not to be.
    pub fn open(&self, wanted: &Wanted) -> Option<Open> {
        let or = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        let (account, region) = (or(&wanted.account, ACCOUNT), or(&wanted.region, REGION));
        self.no_auth.then_some(Open { account, region, allows_host: self.no_auth_allow_host })
    }

    /// The data folder: where `given` says, if that is empty or not there yet, else a new one.
    pub fn folder(&self, given: Option<&Path>) -> Result<PathBuf> {
        let Some(given) = given else {
            let made = tempfile::Builder::new().prefix("longshore-").tempdir().context("cannot make a folder")?;
            return Ok(made.keep());
        };
        match fs::read_dir(given).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(given.to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(given.to_owned()),
            Ok(false) => {
                bail!("{} is not empty, and --ephemeral would remove it: name another folder", given.display())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", given.display())),
        }
    }
}

/// Removes what an ephemeral server has left of its node and its folder.
pub async fn remove(data: &Path) -> Result<()> {
    let agent = cli::Paths::of(data).agent();
    let shim = std::env::current_exe()?;
    agent::stop_all(&agent, &shim, |_| {}).await.context("containers may be left: `longshore down` removes them")?;
    // Out of the way in one step: `longshore down` waits for the folder and would be in the middle of it.
    let doomed = data.with_added_extension("gone");
    let doomed = if fs::rename(data, &doomed).is_ok() { &doomed } else { data };
    match fs::remove_dir_all(doomed) {
        // It was given up before anything began.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", doomed.display())),
    }
}
