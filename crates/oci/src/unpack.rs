//! Unpacks a layer into a directory that overlayfs takes as a lower layer.
//!
//! OCI image specification, "Image Layer Filesystem Changeset". What the tar
//! stream says is believed only after its digest, size and diff id are right,
//! and is never able to reach outside the directory meanwhile: every path is
//! resolved beneath it by the kernel (openat2 with `RESOLVE_IN_ROOT` and
//! `RESOLVE_NO_MAGICLINKS`), and what a directory is to contain is made by name
//! in that directory, never through a link.
//!
//! - Whiteouts become what overlayfs reads: `.wh.NAME` a character device 0/0
//!   in NAME's place, `.wh..wh..opq` the extended attribute
//!   `trusted.overlay.opaque`. overlayfs does not look at that attribute on a
//!   layer's own root: see [`hides_lower_layers`].
//! - Of extended attributes, `security.capability` and `user.*` are kept.
//!   Labels of the builder's host (SELinux, IMA, ACLs) mean nothing here and are
//!   left out; attributes that steer overlayfs itself are refused.
//! - Devices, sparse files and entries that would replace a directory are refused.
//! - A directory that the layer does not list but puts something in belongs to
//!   root with mode 0755.
//!
//! Blocks, and needs CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
//! CAP_MKNOD, CAP_SETFCAP and, for `trusted.*`, CAP_SYS_ADMIN: run it in a
//! process that has no more than these.

mod decode;
mod error;
mod tar;
#[cfg(test)]
mod tests;
mod tree;

pub use error::UnpackError;

use crate::digest::{Algorithm, Digest, DigestError};
use decode::{Metered, decoder};
use error::at;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use tar::TarReader;
use tree::Tree;

/// Entries of one layer. The largest public images have about 300,000.
pub const ENTRIES_MAX: u64 = 2_000_000;
/// Bytes of one layer's tar stream: four times ECR's largest (compressed) layer of 52,000 MiB.
pub const UNCOMPRESSED_BYTES_MAX: u64 = 4 * 52_000 * 1024 * 1024;
/// How the directories are named in which layers are being unpacked, beside
/// their destinations. One that is there when nobody unpacks was left by a
/// process that was killed, and may be removed.
pub const UNPACKING_PREFIX: &str = ".unpacking-";

/// Bounds on what a layer may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub entries: u64,
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: ENTRIES_MAX, bytes: UNCOMPRESSED_BYTES_MAX }
    }
}

/// What manifest and image config say of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Digest of the bytes as pulled.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Digest of the uncompressed tar stream, from the image config's `rootfs.diff_ids`.
    pub diff_id: Digest,
}

/// What a layer had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
    /// Entries, whiteouts included.
    pub entries: u64,
}

/// Unpacks a layer to `dest`, which must not exist; its parent must.
///
/// Works in a directory beside `dest` that takes its name at the end, verified
/// and synced: `dest` is whole or absent, also after a crash, and an error
/// leaves nothing behind.
pub fn unpack(
    reader: impl Read,
    media_type: &str,
    dest: &Path,
    expected: &Expected,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    for digest in [&expected.digest, &expected.diff_id] {
        if digest.algorithm() != Algorithm::Sha256 {
            return Err(DigestError::UnsupportedAlgorithm(digest.algorithm().name().to_owned()).into());
        }
    }
    let beside = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(UNPACKING_PREFIX).tempdir_in(beside).map_err(at(beside))?;
    let mut tree = Tree::open(temporary.path())?;
    let unpacked = verified(reader, media_type, expected, limits, &mut tree)?;
    tree.finish()?;
    take_name(temporary, beside, dest)?;
    Ok(unpacked)
}

/// True where a layer hides everything beneath it, by an opaque whiteout of the
/// root itself: it then has to be the lowest layer of the mount.
pub fn hides_lower_layers(layer: &Path) -> Result<bool, UnpackError> {
    let mut value = [0; 1];
    match rustix::fs::getxattr(layer, tree::OPAQUE_XATTR, &mut value) {
        Ok(len) => Ok(len == 1 && value == *tree::OPAQUE_VALUE),
        Err(rustix::io::Errno::NODATA) => Ok(false),
        Err(error) => Err(at(layer)(error.into())),
    }
}

/// Writes the layer's entries to `tree`, checking digest, size and diff id as the bytes pass.
fn verified(
    reader: impl Read,
    media_type: &str,
    expected: &Expected,
    limits: &Limits,
    tree: &mut Tree,
) -> Result<Unpacked, UnpackError> {
    // One byte more than there should be is enough to see that there are more.
    let mut packed = Metered::new(reader.take(expected.size.saturating_add(1)), u64::MAX);
    let mut plain = Metered::new(decoder(&mut packed, media_type)?, limits.bytes);
    let entries = write_entries(&mut plain, limits, tree)?;
    drain(&mut plain)?;
    let (bytes, diff_id) = plain.finish();
    drain(&mut packed)?;
    let (size, digest) = packed.finish();
    if size != expected.size {
        return Err(UnpackError::Size { expected: expected.size });
    }
    if digest != expected.digest {
        return Err(UnpackError::Digest { expected: expected.digest.clone(), actual: digest });
    }
    if diff_id != expected.diff_id {
        return Err(UnpackError::DiffId { expected: expected.diff_id.clone(), actual: diff_id });
    }
    Ok(Unpacked { bytes, entries })
}

fn write_entries(plain: &mut impl Read, limits: &Limits, tree: &mut Tree) -> Result<u64, UnpackError> {
    let mut archive = TarReader::new(plain);
    let mut entries = 0;
    while let Some(entry) = archive.next_entry()? {
        entries += 1;
        if entries > limits.entries {
            return Err(UnpackError::TooManyEntries { limit: limits.entries });
        }
        tree.write(&entry, &mut archive.content())?;
    }
    Ok(entries)
}

/// Reads to the end what follows the part that mattered, for its digest.
fn drain(reader: &mut impl Read) -> Result<(), UnpackError> {
    io::copy(reader, &mut io::sink()).map(drop).map_err(UnpackError::from_read)
}

fn take_name(temporary: tempfile::TempDir, beside: &Path, dest: &Path) -> Result<(), UnpackError> {
    let (here, no_replace) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
    match rustix::fs::renameat_with(here, temporary.path(), here, dest, no_replace) {
        Ok(()) => drop(temporary.keep()),
        Err(rustix::io::Errno::EXIST) => return Err(UnpackError::Exists(dest.to_owned())),
        Err(error) => return Err(at(dest)(error.into())),
    }
    fs::File::open(beside).and_then(|dir| dir.sync_all()).map_err(at(beside))
}
