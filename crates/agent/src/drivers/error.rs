//! Why a container could not be made, started, stopped or found.

use std::io;

use super::spec::{ContainerId, Protocol};

/// A driver's failure. The text is what a person reads in `describe-tasks`, after [`Error::ecs_name`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} is not supported on this node; remove it from the task definition")]
    Unsupported { what: String },
    #[error("{field} is not valid: {problem}")]
    Spec { field: &'static str, problem: String },
    #[error("unable to find {kind} {name}: no matching entry in the image's {file}")]
    NoSuchUser { kind: &'static str, name: String, file: &'static str },
    #[error("container {0} exists already; remove it first")]
    Exists(ContainerId),
    #[error("no container {0} on this node")]
    Unknown(ContainerId),
    #[error("container {0} is running; stop it before removing it")]
    Running(ContainerId),
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    #[error("container {0} did not just end; only one that ended and is held can be started again")]
    NotHeld(ContainerId),
    #[error("could not {doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("Bind for 0.0.0.0:{port}/{protocol} failed: port is already allocated to {holder}")]
    PortTaken { port: u16, protocol: Protocol, holder: String },
    #[error(
        "no {count} free {protocol} ports beside one another in {first}-{last}; stop a task, or widen net.ipv4.ip_local_port_range"
    )]
    NoPortLeft { protocol: Protocol, first: u16, last: u16, count: u16 },
    #[error("no free address in {subnet}; stop a task, or configure a larger subnet")]
    NoAddressLeft { subnet: String },
    #[error("network: could not {doing}: {problem}")]
    Network { doing: String, problem: String },
    #[error("volume {name}: could not {doing}: {source}")]
    Volume { name: String, doing: String, source: io::Error },
    #[error(
        "volume {0} does not exist on this node, and autoprovision is not set; set it, or run a task that makes the volume"
    )]
    NoVolume(String),
    #[error("{0}")]
    Start(String),
    #[error("could not send signal {signal} to container {id}: {problem}")]
    Signal { id: ContainerId, signal: i32, problem: String },
    #[error("no OCI runtime starts a container on this host; install crun or runc. Tried: {0}")]
    NoRuntime(String),
}

impl Error {
    /// The name that ECS puts before the text of a container's `reason`, from
    /// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>.
    pub fn ecs_name(&self) -> &'static str {
        match self {
            Self::Unsupported { .. }
            | Self::Spec { .. }
            | Self::NoSuchUser { .. }
            | Self::Exists(_)
            | Self::Io { .. }
            | Self::NoRuntime(_) => "CannotCreateContainerError",
            Self::Volume { .. } | Self::NoVolume(_) => "CannotCreateVolumeError",
            Self::PortTaken { .. }
            | Self::NoPortLeft { .. }
            | Self::NoAddressLeft { .. }
            | Self::Network { .. }
            | Self::NotHeld(_)
            | Self::Start(_) => "CannotStartContainerError",
            Self::Signal { .. } | Self::NotRunning(_) | Self::Running(_) => "CannotStopContainerError",
            Self::Unknown(_) => "CannotInspectContainerError",
        }
    }

    /// Wraps an I/O error with what was being done: `map_err(Error::io("read the spool"))`.
    pub(crate) fn io<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source: source.into() }
    }

    pub(crate) fn network(doing: impl Into<String>, problem: impl ToString) -> Self {
        Self::Network { doing: doing.into(), problem: problem.to_string() }
    }
}
