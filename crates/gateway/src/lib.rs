//! The HTTP edge: sockets, TLS, and one visible list of request stages.
//!
//! The registry's `/v2` and the agents' websocket are mounted here. This room
//! does not know what an operation does: the generated table names them all.

mod anyone;
mod body;
#[path = "gen/dispatch.rs"]
mod dispatch;
mod reset;
mod server;
mod stages;
mod throttle;
mod tls;
mod trust;

pub use dispatch::OPERATIONS;
pub use reset::{Answer, RESET_PATH, Resets};
pub use server::{Gateway, ListenError, Server};
pub use throttle::Throttle;
pub use tls::{ServedCertificate, Tls, TlsError};

#[cfg(test)]
mod tests;
