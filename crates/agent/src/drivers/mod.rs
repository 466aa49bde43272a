//! What touches the machine: containers, their file systems, networks and output.
//!
//! [`Containers`] is the door. A container is a directory under `<data>/containers`, one shim
//! process (see [`crate::shim`]) and an OCI runtime's container of the same name; everything a later
//! agent needs to take it over lies in the directory (see [`records`]). This room knows no task, no
//! registry and no AWS service: it is given a [`ContainerSpec`] and unpacked layers.

pub mod bundle;
pub mod cgroup;
pub(crate) mod confinement;
mod containers;
pub(crate) mod devices;
mod error;
pub(crate) mod files;
pub(crate) mod filter;
pub(crate) mod init;
pub mod network;
mod proc_mounts;
pub(crate) mod process;
pub mod records;
pub(crate) mod remains;
pub mod rootfs;
pub(crate) mod roster;
pub mod runtime;
mod signal;
mod spec;
pub mod spool;
pub(crate) mod start_error;
pub mod volumes;

pub use cgroup::limits::Limits;
pub use containers::{Config, Containers, Created, Executed, Output, ShimCommand, Status};
pub use error::Error;
pub use records::{Exit, Outcome};
pub use signal::Signal;
pub use spec::{
    Backing, BindMount, ContainerId, ContainerSpec, Device, Dns, FileSpec, NetworkMode, OutputSpec, Overflow,
    PortMapping, Protocol, Security, SharedGroup, Sharing, Tmpfs, Ulimit, Volume, VolumeMount, VolumeScope,
};

use std::time::{SystemTime, UNIX_EPOCH};

use base::Timestamp;

/// The wall clock: drivers record when things happened on this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
