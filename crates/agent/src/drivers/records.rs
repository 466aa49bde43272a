//! What a container's directory tells a later agent. Written once each, by one writer each:
//!
//! | file | writer | when | content |
//! |---|---|---|---|
//! | `container.json` | agent | created | [`ContainerRecord`] |
//! | `config.json` | agent | created | the OCI bundle's configuration |
//! | `shim.lock` | shim | always | [`ProcessRef`] of the shim, which holds a flock on it for as long as it lives |
//! | `begun` | shim | told to start | empty: from here on a container may exist |
//! | `started.json` | shim | running | [`Started`] |
//! | `exit.json` | shim | over | [`Exit`], synced |
//! | `spool` | shim | running | output that is shipped, see [`super::spool`] |
//! | `<id>-json.log` and kin | shim | running | output that stays here, see [`crate::shim`] |
//! | `wake` | agent | created | a FIFO into which the shim writes a byte when any of the above changed |
//! | `rootfs`, `upper`, `work`, `lower` | agent | created | the overlay, see [`super::rootfs`] |
//! | `hosts`, `hostname`, `resolv.conf` | agent | created | shown under `/etc` |
//! | `shim.log`, `runtime.log` | shim, runtime | | what they complained of |

use std::io;
use std::path::{Path, PathBuf};

use base::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::{Durable, read_json, replace_json};
use super::process::ProcessRef;
use super::runtime::Runtime;
use super::spec::{ContainerId, OutputSpec};

pub(crate) const CONTAINER: &str = "container.json";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const LOCK: &str = "shim.lock";
pub(crate) const BEGUN: &str = "begun";
pub(crate) const STARTED: &str = "started.json";
pub(crate) const EXIT: &str = "exit.json";
pub(crate) const SPOOL: &str = "spool";
pub(crate) const WAKE: &str = "wake";
pub(crate) const SHIM_LOG: &str = "shim.log";
pub(crate) const RUNTIME_LOG: &str = "runtime.log";

/// What the shim must know to run the container, and a later agent to stop it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub id: ContainerId,
    pub runtime: Runtime,
    /// The runtime's own state directory (`--root`), shared by all containers.
    pub runtime_root: String,
    /// Absolute under each cgroup mount, such as `/longshore/<id>`.
    pub cgroup: String,
    pub output: OutputSpec,
    /// Signal number.
    pub stop_signal: i32,
    /// Its end is not final: it is held as it is until it is started again or let go.
    #[serde(default)]
    pub restartable: bool,
    /// The group whose namespaces it shares.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// Names of the volumes that it shares with other tasks.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Its output comes from a terminal.
    #[serde(default)]
    pub terminal: bool,
    #[serde(default)]
    pub stdin_open: bool,
    /// Where to keep the seccomp filter that the runtime compiles, when none is kept yet.
    pub keep_filter: Option<PathBuf>,
}

/// The container's first process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub init: ProcessRef,
    pub at: Timestamp,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub outcome: Outcome,
    /// The kernel killed a process of the container for its memory limit.
    pub oom_killed: bool,
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    Exited {
        code: i32,
    },
    Signaled {
        signal: i32,
    },
    /// It never ran; `message` is the runtime's.
    NotStarted {
        message: String,
    },
    /// Its shim died: it was killed, and its exit status is not known.
    Lost {
        message: String,
    },
}

/// A shell's and Docker's exit code for a process that a signal ended.
const SIGNAL_CODE_BASE: i32 = 128;

impl Exit {
    /// The exit code as Docker shows it, none when there is no such thing.
    pub fn code(&self) -> Option<i32> {
        match self.outcome {
            Outcome::Exited { code } => Some(code),
            Outcome::Signaled { signal } => Some(SIGNAL_CODE_BASE + signal),
            Outcome::NotStarted { .. } | Outcome::Lost { .. } => None,
        }
    }

    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        read_json(&dir.join(EXIT))
    }

    /// An exit status is reported onwards as final, so it must outlive a power failure.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        replace_json(&dir.join(EXIT), self, Durable::Yes)
    }
}

impl Started {
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        read_json(&dir.join(STARTED))
    }

    /// Not synced: no process outlives a power failure.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        replace_json(&dir.join(STARTED), self, Durable::No)
    }
}

impl ContainerRecord {
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        read_json(&dir.join(CONTAINER))
    }

    /// Not synced: no container outlives a power failure, and what lacks a record is cleared away.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        replace_json(&dir.join(CONTAINER), self, Durable::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_dockers() {
        fn check(outcome: Outcome, expect: Option<i32>) {
            let exit = Exit { outcome, oom_killed: false, started_at: None, ended_at: Timestamp::from_secs(1) };
            assert_eq!(exit.code(), expect);
            let text = serde_json::to_string(&exit).expect("serialise");
            assert_eq!(serde_json::from_str::<Exit>(&text).expect("parse"), exit);
        }
        check(Outcome::Exited { code: 7 }, Some(7));
        check(Outcome::Signaled { signal: 9 }, Some(137));
        check(Outcome::NotStarted { message: "no such file".into() }, None);
        check(Outcome::Lost { message: "shim gone".into() }, None);
    }
}
