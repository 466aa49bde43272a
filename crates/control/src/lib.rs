//! The loops: agent sessions, event fan-out, the audit's way to the trail, sweeping, and the registry's garbage.
//!
//! Each loop is a pure turn (`session`, `sweep`) and a shell that drives it.
//! All of them are level-triggered: they look at the durable state and do what
//! is missing, whether they woke by a change, a timer or a restart.
//! This room does not know HTTP beyond the upgrade it is handed, nor any
//! operation.

mod collect;
mod control;
mod drain;
mod first;
mod payload;
mod recover;
mod session;
mod socket;
mod story;
mod sweep;

pub use collect::{CollectError, Collected, Collector};
pub use control::Control;
pub use first::FirstSecond;

#[cfg(test)]
mod tests;
