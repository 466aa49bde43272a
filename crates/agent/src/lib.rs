//! The node agent: what runs containers on one machine.
//!
//! [`session`] hears the control plane's orders, [`machine`] decides, [`engine`] carries out through
//! [`images`], [`drivers`] and [`logs`]; [`saved`] outlives the process, and so do the containers,
//! whose shims hold them. This room does not know the control plane's state, plans or services; it
//! hears of tasks over the ECS agent protocol. What is absent: task roles, secrets, the metadata endpoints
//! and telemetry; orders that ask for them are refused by name ([`order`]).

mod backoff;
pub mod drivers;
mod engine;
mod images;
mod launch;
mod logs;
pub mod machine;
mod node;
pub mod order;
mod saved;
mod session;
pub mod shim;
mod submit;
pub mod task;
#[cfg(test)]
mod testing;
pub mod unpack;

pub use images::options::{self as image_options, ImageOptions};
pub use images::{AuthError, RegistryAuth};
pub use node::{AgentError, Config, forget_tasks, run, stop_all};
pub use task::Stopping;
