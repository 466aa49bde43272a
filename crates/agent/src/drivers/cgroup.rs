//! What must be known of control groups beside what the OCI runtime does with them:
//! which hierarchy the host has, whether swap is counted, whether the OOM killer struck, and limits that
//! containers share.

pub(crate) mod limits;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use serde::{Deserialize, Serialize};

/// Where every distribution mounts control groups.
const MOUNT: &str = "/sys/fs/cgroup";
/// Where a hybrid host mounts version 2 beside the controllers of version 1.
pub(crate) const HYBRID_MOUNT: &str = "/sys/fs/cgroup/unified";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// The host's arrangement of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Version 2 alone.
    Unified,
    /// Controllers in version 1, and a version 2 mount without them.
    Hybrid,
    /// Version 1 alone.
    Legacy,
}

impl Layout {
    pub fn detect() -> Self {
        if is_cgroup2(Path::new(MOUNT)) {
            Self::Unified
        } else if is_cgroup2(Path::new(HYBRID_MOUNT)) {
            Self::Hybrid
        } else {
            Self::Legacy
        }
    }
}

fn is_cgroup2(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.f_type as u64 == CGROUP2_MAGIC)
}

/// True when a limit on memory and swap together can be set; a runtime fails on one that cannot.
pub(crate) fn counts_swap(layout: Layout) -> bool {
    match layout {
        Layout::Unified => Path::new("/proc/swaps").exists() && unified_swap_file(),
        Layout::Hybrid | Layout::Legacy => Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists(),
    }
}

/// The root group has no limits of its own, so any child group is asked.
fn unified_swap_file() -> bool {
    let Ok(entries) = fs::read_dir(MOUNT) else { return false };
    entries.filter_map(Result::ok).any(|entry| entry.path().join("memory.swap.max").exists())
}

/// How many processes of the group the OOM killer has ended. Asked before the runtime removes the group.
pub(crate) fn oom_kills(group: &str) -> io::Result<u64> {
    let relative = group.trim_start_matches('/');
    let path = match Layout::detect() {
        Layout::Unified => Path::new(MOUNT).join(relative).join("memory.events"),
        Layout::Hybrid | Layout::Legacy => Path::new(MOUNT).join("memory").join(relative).join("memory.oom_control"),
    };
    Ok(parse_oom_kills(&fs::read_to_string(path)?))
}

/// Both files are lines of a name and a number, and both have one named `oom_kill`.
fn parse_oom_kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Removes the group and its empty children from every hierarchy; a group with processes stays.
pub(crate) fn remove(group: &str) -> io::Result<()> {
    for root in hierarchies()? {
        let path = root.join(group.trim_start_matches('/'));
        if path.is_dir() {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// The names of the group's children in any hierarchy.
pub(crate) fn children(group: &str) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for root in hierarchies()? {
        let path = root.join(group.trim_start_matches('/'));
        for entry in path.is_dir().then(|| fs::read_dir(path)).transpose()?.into_iter().flatten() {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
    }
    Ok(names)
}

fn hierarchies() -> io::Result<Vec<PathBuf>> {
    if Layout::detect() == Layout::Unified {
        return Ok(vec![PathBuf::from(MOUNT)]);
    }
    let entries = fs::read_dir(MOUNT)?.collect::<io::Result<Vec<_>>>()?;
    Ok(entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir() && !path.is_symlink()).collect())
}

/// A group's files vanish with it: only its child groups are removed first.
fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oom_kills_are_read_from_both_versions() {
        fn check(text: &str, expect: u64) {
            assert_eq!(parse_oom_kills(text), expect, "{text}");
        }
        check("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2);
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1);
        check("oom_kill_disable 0\nunder_oom 0\n", 0);
        check("", 0);
    }
}
