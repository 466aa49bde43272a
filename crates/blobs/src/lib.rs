//! Content by digest, in a folder: layers, configs and manifests.
//!
//! ```text
//! DIR/sha256/ab/ab01…   a blob: complete, verified, synced
//! DIR/staging/ID        an upload: grows over several requests, hashed while written
//! ```
//! A blob appears under its digest by a rename, after its bytes are on the disk,
//! and `finish` answers after the directory entry is there too: bytes before row.
//! This room does not know repositories, uploads' owners, or which blobs are
//! still wanted. One process at a time may use a folder.

mod error;
mod folder;
mod read;
mod staged;
#[cfg(test)]
mod tests;

pub use error::BlobError;
pub use folder::{BLOB_BYTES_MAX, Blobs};
pub use read::BlobReader;
pub use staged::Staged;
