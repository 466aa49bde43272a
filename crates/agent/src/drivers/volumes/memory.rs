//! Volumes in memory.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, mount as mount_at};

use crate::drivers::rootfs::mounts_below;

/// What is a flag of mount(2) and no option of tmpfs's own (mount(8)), and whether it sets the flag.
const FLAGS: [(&str, MountFlags, bool); 17] = [
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("atime", MountFlags::NOATIME, false),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("diratime", MountFlags::NODIRATIME, false),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
];

/// Mounts a tmpfs at `point`, if none is there already; what the kernel does not know of `options` it refuses.
pub(super) fn mount(point: &Path, options: &str) -> io::Result<()> {
    let above = point.parent().unwrap_or(point);
    if mounts_below(above)?.iter().any(|mounted| mounted == point) {
        return Ok(());
    }
    let (flags, data) = parse(options);
    let data = CString::new(data).map_err(io::Error::other)?;
    Ok(mount_at("tmpfs", point, "tmpfs", flags, Some(data.as_c_str()))?)
}

pub(super) fn is_read_only(options: &str) -> bool {
    parse(options).0.contains(MountFlags::RDONLY)
}

/// Flags, and options for tmpfs itself; a later one undoes an earlier one.
fn parse(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut rest = Vec::new();
    for word in options.split(',').filter(|word| !word.is_empty() && *word != "defaults") {
        match FLAGS.iter().find(|(name, ..)| *name == word) {
            Some((_, flag, set)) => flags.set(*flag, *set),
            None => rest.push(word),
        }
    }
    (flags, rest.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_flags_of_the_mount_or_of_tmpfs() {
        fn check(options: &str, flags: MountFlags, data: &str) {
            assert_eq!(parse(options), (flags, data.to_owned()), "{options}");
        }
        check("", MountFlags::empty(), "");
        check("size=1m,nosuid,uid=5", MountFlags::NOSUID, "size=1m,uid=5");
        check("noexec,exec,ro", MountFlags::RDONLY, "");
        check("defaults,remount", MountFlags::empty(), "remount");
        assert!(is_read_only("ro") && !is_read_only("ro,rw"));
    }
}
