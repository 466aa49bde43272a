//! What stays of containers that ran: their directories, under `<data>/stopped`, for who wants to know why they
//! ended. They hold nothing of the host but room: mounts, network and control groups are gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::rootfs;
use super::spec::ContainerId;

const DIR: &str = "stopped";
/// Most that are kept, so that many short tasks do not use up the file system's entries; the oldest go first.
pub(crate) const REMAINS_MAX: usize = 1_000;

/// The node's stopped containers.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    dir: PathBuf,
}

impl Remains {
    pub fn of(data: &Path) -> Self {
        Self { dir: data.join(DIR) }
    }

    /// Moves the directory of a container here whose root is unmounted, from the same file system. Blocking.
    pub fn keep(&self, id: &ContainerId, container: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        // Its age begins now.
        File::open(container)?.set_modified(SystemTime::now())?;
        fs::rename(container, self.dir.join(id.as_str()))
    }

    /// Removes what ended before then, and what is too many. Answers how many went. Blocking.
    pub fn remove_before(&self, before: SystemTime) -> io::Result<usize> {
        let all = self.oldest_first()?;
        let excess = all.len().saturating_sub(REMAINS_MAX);
        let old = all.iter().enumerate().filter(|(at, (since, _))| *at < excess || *since < before);
        let mut removed = 0;
        for (_, (_, path)) in old {
            rootfs::remove_dir(path)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes one after the other, the oldest first, while `is_needed`. Answers how many went. Blocking.
    pub fn remove_while(&self, is_needed: impl Fn() -> io::Result<bool>) -> io::Result<usize> {
        let mut removed = 0;
        for (_, path) in self.oldest_first()? {
            if !is_needed()? {
                break;
            }
            rootfs::remove_dir(&path)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn oldest_first(&self) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut all = Vec::new();
        if self.dir.is_dir() {
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                all.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        all.sort();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(number: usize) -> ContainerId {
        format!("{number:064x}").parse().expect("an id")
    }

    /// Remains of so many containers, the first of which ended so many hours ago, each other an hour later.
    fn remains(dir: &tempfile::TempDir, count: usize) -> Remains {
        let remains = Remains::of(dir.path());
        for number in 0..count {
            let container = dir.path().join("container");
            fs::create_dir_all(container.join("upper")).expect("made");
            remains.keep(&id(number), &container).expect("kept");
            let hours = u64::try_from(count - number).expect("a number");
            let ended = SystemTime::now() - Duration::from_secs(hours * 3600);
            File::open(dir.path().join(DIR).join(id(number).as_str()))
                .and_then(|dir| dir.set_modified(ended))
                .expect("aged");
        }
        remains
    }

    fn left(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join(DIR)).expect("a folder").count()
    }

    #[test]
    fn what_is_kept_goes_by_age_by_number_and_by_need() {
        let dir = tempfile::tempdir().expect("a folder");
        let long_ago = SystemTime::UNIX_EPOCH;
        assert_eq!(Remains::of(dir.path()).remove_before(SystemTime::now()).expect("none"), 0);
        let remains = remains(&dir, REMAINS_MAX + 3);
        assert_eq!(remains.remove_before(long_ago).expect("removed"), 3);
        let two_hours_ago = SystemTime::now() - Duration::from_secs(2 * 3600 + 60);
        assert_eq!(remains.remove_before(two_hours_ago).expect("removed"), REMAINS_MAX - 2);
        assert_eq!(remains.remove_while(|| Ok(left(&dir) > 1)).expect("removed"), 1);
        assert!(dir.path().join(DIR).join(id(REMAINS_MAX + 2).as_str()).join("upper").is_dir(), "the newest went");
        assert_eq!(remains.remove_while(|| Ok(false)).expect("removed"), 0);
    }
}
