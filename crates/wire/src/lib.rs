//! The wire: shape tables, AWS protocol codecs, SigV4 and the ECS agent protocol.
//!
//! Everything here is a pure function of bytes and a stated time. This room knows no state, no
//! policy and no operation's meaning; it opens no socket.

pub mod acs;
pub mod codec;
#[cfg(test)]
mod fuzz;
pub mod model;
mod models;
pub mod pattern;
mod protocol;
pub mod sigv4;
#[cfg(test)]
mod testing;
pub mod types;

pub use codec::redact;
pub use models::{service, services};
