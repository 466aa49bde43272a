//! What may be mounted at and beneath `/proc`: runc's rule, for runtimes that have none.
//!
//! Over `/proc` only another proc goes, and beneath it only the files that LXCFS shows. Other mounts there would hide
//! what is masked or read-only, and what programs and runtimes themselves read. runc has no such rule of `/sys`.

use super::Error;
use super::spec::ContainerSpec;
use rustix::fs::{PROC_SUPER_MAGIC, statfs};
use std::path::Path;

const PROC: &str = "/proc";

/// What runc lets be mounted beneath.
const ALLOWED: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// # Errors
/// [`Error::Start`] in runc's words, at whose start Docker finds out.
pub(crate) fn check(spec: &ContainerSpec) -> Result<(), Error> {
    let binds = spec.mounts.iter().map(|bind| (bind.target.as_str(), bind.source.as_path()));
    let volumes = spec.volumes.iter().map(|mount| (mount.target.as_str(), Path::new(&mount.volume.name)));
    let tmpfs = spec.tmpfs.iter().map(|tmpfs| (tmpfs.target.as_str(), Path::new("tmpfs")));
    binds.chain(volumes).chain(tmpfs).try_for_each(|(target, source)| match problem(Path::new(target), source) {
        None => Ok(()),
        Some(problem) => Err(Error::Start(format!(
            "OCI runtime create failed: unable to start container process: error during container init: \
             error mounting {source:?} to rootfs at {target:?}: {target:?} cannot be mounted because {problem}"
        ))),
    })
}

fn problem(target: &Path, source: &Path) -> Option<&'static str> {
    // Paths are compared by their parts: neither `//proc` nor `/proc/` is another.
    if !target.starts_with(PROC) || ALLOWED.iter().any(|allowed| target == Path::new(allowed)) {
        None
    } else if target != Path::new(PROC) {
        Some("it is inside /proc")
    } else {
        let is_proc = source.is_absolute() && statfs(source).is_ok_and(|found| found.f_type == PROC_SUPER_MAGIC);
        (!is_proc).then_some("it is not of type proc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::{BindMount, Tmpfs};

    #[test]
    fn proc_stays_what_it_is() {
        fn check(target: &str, source: &str, expect: &str) {
            let bind = BindMount { source: source.into(), target: target.into(), read_only: true };
            let spec = ContainerSpec { mounts: vec![bind], ..ContainerSpec::default() };
            let problem = super::check(&spec).err();
            let name = problem.as_ref().map(Error::ecs_name);
            let text = problem.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.ends_with(expect) && text.is_empty() == expect.is_empty(), "{target}: {text:?}");
            assert!(expect.is_empty() || name == Some("CannotStartContainerError"));
        }
        check(
            "/proc",
            "/tmp",
            "error mounting \"/tmp\" to rootfs at \"/proc\": \"/proc\" cannot be mounted because it is not of type proc",
        );
        check("//proc/", "/tmp", "it is not of type proc");
        check("/proc", "/proc", "");
        check("/proc/sys", "/tmp", "\"/proc/sys\" cannot be mounted because it is inside /proc");
        check("/proc/./1", "/tmp", "it is inside /proc");
        check("/proc/uptime", "/tmp", "");
        check("/process", "/tmp", "");
        check("/host/proc", "/proc", "");
        check("/sys", "/tmp", "");
        let tmpfs = Tmpfs { target: "/proc/acpi".into(), size_bytes: 1, options: Vec::new() };
        let spec = ContainerSpec { tmpfs: vec![tmpfs], ..ContainerSpec::default() };
        assert!(super::check(&spec).is_err());
    }
}
