//! The OCI runtime: which one starts containers on this host, and how it is called.
//!
//! Only the command-line contract is used (`run`, `kill`, `delete`), so crun, runc, runsc and Kata can take
//! each other's place. crun refuses hosts where controllers are split between both cgroup versions, unless the
//! version 2 mount is out of its sight; [`Runtime::in_view`] sees to that.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use super::bundle::{self, Host, ProcessUser};
use super::cgroup::{self, HYBRID_MOUNT, Layout};
use super::spec::{BindMount, ContainerSpec};
use base::is_disk_full;

/// The runtimes that are tried, best first.
pub const CANDIDATES: [&str; 2] = ["crun", "runc"];
/// Directories that are searched beside PATH: services often have a short one.
const SEARCH: [&str; 5] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/bin"];
/// What a trial container needs of the host to run `true`.
const TRIAL_DIRS: [&str; 7] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/nix"];
/// A trial that lasts longer has failed; good ones take some 20 ms.
const TRIAL_SECS_MAX: u64 = 10;
/// How much of a failed trial's complaint is kept.
const COMPLAINT_BYTES_MAX: u64 = 1024;

/// An OCI runtime that starts containers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// `crun` or `runc`.
    pub name: String,
    /// As it tells it, such as `1.8.1`.
    pub version: String,
    pub path: PathBuf,
    /// It is started where the version 2 mount of a hybrid host is out of sight.
    pub hides_hybrid_mount: bool,
}

impl Runtime {
    /// The first of `candidates` that runs a container to its end. `scratch` is a directory to work in,
    /// `cgroup_root` the group that containers are put under.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] with what each candidate complained of.
    pub fn probe(candidates: &[&str], scratch: &Path, cgroup_root: &str) -> Result<Self, Error> {
        let mut complaints = Vec::new();
        for name in candidates {
            let Some(path) = find(name) else {
                complaints.push(format!("{name}: not installed"));
                continue;
            };
            for hides_hybrid_mount in attempts() {
                let name = (*name).to_owned();
                let runtime = Self { version: version(&path), name, path: path.clone(), hides_hybrid_mount };
                match runtime.try_out(scratch, cgroup_root) {
                    Ok(()) => return Ok(runtime),
                    // No other runtime would do better.
                    Err(error) if is_disk_full(&error) => return Err(Error::io("try an OCI runtime")(error)),
                    Err(error) => complaints.push(format!("{}: {error}", runtime.name)),
                }
            }
        }
        Err(Error::NoRuntime(complaints.join("; ")))
    }

    /// Whether a mount can be read-only with all that is mounted beneath it: mount_setattr(2) came with Linux 5.12,
    /// and `rro` of the runtime specification with crun 1.4 and runc 1.1.
    pub(crate) fn mounts_recursively_read_only(&self) -> bool {
        let known = match self.name.as_str() {
            "crun" => (1, 4),
            "runc" => (1, 1),
            _ => return false,
        };
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        numbers(&self.version) >= known && numbers(&kernel) >= (5, 12)
    }

    /// The runtime's command, up to its verb; `root` is where it keeps its state, `log` where it complains.
    pub(crate) fn command(&self, root: &str, log: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--root", root, "--log-format", "json", "--log"]).arg(log);
        command
    }

    /// Calls `f`, which starts the runtime, where this runtime can do its work. The calling thread must be a
    /// process's only one, or one of its own: its root and working directory end up at `/`.
    pub(crate) fn in_view<T>(&self, f: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if !self.hides_hybrid_mount {
            return f();
        }
        let home = File::open("/proc/thread-self/ns/mnt")?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        unmount(HYBRID_MOUNT, UnmountFlags::DETACH)?;
        let result = f();
        // Staying would keep every container's root mounted that is mounted now.
        setns(home, CloneFlags::CLONE_NEWNS)?;
        result
    }

    /// Runs `true` in a container that shows the host's own programs.
    fn try_out(&self, scratch: &Path, cgroup_root: &str) -> io::Result<()> {
        let id = format!("probe-{}", std::process::id());
        let bundle = scratch.join(&id);
        fs::create_dir_all(bundle.join(super::rootfs::ROOTFS))?;
        let tried = trial_config(&format!("{cgroup_root}/{id}"))
            .and_then(|config| fs::write(bundle.join(super::records::CONFIG), config.to_string()))
            .and_then(|()| thread::scope(|scope| joined(scope.spawn(|| self.run_trial(&bundle, &id)))));
        let cleared = fs::remove_dir_all(&bundle);
        tried.and(cleared)
    }

    fn run_trial(&self, bundle: &Path, id: &str) -> io::Result<()> {
        let root = bundle.join("state").to_string_lossy().into_owned();
        let log = bundle.join(super::records::RUNTIME_LOG);
        let mut run = self.command(&root, &log);
        run.args(["run", "--bundle"]).arg(bundle).arg(id);
        let ended = self.in_view(|| finish_within(&mut run, Duration::from_secs(TRIAL_SECS_MAX)));
        let mut delete = self.command(&root, &log);
        let deleted = finish_within(delete.args(["delete", "--force", id]), Duration::from_secs(TRIAL_SECS_MAX));
        match ended? {
            true => deleted.map(|_| ()),
            false => Err(io::Error::other(complaint(&log))),
        }
    }
}

/// As it is, and on a hybrid host also with help.
fn attempts() -> Vec<bool> {
    if Layout::detect() == Layout::Hybrid { vec![false, true] } else { vec![false] }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SEARCH.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The last word of the first line: `crun version 1.8.1`, `runc version 1.1.5+ds1`.
fn version(path: &Path) -> String {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let word = text.lines().next().and_then(|line| line.split_whitespace().last());
    word.unwrap_or("unknown").to_owned()
}

/// The first two numbers of a version such as `5.12.0-rc1` or `1.1.5+ds1`.
fn numbers(version: &str) -> (u32, u32) {
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let mut parts = version.split('.').map(digits);
    let mut next = || parts.next().flatten().unwrap_or_default();
    (next(), next())
}

fn trial_config(cgroup: &str) -> io::Result<Value> {
    let here = TRIAL_DIRS.iter().filter(|dir| Path::new(dir).is_dir());
    let mounts = here.map(|dir| BindMount { source: dir.into(), target: (*dir).to_owned(), read_only: true });
    let spec = ContainerSpec {
        args: vec!["true".into()],
        hostname: "probe".into(),
        mounts: mounts.collect(),
        memory_limit_bytes: Some(64 << 20),
        pids_limit: Some(64),
        ..ContainerSpec::default()
    };
    let layout = Layout::detect();
    let counts_swap = cgroup::counts_swap(layout);
    let host = Host {
        user: ProcessUser::default(),
        netns: None,
        etc: Vec::new(),
        volumes: Vec::new(),
        // The trial is made before it is known.
        recursively_read_only: false,
        cgroup,
        layout,
        counts_swap,
        nofile_max: bundle::nofile_max(),
        givable_caps: bundle::caps::givable(),
        init: Path::new(""),
        sandbox: None,
        devices: Vec::new(),
    };
    bundle::config(&spec, &host).map_err(io::Error::other)
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the trial's thread panicked")))
}

/// Whether the command ended well in time; one that does not end is killed and has not.
fn finish_within(command: &mut Command, time: Duration) -> io::Result<bool> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let limit = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: 0 };
    if poll(&mut [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)], Some(&limit))? == 0 {
        pidfd_send_signal(&handle, Signal::KILL)?;
    }
    Ok(child.wait()?.success())
}

/// The last message of a runtime's JSON log, shortened; what runtimes write there varies in all but `msg`.
pub(crate) fn complaint(log: &Path) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|file| file.take(64 * COMPLAINT_BYTES_MAX).read_to_string(&mut text));
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let last = messages.filter_map(|entry| entry["msg"].as_str().map(str::to_owned)).next_back();
    match (read, last) {
        (_, Some(message)) => shortened(message),
        (Ok(_), None) => "the runtime failed without a message".to_owned(),
        (Err(error), None) => format!("the runtime failed, and its log cannot be read: {error}"),
    }
}

fn shortened(mut text: String) -> String {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at as u64 >= COMPLAINT_BYTES_MAX);
    text.truncate(end.unwrap_or(text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        fn check(version: &str, expect: (u32, u32)) {
            assert_eq!(numbers(version), expect, "{version}");
        }
        check("1.8.1", (1, 8));
        check("1.1.5+ds1", (1, 1));
        check("5.12-rc1", (5, 12));
        check("6.18.44-cloud", (6, 18));
        check("unknown", (0, 0));
        let runtime = |name: &str, version: &str| Runtime {
            name: name.to_owned(),
            version: version.to_owned(),
            path: PathBuf::new(),
            hides_hybrid_mount: false,
        };
        assert!(!runtime("crun", "0.17").mounts_recursively_read_only());
        assert!(!runtime("runsc", "9.9").mounts_recursively_read_only());
    }

    #[test]
    fn a_runtime_is_found_by_trying() {
        let dir = tempfile::tempdir().expect("temp dir");
        let cgroup_root = format!("/longshore-test-{}", std::process::id());
        let missing = Runtime::probe(&["no-such-runtime"], dir.path(), &cgroup_root).expect_err("not installed");
        assert!(missing.to_string().contains("no-such-runtime: not installed"), "{missing}");
        let runtime = Runtime::probe(&CANDIDATES, dir.path(), &cgroup_root).expect("crun or runc, as root");
        assert!(CANDIDATES.contains(&runtime.name.as_str()));
        assert!(runtime.version.starts_with(|c: char| c.is_ascii_digit()), "{runtime:?}");
        assert_eq!(fs::read_dir(dir.path()).expect("scratch").count(), 0, "the trial leaves nothing behind");
        cgroup::remove(&cgroup_root).expect("remove the trial's cgroup");
    }

    #[test]
    fn the_last_complaint_is_told() {
        let dir = tempfile::tempdir().expect("temp dir");
        let log = dir.path().join("log");
        fs::write(&log, "{\"msg\":\"first\"}\nnoise\n{\"level\":\"error\",\"msg\":\"second\"}\n").expect("write");
        assert_eq!(complaint(&log), "second");
        assert!(complaint(&dir.path().join("none")).contains("cannot be read"));
    }
}
