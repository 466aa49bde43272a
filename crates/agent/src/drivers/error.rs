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
    #[error("error gathering device information while adding custom device \"{path}\": {source}")]
    Device { path: String, source: io::Error },
    #[error("Agent could not create task's platform resources: {0}")]
    Cgroup(io::Error),
    #[error("volume {name}: could not {doing}: {source}")]
    Volume { name: String, doing: String, source: io::Error },
    #[error(
        "initialize volume: volume detection failed, volume '{0}' does not exist and autoprovision is set to false; \
         set it, or run a task that makes the volume"
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
    /// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html> and the ECS agent.
    /// Docker finds out at the start about users, devices and networks, whenever we do.
    pub fn ecs_name(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } | Self::Spec { .. } | Self::Exists(_) | Self::Io { .. } | Self::NoRuntime(_) => {
                "CannotCreateContainerError"
            }
            Self::Volume { .. } => "CannotCreateVolumeError",
            Self::NoVolume(_) => "ResourceInitializationError",
            Self::Cgroup(_) => "CgroupError",
            Self::NoSuchUser { .. }
            | Self::Device { .. }
            | Self::PortTaken { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What went wrong, and what the ECS agent calls it.
    #[test]
    fn errors_have_the_ecs_agents_names() {
        let (id, source): (ContainerId, _) = ("a".parse().expect("an id"), || io::Error::other("no"));
        let text = || "x".to_owned();
        let table = [
            ("CannotCreateContainerError", Error::Unsupported { what: text() }),
            ("CannotCreateContainerError", Error::Spec { field: "cwd", problem: text() }),
            ("CannotCreateContainerError", Error::Exists(id.clone())),
            ("CannotCreateContainerError", Error::Io { doing: text(), source: source() }),
            ("CannotCreateContainerError", Error::NoRuntime(text())),
            ("CannotCreateVolumeError", Error::Volume { name: text(), doing: text(), source: source() }),
            ("ResourceInitializationError", Error::NoVolume(text())),
            ("CgroupError", Error::Cgroup(source())),
            ("CannotStartContainerError", Error::NoSuchUser { kind: "user", name: text(), file: "passwd" }),
            ("CannotStartContainerError", Error::Device { path: text(), source: source() }),
            ("CannotStartContainerError", Error::PortTaken { port: 1, protocol: Protocol::Tcp, holder: text() }),
            ("CannotStartContainerError", Error::NoPortLeft { protocol: Protocol::Udp, first: 1, last: 2, count: 1 }),
            ("CannotStartContainerError", Error::NoAddressLeft { subnet: text() }),
            ("CannotStartContainerError", Error::network("x", "y")),
            ("CannotStartContainerError", Error::NotHeld(id.clone())),
            ("CannotStartContainerError", Error::Start(text())),
            ("CannotStopContainerError", Error::Signal { id: id.clone(), signal: 9, problem: text() }),
            ("CannotStopContainerError", Error::NotRunning(id.clone())),
            ("CannotStopContainerError", Error::Running(id.clone())),
            ("CannotInspectContainerError", Error::Unknown(id)),
        ];
        for (name, error) in table {
            assert_eq!(error.ecs_name(), name, "{error}");
        }
    }
}
