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
//! - Devices are refused, but for those in `/dev`, which are left out: a
//!   container has a `/dev` of its own. Entries that would replace a directory
//!   are refused.
//! - A directory that the layer does not list but puts something in belongs to
//!   root with mode 0755.
//!
//! Memory does not grow with the layer: it holds a zstd window, the map of one
//! sparse file, one extension record and a few buffers.
//!
//! Blocks, and needs CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
//! CAP_MKNOD, CAP_SETFCAP and, for `trusted.*`, CAP_SYS_ADMIN: run [`fill`] in a
//! process that has no more than these, and keep [`Staging`] outside.

mod decode;
mod error;
#[cfg(test)]
mod fuzz;
mod limits;
mod sparse;
mod staging;
mod tar;
#[cfg(test)]
mod tests;
mod tree;

pub use error::UnpackError;
pub use limits::{Limits, reserve_bytes};
pub use staging::{Staging, remove, remove_leftovers};

use crate::digest::{Algorithm, Digest, DigestError};
use decode::{Ahead, Metered};
use error::at;
use limits::Disk;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::path::Path;
use tar::TarReader;
use tree::Tree;

/// What manifest and image config say of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Digest of the bytes as pulled.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Digest of the uncompressed tar stream, from the image config's `rootfs.diff_ids`.
    pub diff_id: Digest,
}

/// What a layer had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
    /// Entries, whiteouts included.
    pub entries: u64,
}

/// Unpacks a layer to `dest`, which must not exist; its parent must.
///
/// `dest` is whole or absent, and an error leaves nothing behind. What outlives a power cut is the caller's
/// to say: nothing is synced here.
pub fn unpack(
    reader: impl Read + Send,
    media_type: &str,
    dest: &Path,
    expected: &Expected,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let staging = Staging::beside(dest)?;
    let unpacked = fill(reader, media_type, staging.path(), expected, limits)?;
    staging.take_name()?;
    Ok(unpacked)
}

/// Unpacks a layer into the empty directory `root`, verified. After an error, what is there is worth nothing.
pub fn fill(
    reader: impl Read + Send,
    media_type: &str,
    root: &Path,
    expected: &Expected,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    for digest in [&expected.digest, &expected.diff_id] {
        if digest.algorithm() != Algorithm::Sha256 {
            return Err(DigestError::UnsupportedAlgorithm(digest.algorithm().name().to_owned()).into());
        }
    }
    let mut tree = Tree::open(root, limits.entries)?;
    let unpacked = verified(reader, media_type, expected, limits, Disk::of(root, limits), &mut tree)?;
    tree.finish()?;
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
    reader: impl Read + Send,
    media_type: &str,
    expected: &Expected,
    limits: &Limits,
    disk: Disk<'_>,
    tree: &mut Tree,
) -> Result<Unpacked, UnpackError> {
    let (entries, bytes, diff_id, size, digest) = std::thread::scope(|scope| {
        let mut ahead = Ahead::start(scope, reader, media_type, expected.size)?;
        let mut plain = Metered::new(&mut ahead, limits).onto(disk);
        let entries = write_entries(&mut plain, limits, tree)?;
        drain(&mut plain)?;
        let (bytes, diff_id) = plain.finish();
        let (size, digest) = ahead.finish()?;
        Ok::<_, UnpackError>((entries, bytes, diff_id, size, digest))
    })?;
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
