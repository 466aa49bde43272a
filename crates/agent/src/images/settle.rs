//! Layers outlive a power cut, or are gone: without a launch having to wait for the disk.
//!
//! A layer is used as soon as it is unpacked, and reaches the disk meanwhile. Until it has, a mark beside it
//! names the boot of the machine in which it was unpacked. A mark of an earlier boot says that the power went
//! too early: what is there of the layer is not to be trusted, and is removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci::unpack::remove;

use crate::drivers::files::absent_is_fine;

/// Before the layer's name, the name of its mark.
const PREFIX: &str = ".unsettled-";

/// Marks the layer that is about to be at `layer`. The mark itself is on the disk before.
pub(super) fn mark(layer: &Path) -> io::Result<()> {
    let path = mark_of(layer)?;
    let mut mark = File::create(&path)?;
    mark.write_all(boot()?.as_bytes())?;
    mark.sync_all()?;
    sync(path.parent())
}

/// The layer at `layer` is no more.
pub(super) fn unmark(layer: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(mark_of(layer)?))
}

/// Brings the layers in `dir` to the disk, and removes their marks; removes layers that cannot be trusted.
/// Those that are marked meanwhile stay so.
pub(super) fn settle(dir: &Path) -> io::Result<()> {
    let (boot, mut here) = (boot()?, Vec::new());
    for mark in marks(dir)? {
        if fs::read_to_string(&mark.0)? == boot {
            here.push(mark);
        } else {
            remove(&mark.1)?;
            fs::remove_file(mark.0)?;
        }
    }
    // A mark without its layer is of one that is not there yet, or was removed: the next turn's, if any.
    here.retain(|(_, layer)| layer.is_dir());
    if here.is_empty() {
        return Ok(());
    }
    rustix::fs::syncfs(File::open(dir)?)?;
    here.into_iter().try_for_each(|(mark, _)| absent_is_fine(fs::remove_file(mark)))
}

/// Every mark, and the layer that it is of.
fn marks(dir: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut marks = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(layer) = name.to_string_lossy().strip_prefix(PREFIX) {
            marks.push((dir.join(&name), dir.join(layer)));
        }
    }
    Ok(marks)
}

fn mark_of(layer: &Path) -> io::Result<PathBuf> {
    let name = layer.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(layer.with_file_name(format!("{PREFIX}{}", name.to_string_lossy())))
}

fn sync(dir: Option<&Path>) -> io::Result<()> {
    File::open(dir.ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()
}

/// What the kernel calls this boot of the machine.
fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a folder, sorted.
    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("listed");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_layer_is_kept_when_it_reached_the_disk_and_no_longer_marked() {
        let dir = tempfile::tempdir().expect("a folder");
        mark(&dir.path().join("one")).expect("marked");
        settle(dir.path()).expect("settled");
        assert_eq!(names(dir.path()), [".unsettled-one"], "it is not there yet");
        fs::create_dir(dir.path().join("one")).expect("a layer");
        settle(dir.path()).expect("settled");
        assert_eq!(names(dir.path()), ["one"]);
    }

    #[test]
    fn a_layer_of_an_earlier_boot_that_did_not_reach_the_disk_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        for layer in ["one", "two"] {
            fs::create_dir(dir.path().join(layer)).expect("a layer");
        }
        mark(&dir.path().join("one")).expect("marked");
        fs::write(dir.path().join(".unsettled-one"), "another boot\n").expect("as after a power cut");
        settle(dir.path()).expect("settled");
        assert_eq!(names(dir.path()), ["two"]);
    }

    #[test]
    fn a_layer_that_was_removed_leaves_no_mark() {
        let dir = tempfile::tempdir().expect("a folder");
        let layer = dir.path().join("one");
        mark(&layer).expect("marked");
        unmark(&layer).expect("unmarked");
        unmark(&layer).expect("unmarked again");
        assert!(names(dir.path()).is_empty());
    }
}
