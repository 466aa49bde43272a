//! What the Open Container Initiative defines and we need on both sides of a
//! registry: digests, image references, manifests, image configs, layers, and a
//! client for any registry.
//!
//! This room does not know repositories' rules (state and plan do), where blobs
//! or layers are kept (blobs, agent), or any AWS service. `client` is the only
//! async part; `unpack` blocks and wants a process or thread of its own.

pub mod builder;
pub mod client;
pub mod digest;
#[cfg(test)]
mod fuzz;
pub mod image_config;
pub mod manifest;
pub mod reference;
pub mod text;
pub mod unpack;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use image_config::ImageConfig;
pub use manifest::{Descriptor, ImageManifest, Index, Manifest, ManifestError, Platform, media_type};
pub use reference::{ImageReference, ReferenceError};
