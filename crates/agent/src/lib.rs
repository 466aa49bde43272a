//! The node agent: what runs containers on one machine.
//!
//! This room does not know the control plane's state, plans or services; it hears of tasks over
//! the ECS agent protocol and of the machine through [`drivers`].

pub mod drivers;
pub mod machine;
pub mod order;
pub mod shim;
pub mod task;
