//! A container's root: an overlay of its image's layers under a directory of its own, mounted in the
//! host's mount namespace at `<container>/rootfs`, so that it outlives the agent.
//!
//! Layers lie unpacked under `<data>/layers/<diff id>/fs`, once each, however many images hold them.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::Error;
use super::files::absent_is_fine;

pub(crate) const ROOTFS: &str = "rootfs";
/// Symbolic links to the layers under names so short that 500 of them fit into the page that mount(2) takes.
const LOWER: &str = "lower";
const UPPER: &str = "upper";
const WORK: &str = "work";
/// `OVL_MAX_STACK` of the kernel's fs/overlayfs/params.h.
const LAYERS_MAX: usize = 500;

/// Where the layer of that diff id (`sha256:<hex>` or the digits alone) lies unpacked.
pub fn layer_dir(data: &Path, diff_id: &str) -> PathBuf {
    let digits = diff_id.split_once(':').map_or(diff_id, |(_, digits)| digits);
    data.join("layers").join(digits).join("fs")
}

/// Mounts `layers`, the image's first one first, at `<container>/rootfs`. What the container changes goes to
/// `<container>/upper`.
pub(crate) fn mount_layers(container: &Path, layers: &[PathBuf]) -> Result<(), Error> {
    if layers.len() > LAYERS_MAX {
        let problem = format!("{} layers; overlayfs takes {LAYERS_MAX}", layers.len());
        return Err(Error::Spec { field: "image", problem });
    }
    prepare(container, layers).map_err(Error::io("prepare the container's root"))?;
    let lower = container.join(LOWER);
    // Paths in the options are relative, and the working directory is the process's: a thread takes one of its own.
    let mounting = thread::Builder::new().name("mount".into()).spawn({
        let count = layers.len();
        move || mount_from(&lower, count)
    });
    let joined = mounting.map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked"))));
    joined.and_then(|result| result).map_err(Error::io("mount the container's root"))
}

fn prepare(container: &Path, layers: &[PathBuf]) -> io::Result<()> {
    for name in [LOWER, UPPER, WORK, ROOTFS] {
        fs::create_dir(container.join(name))?;
    }
    for (index, layer) in layers.iter().enumerate() {
        symlink(layer, container.join(LOWER).join(index.to_string()))?;
    }
    Ok(())
}

fn mount_from(lower: &Path, layers: usize) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    rustix::process::chdir(lower)?;
    let options = overlay_options(layers);
    // `volatile` on a kernel before 5.10 is refused; without it, each unmount would sync the whole disk.
    Ok(mount("overlay", format!("../{ROOTFS}"), "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
}

/// overlayfs lists the topmost layer first. What the container writes is thrown away with it, so nothing of
/// it is ever synced (`volatile`).
fn overlay_options(layers: usize) -> CString {
    let lower: Vec<String> = (0..layers).rev().map(|index| index.to_string()).collect();
    let text = format!("volatile,lowerdir={},upperdir=../{UPPER},workdir=../{WORK}", lower.join(":"));
    CString::new(text).unwrap_or_default()
}

/// Unmounts what is mounted at `point`; it is no error when nothing is.
pub(crate) fn unmount_at(point: &Path) -> io::Result<()> {
    match unmount(point, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes a container's directory with all it holds. Its root must be unmounted.
pub(crate) fn remove_dir(container: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(container))
}

/// Mount points below `dir`, the deepest first: what a former life left behind.
pub(crate) fn mounts_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let points = table.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4)).map(unescape);
    let mut below: Vec<PathBuf> = points.filter(|point| point != dir && point.starts_with(dir)).collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    Ok(below)
}

/// proc(5): space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

/// A mounted root, in which every path is resolved as the container would: no link leads out of it.
pub(crate) struct Rootfs(OwnedFd);

impl Rootfs {
    pub(crate) fn open(container: &Path) -> io::Result<Self> {
        Ok(Self(File::open(container.join(ROOTFS))?.into()))
    }

    /// Opens a regular file for reading; `path` is relative to the root.
    pub(crate) fn open_file(&self, path: &str) -> io::Result<File> {
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
    }

    /// Opens a directory, if there is one.
    pub(crate) fn open_dir(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the directory `path` and those above it where the image lacks them, as Docker does for WORKDIR.
    pub(crate) fn ensure_dir(&self, path: &str) -> io::Result<()> {
        if self.resolve(path, OFlags::PATH).is_ok() {
            return Ok(());
        }
        let mut so_far = String::from(".");
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let parent = self.resolve(&so_far, OFlags::PATH | OFlags::DIRECTORY)?;
            match mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => so_far = format!("{so_far}/{part}"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn resolve(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_stack_fits_into_a_page() {
        assert!(overlay_options(LAYERS_MAX).as_bytes().len() < 4096);
        let expect = "volatile,lowerdir=2:1:0,upperdir=../upper,workdir=../work";
        assert_eq!(overlay_options(3).to_str().expect("text"), expect);
    }

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape(br"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape(br"/a\04"), Path::new(r"/a\04"));
    }

    #[test]
    fn diff_ids_name_directories() {
        assert_eq!(layer_dir(Path::new("/d"), "sha256:ab12"), Path::new("/d/layers/ab12/fs"));
        assert_eq!(layer_dir(Path::new("/d"), "ab12"), Path::new("/d/layers/ab12/fs"));
    }

    #[test]
    fn links_of_an_image_do_not_lead_out_of_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let root = dir.path().join(ROOTFS);
        fs::create_dir_all(root.join("etc")).expect("etc");
        symlink("/etc/hostname", root.join("etc/passwd")).expect("link");
        symlink("/nowhere", root.join("srv")).expect("link");
        let rootfs = Rootfs::open(dir.path()).expect("open");
        let error = rootfs.open_file("etc/passwd").expect_err("no such file in the image");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        fs::write(root.join("etc/hostname"), "image").expect("write");
        assert!(rootfs.open_file("etc/passwd").is_ok());
        rootfs.ensure_dir("/var/lib/app").expect("make");
        rootfs.ensure_dir("/var/lib/app").expect("it is there");
        assert!(root.join("var/lib/app").is_dir());
        assert!(rootfs.ensure_dir("/srv/app").is_err(), "a dangling link is not followed");
        assert!(!Path::new("/nowhere").exists());
    }
}
