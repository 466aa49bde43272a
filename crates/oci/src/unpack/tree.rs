//! Writing beneath one directory, whatever the paths say.

use super::UnpackError;
use super::sparse::Sparse;
use super::tar::{Entry, Mtime, Record};
use crate::text;
use rustix::fs::{
    self, AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use tar::EntryType;

/// How overlayfs marks a directory that hides what is beneath it (kernel documentation, "overlayfs").
pub(super) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
pub(super) const OPAQUE_VALUE: &[u8; 1] = b"y";
/// What a whiteout's name begins with, before the name that it removes.
const WHITEOUT: &[u8] = b".wh.";
/// The whiteout of everything beneath a directory.
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that AUFS kept for itself; they say nothing of the content.
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// The character device that is a whiteout to overlayfs: its major and minor number (kernel documentation, "overlayfs").
const WHITEOUT_DEVICE: (u32, u32) = (0, 0);
/// Longest name and value of an extended attribute, in bytes: Linux's XATTR_NAME_MAX and XATTR_SIZE_MAX.
const XATTR_NAME_BYTES_MAX: usize = 255;
const XATTR_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Longest path, in bytes, and longest name: Linux's PATH_MAX without its zero, and NAME_MAX.
const PATH_BYTES_MAX: usize = 4095;
const NAME_BYTES_MAX: usize = 255;
/// Only we look into the tree while it grows.
const MODE_WHILE_WRITING: RawMode = 0o700;
/// What a directory has that the layer does not list.
const MODE_UNLISTED: RawMode = 0o755;
/// Tries of a lookup that the kernel gives up because something was renamed
/// meanwhile, on any file system (openat2, EAGAIN).
const LOOKUP_TRIES: u32 = 64;
/// Bytes of a file's content between stream and file.
const BUFFER_BYTES: usize = 64 * 1024;

/// A layer's tree as it grows. What it holds in memory does not grow with it.
pub(super) struct Tree {
    root: Rc<OwnedFd>,
    /// The root's own, put on it at the end: until then it lets in nobody but us.
    root_attributes: Attributes,
    /// The directory of the last entry: most entries follow a sibling.
    here: Option<Here>,
    /// Directories that entries beneath them brought about.
    unlisted: u64,
    unlisted_max: u64,
    buffer: Box<[u8]>,
}

/// The one directory that is written into. Writing changes its time, which is put back when it is left.
struct Here {
    /// None where a link that led here may be another one by now.
    path: Option<Vec<u8>>,
    dir: Rc<OwnedFd>,
    times: Timestamps,
}

#[derive(Clone, Debug)]
struct Attributes {
    mode: RawMode,
    uid: u32,
    gid: u32,
    mtime: Option<Mtime>,
    xattrs: Vec<Record>,
}

/// An error's context: the path as the layer has it.
fn on(path: &[u8]) -> impl Fn(Errno) -> UnpackError + '_ {
    move |error| match blame(error) {
        Some(why) => UnpackError::refused(path, why),
        None => UnpackError::Io { path: text::name(path), source: error.into() },
    }
}

/// What an errno says of the layer, if it is not about this machine.
fn blame(error: Errno) -> Option<&'static str> {
    match error {
        Errno::NOTDIR => Some("it is beneath what is not a directory"),
        Errno::LOOP => Some("it is beneath links that lead in circles"),
        Errno::NAMETOOLONG => Some("it is a link to too long a path"),
        Errno::INVAL | Errno::RANGE | Errno::TOOBIG => Some("an attribute of it is not valid on this file system"),
        _ => None,
    }
}

impl Tree {
    /// A tree whose root is the empty directory `root`.
    pub(super) fn open(root: &Path, unlisted_max: u64) -> Result<Self, UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(CWD, root, flags, Mode::empty()).map_err(on(root.as_os_str().as_encoded_bytes()))?;
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        let root_attributes = Attributes::unlisted();
        Ok(Self { root: Rc::new(fd), root_attributes, here: None, unlisted: 0, unlisted_max, buffer })
    }

    /// Writes one entry; `content` is read for files alone.
    pub(super) fn write(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = relative(&entry.path, &entry.path)?;
        let attributes = Attributes::of(entry)?;
        let (parent, name) = split(&path);
        if name.is_empty() {
            // The layer's root itself.
            if entry.kind != EntryType::Directory {
                return Err(UnpackError::refused(&entry.path, "the root of a layer can only be a directory"));
            }
            self.root_attributes = attributes;
            return Ok(());
        }
        if is_masked_device(entry.kind, parent) {
            return Ok(());
        }
        let dir = self.enter(parent).map_err(|error| error.about(&entry.path))?;
        if name.starts_with(WHITEOUT) {
            return whiteout(&dir, &path);
        }
        match entry.kind {
            EntryType::Directory => self.make_directory(&dir, &path, &attributes),
            EntryType::Regular | EntryType::Continuous => {
                // Hardly ever in anything's way, so tried first.
                let file = match create_file(&dir, name) {
                    Err(Errno::EXIST) => {
                        self.make_way(&dir, &path)?;
                        create_file(&dir, name)
                    }
                    created => created,
                };
                let file = file.map_err(on(&path))?;
                self.write_content(&file, &path, entry.sparse.as_ref(), content)?;
                attributes.put_on(&file.into()).map_err(on(&path))
            }
            EntryType::Symlink => {
                self.make_way(&dir, &path)?;
                write_symlink(&dir, &path, &entry.link, &attributes)
            }
            EntryType::Link => self.write_hard_link(&dir, &path, entry),
            EntryType::Fifo => {
                self.make_way(&dir, &path)?;
                write_fifo(&dir, &path, &attributes)
            }
            // As overlayfs keeps a whiteout, in layers that were packed from its own directories.
            EntryType::Char if entry.device == Some(WHITEOUT_DEVICE) => hide(&dir, &path, name),
            kind => Err(UnpackError::refused(&entry.path, unsupported(kind))),
        }
    }

    /// Puts on what was left for the end.
    pub(super) fn finish(mut self) -> Result<(), UnpackError> {
        self.leave()?;
        self.root_attributes.put_on(&self.root).map_err(on(b"."))
    }

    /// Opens a directory beneath the root, following links as if the root were `/`.
    fn lookup(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut tries = LOOKUP_TRIES;
        loop {
            match fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
                opened => return opened,
            }
        }
    }

    /// The directory at `path`, made with its parents where missing, to be written into.
    fn enter(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, UnpackError> {
        if let Some(here) = self.here.as_ref().filter(|here| here.path.as_deref() == Some(path)) {
            return Ok(here.dir.clone());
        }
        self.leave()?;
        let dir = match path {
            b"" => self.root.clone(),
            path => Rc::new(self.lookup_or_make(path)?),
        };
        let times = times_of(&fs::fstat(&dir).map_err(on(path))?);
        self.here = Some(Here { path: Some(path.to_vec()), dir: dir.clone(), times });
        Ok(dir)
    }

    fn lookup_or_make(&mut self, path: &[u8]) -> Result<OwnedFd, UnpackError> {
        let (there, found) = match self.lookup(path) {
            // A whiteout on the way is no directory yet.
            Err(Errno::NOENT | Errno::NOTDIR) => self.longest_there(path).map_err(on(path))?,
            found => return found.map_err(on(path)),
        };
        let times = times_of(&fs::fstat(&found).map_err(on(path))?);
        let mut missing = path[there..].split(|b| *b == b'/').filter(|name| !name.is_empty());
        let below = missing.next().map(|name| self.make_unlisted(&found, name, path)).transpose()?;
        fs::futimens(&found, &times).map_err(on(path))?;
        missing.try_fold(below.unwrap_or(found), |above, name| self.make_unlisted(&above, name, path))
    }

    /// How much of a path that is not there is, and its last directory. Halves, since a path can have 2,000 parts.
    fn longest_there(&self, path: &[u8]) -> Result<(usize, OwnedFd), Errno> {
        let ends: Vec<usize> = (0..path.len()).filter(|at| path[*at] == b'/').collect();
        let mut longest = (0, self.lookup(b".")?);
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.lookup(&path[..ends[middle]]) {
                Ok(dir) => (low, longest) = (middle + 1, (ends[middle], dir)),
                Err(Errno::NOENT | Errno::NOTDIR) => high = middle,
                Err(error) => return Err(error),
            }
        }
        Ok(longest)
    }

    /// Puts back the time of the directory that was written into.
    fn leave(&mut self) -> Result<(), UnpackError> {
        let Some(here) = self.here.take() else { return Ok(()) };
        fs::futimens(&here.dir, &here.times).map_err(on(here.path.as_deref().unwrap_or_default()))
    }

    fn make_unlisted(&mut self, above: &OwnedFd, name: &[u8], path: &[u8]) -> Result<OwnedFd, UnpackError> {
        self.unlisted += 1;
        if self.unlisted > self.unlisted_max {
            return Err(UnpackError::TooManyEntries { limit: self.unlisted_max });
        }
        match stat(above, name).map_err(on(path))? {
            Some(there) if kind(&there) == FileType::Symlink => {
                Err(UnpackError::refused(path, "it is beneath a link to a directory that the layer lacks"))
            }
            Some(there) if !is_whiteout(&there) => Err(on(path)(Errno::NOTDIR)),
            there => {
                let made = new_directory(above, name, there.is_some()).map_err(on(path))?;
                Attributes::unlisted().put_on(&made).map_err(on(path))?;
                Ok(made)
            }
        }
    }

    fn make_directory(&mut self, dir: &OwnedFd, path: &[u8], attributes: &Attributes) -> Result<(), UnpackError> {
        let (_, name) = split(path);
        let there = stat(dir, name).map_err(on(path))?;
        let made = if there.is_some_and(|there| kind(&there) == FileType::Directory) {
            open_directory(dir, name).map_err(on(path))?
        } else {
            let over_whiteout = there.is_some_and(|there| is_whiteout(&there));
            if !over_whiteout {
                self.make_way(dir, path)?;
            }
            new_directory(dir, name, over_whiteout).map_err(on(path))?
        };
        attributes.put_on(&made).map_err(on(path))
    }

    /// Removes what an entry replaces, the last of a name being the one that counts.
    fn make_way(&mut self, dir: &OwnedFd, path: &[u8]) -> Result<(), UnpackError> {
        let (_, name) = split(path);
        match stat(dir, name).map_err(on(path))? {
            None => Ok(()),
            Some(there) if kind(&there) == FileType::Directory => {
                Err(UnpackError::refused(path, "it would replace a directory of the same layer"))
            }
            Some(_) => {
                // It may have been a link on the way to this directory.
                if let Some(here) = &mut self.here {
                    here.path = None;
                }
                fs::unlinkat(dir, name, AtFlags::empty()).map_err(on(path))
            }
        }
    }

    /// A second name for a file of the same layer.
    fn write_hard_link(&mut self, dir: &OwnedFd, path: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let absent = || UnpackError::refused(&entry.path, "it is a hard link to what the layer does not have");
        let target = relative(&entry.link, &entry.path)?;
        self.make_way(dir, path)?;
        let (target_parent, target_name) = split(&target);
        if target_name.is_empty() {
            return Err(absent());
        }
        let target_dir = match target_parent {
            b"" => self.root.clone(),
            parent => Rc::new(self.lookup(parent).map_err(|_| absent())?),
        };
        let found = stat(&target_dir, target_name).map_err(on(path))?.ok_or_else(absent)?;
        if !matches!(kind(&found), FileType::RegularFile | FileType::Symlink | FileType::Fifo) {
            return Err(UnpackError::refused(&entry.path, "it is a hard link to what is neither file nor link"));
        }
        // Without AT_SYMLINK_FOLLOW, a link to a link is a second name of the link.
        let (_, name) = split(path);
        fs::linkat(&target_dir, target_name, dir, name, AtFlags::empty()).map_err(on(path))
    }

    /// Copies a file's content: all of it, or the parts between a sparse file's holes.
    fn write_content(
        &mut self,
        file: &File,
        path: &[u8],
        sparse: Option<&Sparse>,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Io { path: text::name(path), source };
        let Some(sparse) = sparse else { return self.copy(file, path, content) };
        for part in &sparse.parts {
            (&*file).seek(SeekFrom::Start(part.offset)).map_err(failed)?;
            self.copy(file, path, &mut content.take(part.len))?;
        }
        file.set_len(sparse.size).map_err(failed)
    }

    fn copy(&mut self, mut file: &File, path: &[u8], content: &mut impl Read) -> Result<(), UnpackError> {
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(UnpackError::from_read(error)),
            };
            let written = file.write_all(&self.buffer[..count]);
            written.map_err(|source| UnpackError::Io { path: text::name(path), source })?;
        }
    }
}

/// A device where every container has a `/dev` of its own over the image's: nobody would ever see it.
/// Trees of debootstrap and old base images bring a few.
fn is_masked_device(kind: EntryType, parent: &[u8]) -> bool {
    matches!(kind, EntryType::Block | EntryType::Char) && parent == b"dev"
}

/// Writes the whiteout that stands at `path`, in `dir`.
fn whiteout(dir: &OwnedFd, path: &[u8]) -> Result<(), UnpackError> {
    let (_, name) = split(path);
    if name == WHITEOUT_OPAQUE {
        return make_opaque(dir).map_err(on(path));
    }
    if name.starts_with(WHITEOUT_META) {
        return Ok(());
    }
    let removed = &name[WHITEOUT.len()..];
    if matches!(removed, b"" | b"." | b"..") {
        return Err(UnpackError::refused(path, "it removes no name"));
    }
    hide(dir, path, removed)
}

/// Hides what the layers beneath have under the name `removed`, for the entry at `path`.
fn hide(dir: &OwnedFd, path: &[u8], removed: &[u8]) -> Result<(), UnpackError> {
    match stat(dir, removed).map_err(on(path))? {
        None => {
            let device = fs::makedev(WHITEOUT_DEVICE.0, WHITEOUT_DEVICE.1);
            fs::mknodat(dir, removed, FileType::CharacterDevice, Mode::empty(), device).map_err(on(path))
        }
        // A whiteout is about the layers beneath: what this layer has stays.
        Some(there) if kind(&there) == FileType::Directory => {
            open_directory(dir, removed).and_then(|dir| make_opaque(&dir)).map_err(on(path))
        }
        Some(_) => Ok(()),
    }
}

/// Makes a directory, in the place of a whiteout if there is one: what is beneath then stays hidden.
fn new_directory(dir: &OwnedFd, name: &[u8], over_whiteout: bool) -> Result<OwnedFd, Errno> {
    if over_whiteout {
        fs::unlinkat(dir, name, AtFlags::empty())?;
    }
    fs::mkdirat(dir, name, Mode::from_raw_mode(MODE_WHILE_WRITING))?;
    let made = open_directory(dir, name)?;
    if over_whiteout {
        make_opaque(&made)?;
    }
    Ok(made)
}

fn make_opaque(dir: &OwnedFd) -> Result<(), Errno> {
    fs::fsetxattr(dir, OPAQUE_XATTR, OPAQUE_VALUE, XattrFlags::empty())
}

/// The directory of that name, never through a link.
fn open_directory(dir: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(dir, name, flags, Mode::empty())
}

impl Attributes {
    fn of(entry: &Entry) -> Result<Self, UnpackError> {
        // The highest id means "leave as it is" to chown.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let wrong = || UnpackError::refused(&entry.path, "its owner is not a 32-bit id");
        let mut xattrs = Vec::new();
        for (name, value) in &entry.xattrs {
            if name.contains(&0) {
                return Err(UnpackError::refused(&entry.path, "an extended attribute's name has a zero byte"));
            }
            if name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.") {
                return Err(UnpackError::refused(&entry.path, "it has an extended attribute that steers overlayfs"));
            }
            if name.len() > XATTR_NAME_BYTES_MAX || value.len() > XATTR_VALUE_BYTES_MAX {
                let why = "an extended attribute has more than 255 bytes of name or 64 KiB of value";
                return Err(UnpackError::refused(&entry.path, why));
            }
            if name == b"security.capability" || name.starts_with(b"user.") {
                xattrs.push((name.clone(), value.clone()));
            }
        }
        let (uid, gid) = (id(entry.uid).ok_or_else(wrong)?, id(entry.gid).ok_or_else(wrong)?);
        Ok(Self { mode: entry.mode, uid, gid, mtime: Some(entry.mtime), xattrs })
    }

    fn unlisted() -> Self {
        Self { mode: MODE_UNLISTED, uid: 0, gid: 0, mtime: None, xattrs: Vec::new() }
    }

    /// Owner first: chown takes away setuid and capabilities.
    fn put_on(&self, fd: &OwnedFd) -> Result<(), Errno> {
        fs::fchown(fd, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        fs::fchmod(fd, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            fs::fsetxattr(fd, name, value, XattrFlags::empty())?;
        }
        self.mtime.map_or(Ok(()), |mtime| fs::futimens(fd, &times(mtime)))
    }

    /// The same for what cannot be opened: links and pipes.
    fn put_at(&self, dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        let (owner, group) = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        fs::chownat(dir, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        self.mtime.map_or(Ok(()), |mtime| fs::utimensat(dir, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW))
    }
}

/// A new file, of nobody's but ours until its attributes are put on it.
fn create_file(dir: &OwnedFd, name: &[u8]) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(MODE_WHILE_WRITING & 0o600);
    fs::openat(dir, name, flags, mode).map(File::from)
}

fn write_symlink(dir: &OwnedFd, path: &[u8], target: &[u8], attributes: &Attributes) -> Result<(), UnpackError> {
    let (_, name) = split(path);
    if !attributes.xattrs.is_empty() {
        return Err(UnpackError::refused(path, "a symbolic link cannot have these extended attributes"));
    }
    if target.contains(&0) {
        return Err(UnpackError::refused(path, "it is a link to a path with a zero byte"));
    }
    if target.is_empty() {
        return Err(UnpackError::refused(path, "it is a link to nothing"));
    }
    fs::symlinkat(target, dir, name).map_err(on(path))?;
    attributes.put_at(dir, name).map_err(on(path))
}

fn write_fifo(dir: &OwnedFd, path: &[u8], attributes: &Attributes) -> Result<(), UnpackError> {
    let (_, name) = split(path);
    if !attributes.xattrs.is_empty() {
        return Err(UnpackError::refused(path, "a pipe cannot have these extended attributes"));
    }
    fs::mknodat(dir, name, FileType::Fifo, Mode::empty(), 0).map_err(on(path))?;
    attributes.put_at(dir, name).map_err(on(path))?;
    // Made by us a moment ago, so no link: chmod follows none.
    fs::chmodat(dir, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty()).map_err(on(path))
}

const fn unsupported(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Block | EntryType::Char => "layers may not bring devices: give them to the container instead",
        _ => "its type is unknown",
    }
}

/// A path as the tree uses it: relative, without `.` and empty parts; the root
/// is empty. `..` is refused rather than resolved: no builder writes it.
fn relative(path: &[u8], entry: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let mut clean = Vec::with_capacity(path.len());
    for part in path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if part == b".." {
            return Err(UnpackError::refused(entry, "its path has '..'"));
        }
        if part.len() > NAME_BYTES_MAX || part.contains(&0) {
            return Err(UnpackError::refused(entry, "a name in its path is too long or has a zero byte"));
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(part);
    }
    if clean.len() > PATH_BYTES_MAX {
        return Err(UnpackError::refused(entry, "its path is too long"));
    }
    Ok(clean)
}

/// Parent and name of a [`relative`] path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// What is there under that name, itself and not where it leads.
fn stat(dir: &OwnedFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == fs::makedev(WHITEOUT_DEVICE.0, WHITEOUT_DEVICE.1)
}

fn times(mtime: Mtime) -> Timestamps {
    let at = Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() };
    Timestamps { last_access: at, last_modification: at }
}

fn times_of(stat: &Stat) -> Timestamps {
    let last_access = Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec.cast_signed() };
    let last_modification = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() };
    Timestamps { last_access, last_modification }
}
