//! The directory in which a layer grows until it may have its name, and what removes one.

use super::UnpackError;
use super::error::at;
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How such directories are named, beside their destinations.
const PREFIX: &str = ".unpacking-";
/// Turns that removing a tree takes at the most while something is still written into it.
const SWEEPS_MAX: u32 = 64;
/// Names that are read from a directory before those are removed.
const NAMES_MAX: usize = 1000;

/// A directory that becomes `dest`, or nothing: dropped, it is removed.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    dest: PathBuf,
    named: bool,
}

impl Staging {
    /// An empty directory in `dest`'s own, which must exist.
    pub fn beside(dest: &Path) -> Result<Self, UnpackError> {
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).map_err(at(parent))?;
        Ok(Self { path: made.keep(), dest: dest.to_owned(), named: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its name, for good. Neither the name nor what is in it is synced.
    pub fn take_name(mut self) -> Result<(), UnpackError> {
        match fs::renameat_with(CWD, &self.path, CWD, &self.dest, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.named = true;
                Ok(())
            }
            Err(Errno::EXIST) => Err(UnpackError::Exists(self.dest.clone())),
            Err(error) => Err(at(&self.dest)(error.into())),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.named {
            // What cannot be removed now is found by `remove_leftovers`.
            _ = remove(&self.path);
        }
    }
}

/// Removes what processes that were killed had begun to unpack in `dir`. Nobody may be unpacking there.
pub fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a layer's tree, however deep it is: a layer can be deeper than paths are long, and than a
/// process has descriptors. What lies in a subdirectory is moved up until none is left.
pub fn remove(root: &Path) -> io::Result<()> {
    let top = match open(CWD, root) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0;
    for _ in 0..SWEEPS_MAX {
        while sweep(&top, &top, &mut moved)? {}
        match fs::unlinkat(CWD, root, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(Errno::NOENT) => return Ok(()),
            done => return Ok(done?),
        }
    }
    Err(io::Error::other(format!("{} is still being written", root.display())))
}

/// Empties a part of `dir`: files are removed, directories emptied in turn, or moved to the top from further
/// down. False when there is nothing.
fn sweep(top: &OwnedFd, dir: &OwnedFd, moved: &mut u64) -> io::Result<bool> {
    let at_top = std::ptr::eq(top, dir);
    let names = names(dir)?;
    for (name, is_dir) in &names {
        if !is_dir {
            fs::unlinkat(dir, name, AtFlags::empty())?;
        } else if at_top {
            let inner = open(dir.as_fd(), name)?;
            while sweep(top, &inner, moved)? {}
            fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
        } else {
            move_up(dir, name, top, moved)?;
        }
    }
    Ok(!names.is_empty())
}

/// Gives a directory a name at the top that nothing has there yet.
fn move_up(dir: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match fs::renameat_with(dir, name, top, format!("{PREFIX}{moved}"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
    }
}

fn open<P: rustix::path::Arg>(dir: BorrowedFd<'_>, path: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(dir, path, flags, Mode::empty())
}

/// Some of the names in a directory, and whether each is a directory's.
fn names(dir: &OwnedFd) -> io::Result<Vec<(CString, bool)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
            kind => kind,
        };
        names.push((name.to_owned(), kind == FileType::Directory));
        if names.len() == NAMES_MAX {
            break;
        }
    }
    Ok(names)
}
