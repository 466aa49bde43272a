//! Devices of the host as a container is given them.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};
use serde_json::{Value, json};

use super::Error;
use super::spec::Device;

/// What a privileged container gets of `/dev` otherwise or not at all: what the runtime makes itself, and what
/// belongs to one session or mount.
const NOT_HANDED_ON: [&str; 12] =
    ["console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"];
/// How deep `/dev` is searched.
const DEPTH_MAX: usize = 8;

/// A device node to make in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    path: String,
    /// `b` or `c`.
    kind: char,
    major: u32,
    minor: u32,
    /// Permission bits, owner and group of the host's own node.
    mode: u32,
    uid: u32,
    gid: u32,
    access: String,
}

impl Node {
    /// An entry of `linux.devices` of an OCI configuration.
    pub fn entry(&self) -> Value {
        let Self { path, kind, major, minor, mode, uid, gid, .. } = self;
        let kind = kind.to_string();
        json!({ "path": path, "type": kind, "major": major, "minor": minor, "fileMode": mode, "uid": uid, "gid": gid })
    }

    /// An entry of `linux.resources.devices`.
    pub fn rule(&self) -> Value {
        let Self { kind, major, minor, access, .. } = self;
        json!({ "allow": true, "type": kind.to_string(), "major": major, "minor": minor, "access": access })
    }
}

/// The nodes for what a task asks for; a directory stands for all devices below it, as in Docker.
pub(crate) fn resolve(asked: &[Device]) -> Result<Vec<Node>, Error> {
    let mut nodes = Vec::new();
    for device in asked {
        if !device.access.bytes().all(|b| b"rwm".contains(&b)) || device.access.is_empty() {
            let problem = format!("{:?} is not of the letters r, w and m", device.access);
            return Err(Error::Spec { field: "devices", problem });
        }
        let before = nodes.len();
        let failed = |source: io::Error| Error::Device { path: device.source.display().to_string(), source };
        gather(&device.source, &device.target, &device.access, &[], DEPTH_MAX, &mut nodes).map_err(failed)?;
        if nodes.len() == before {
            return Err(failed(io::Error::other("it is no device")));
        }
    }
    Ok(nodes)
}

/// All of the host's devices.
pub(crate) fn all() -> Result<Vec<Node>, Error> {
    let mut nodes = Vec::new();
    let gathered = gather(Path::new("/dev"), "/dev", "rwm", &NOT_HANDED_ON, DEPTH_MAX, &mut nodes);
    gathered.map_err(Error::io("list the host's devices"))?;
    Ok(nodes)
}

fn gather(
    source: &Path,
    target: &str,
    access: &str,
    without: &[&str],
    depth: usize,
    into: &mut Vec<Node>,
) -> io::Result<()> {
    let data = fs::metadata(source)?;
    let kind = match data.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        kind if kind.is_dir() && depth > 0 => {
            for entry in fs::read_dir(source)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // A link below a directory leads to what is found under its own name, or out of it.
                if without.contains(&name.as_str()) || entry.file_type()?.is_symlink() {
                    continue;
                }
                gather(&entry.path(), &format!("{target}/{name}"), access, &[], depth - 1, into)?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    into.push(Node {
        path: target.to_owned(),
        kind,
        major: major(data.rdev()),
        minor: minor(data.rdev()),
        mode: data.mode() & 0o777,
        uid: data.uid(),
        gid: data.gid(),
        access: access.to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(source: &str, access: &str) -> Device {
        Device { source: source.into(), target: "/dev/one".to_owned(), access: access.to_owned() }
    }

    #[test]
    fn a_node_is_the_hosts_under_another_name() {
        let nodes = resolve(&[device("/dev/null", "r")]).expect("there");
        let Node { path, kind, major, minor, access, .. } = &nodes[0];
        assert_eq!((path.as_str(), *kind, *major, *minor, access.as_str()), ("/dev/one", 'c', 1, 3, "r"));
        assert_eq!(nodes[0].rule(), json!({ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "r" }));
    }

    #[test]
    fn what_is_no_device_is_named() {
        fn check(source: &str, access: &str, expect: &str) {
            let error = resolve(&[device(source, access)]).expect_err("no device").to_string();
            assert!(error.contains(expect), "{error}");
        }
        check("/dev/none", "r", "\"/dev/none\": No such file");
        check("/etc/passwd", "r", "it is no device");
        check("/dev/null", "x", "letters r, w and m");
    }

    #[test]
    fn directories_and_the_whole_are_searched() {
        let all = all().expect("listed");
        assert!(all.iter().all(|node| !node.path.starts_with("/dev/pts/") && node.path != "/dev/null"));
        let below = resolve(&[device("/dev/pts", "rw")]).expect("there");
        assert!(below.iter().all(|node| node.path.starts_with("/dev/one/")), "{below:?}");
    }
}
