//! Copies an image's files into a volume, as they are.
//!
//! No link is followed on either side: others may have the volume at the same time, and change it. Directories are
//! visited one after another, by their paths beneath the two roots, so that no depth takes descriptors or stack.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RawMode, ResolveFlags, SeekFrom, Stat, Timespec, Timestamps, XattrFlags,
    chmod, chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat, mkdirat, mknodat,
    openat, openat2, readlinkat, seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

/// Labels are the machine's to give.
const XATTR_LEFT: &str = "security.selinux";

/// Copies what is in the directory `from`; `into` itself becomes as `from` is. What is there already, of a copying
/// that was cut off, is replaced.
pub(super) fn copy(from: OwnedFd, into: &File) -> io::Result<()> {
    let mut copying = Copying { from, into: into.as_fd(), links: BTreeMap::new() };
    let mut found = vec![PathBuf::from(".")];
    let mut at = 0;
    while let Some(dir) = found.get(at).cloned() {
        copying.dir(&dir, &mut found)?;
        at += 1;
    }
    // The deepest first: whatever is made in a directory changes its time.
    found.iter().rev().try_for_each(|dir| copying.finish(dir))
}

struct Copying<'a> {
    from: OwnedFd,
    into: BorrowedFd<'a>,
    /// Device and inode of files with several names, and the first of these.
    links: BTreeMap<(u64, u64), PathBuf>,
}

impl Copying<'_> {
    fn dir(&mut self, dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        let (from, into) = (beneath(&self.from, dir)?, beneath(self.into, dir)?);
        for entry in Dir::read_from(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            let path = dir.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let stat = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    make_dir(&into, name)?;
                    found.push(path);
                }
                // Of a process that is not here.
                FileType::Socket => {}
                kind => self.file(&from, &into, name, &stat, kind, &path)?,
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        from: &OwnedFd,
        into: &OwnedFd,
        name: &CStr,
        stat: &Stat,
        kind: FileType,
        path: &Path,
    ) -> io::Result<()> {
        absent(unlinkat(into, name, AtFlags::empty()))?;
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                return self.link(first, into, name);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        match kind {
            FileType::RegularFile => regular(from, into, name, stat),
            FileType::Symlink => {
                let target: CString = readlinkat(from, name, Vec::new())?;
                symlinkat(&target, into, name)?;
                own(into, name, stat)
            }
            _ => {
                mknodat(into, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?;
                own(into, name, stat)?;
                let made = openat(into, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
                // There is no other way to change the mode of what is only held.
                Ok(chmod(format!("/proc/self/fd/{}", made.as_raw_fd()), mode(stat))?)
            }
        }
    }

    fn link(&self, first: &Path, into: &OwnedFd, name: &CStr) -> io::Result<()> {
        let above = beneath(self.into, first.parent().unwrap_or(Path::new(".")))?;
        let first = first.file_name().unwrap_or_default();
        Ok(linkat(above, first, into, name, AtFlags::empty())?)
    }

    fn finish(&self, dir: &Path) -> io::Result<()> {
        let (from, into) = (beneath(&self.from, dir)?, beneath(self.into, dir)?);
        become_as(&from, &into, &fstat(&from)?)
    }
}

/// Opens a directory that lies beneath `root`, with no link on the way.
fn beneath(root: impl AsFd, dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(root, dir, flags, Mode::empty(), resolve)?)
}

fn make_dir(into: &OwnedFd, name: &CStr) -> io::Result<()> {
    match mkdirat(into, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {
            let there = statat(into, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
                return Ok(());
            }
            unlinkat(into, name, AtFlags::empty())?;
            Ok(mkdirat(into, name, Mode::from_raw_mode(0o700))?)
        }
        other => Ok(other?),
    }
}

fn regular(from: &OwnedFd, into: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let reading = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = File::from(openat(from, name, reading, Mode::empty())?);
    let writing = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = File::from(openat(into, name, writing, Mode::from_raw_mode(0o600))?);
    copy_data(&source, &copy, stat.st_size.unsigned_abs())?;
    become_as(&source, &copy, stat)
}

/// Holes stay holes.
fn copy_data(source: &File, copy: &File, bytes: u64) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        at = match seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(source, SeekFrom::Hole(at))?;
        let (mut reader, mut writer) = (source, copy);
        reader.seek(io::SeekFrom::Start(at))?;
        writer.seek(io::SeekFrom::Start(at))?;
        io::copy(&mut reader.take(end - at), &mut writer)?;
        at = end;
    }
    copy.set_len(bytes)
}

/// Owner, attributes, mode and times, in this order: a new owner takes capabilities and set-id bits away.
fn become_as(from: impl AsFd, into: impl AsFd, stat: &Stat) -> io::Result<()> {
    fchown(&into, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    copy_xattrs(&from, &into)?;
    fchmod(&into, mode(stat))?;
    Ok(futimens(&into, &times(stat))?)
}

/// The same of what cannot be opened without being followed or waited for.
fn own(into: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(into, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(utimensat(into, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode as RawMode & 0o7777)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |tv_sec: i64, tv_nsec: u64| Timespec { tv_sec, tv_nsec: tv_nsec.cast_signed() };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// A file system that keeps no attributes is no reason not to copy.
fn copy_xattrs(from: impl AsFd, into: impl AsFd) -> io::Result<()> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let listed = match flistxattr(&from, &mut names) {
        Ok(listed) => listed,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; if listed > 0 { XATTR_BYTES_MAX } else { 0 }];
    for name in names[..listed].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if name.to_bytes() == XATTR_LEFT.as_bytes() {
            continue;
        }
        let length = fgetxattr(&from, name, &mut value)?;
        match fsetxattr(&into, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Linux's most for a list of attributes, and for the value of one (XATTR_LIST_MAX, XATTR_SIZE_MAX of linux/limits.h).
const XATTR_BYTES_MAX: usize = 64 << 10;

fn absent(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}
