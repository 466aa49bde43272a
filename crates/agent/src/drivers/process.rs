//! Naming a process so that a later process under the same pid is not taken for it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process of this boot: its pid, and when it started in clock ticks since boot (proc(5), `stat`, field 22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    pub pid: i32,
    pub start_ticks: u64,
}

impl ProcessRef {
    /// Names the living (or not yet reaped) process `pid`.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start_ticks: start_ticks(pid)? })
    }

    /// A handle on the process, or none when it is gone and reaped.
    pub fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Asked after the handle is open: from here on the pid cannot come to mean another process.
        match start_ticks(self.pid) {
            Ok(ticks) if ticks == self.start_ticks => Ok(Some(handle)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn start_ticks(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_ticks(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has no start time")))
}

/// The name in field 2 may hold spaces and parentheses, so fields are counted from its last `)`.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_after_a_name_with_parentheses() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 10";
        assert_eq!(parse_start_ticks(stat), Some(4711));
    }

    #[test]
    fn we_are_ourselves_and_not_one_who_started_at_another_time() {
        let me = ProcessRef::of(std::process::id() as i32).expect("own stat");
        assert!(me.open().expect("open").is_some());
        let other = ProcessRef { start_ticks: me.start_ticks + 1, ..me };
        assert!(other.open().expect("open").is_none());
    }
}
