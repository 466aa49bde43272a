//! Content by digest, in a folder: layers, configs and manifests.
//!
//! ```text
//! DIR/sha256/ab/ab01…   a blob: complete, verified, synced
//! DIR/quarantine/ab01… a blob whose content turned out to be damaged; never served
//! DIR/staging/ID        an upload: grows over several requests, hashed while written
//! ```
//! A blob appears under its digest by a rename, after its bytes are on the disk,
//! and `finish` answers after the directory entry is there too: bytes before row.
//! What is read is hashed again, unless that was done lately: damaged content is
//! cut off before its last byte, set aside, and healed by the next upload of the same digest.
//! Content leaves room on the disk for the state beside it ([`RESERVE_BYTES`]); what finds none leaves nothing.
//! This room does not know repositories, uploads' owners, or which blobs are
//! still wanted; it keeps what is pinned or promised ([`Pin`]) from a collector
//! that knows. One process at a time may use a folder.

mod cache;
mod collect;
mod error;
mod folder;
mod marks;
mod read;
mod room;
mod sound;
mod staged;
#[cfg(test)]
mod tests;

pub use error::BlobError;
pub use folder::{BLOB_BYTES_MAX, Blobs};
pub use marks::{Condemned, Pin};
pub use read::BlobReader;
pub use room::{AMPLE_BYTES, Disk, RESERVE_BYTES, Short};
pub use staged::{Kept, Staged};
