//! What the agent remembers of a task: the order, how far each container came, what was reported.
//!
//! A [`Task`] is kept as `tasks/<id>/task.json` until its end was acknowledged. [`crate::machine`]
//! changes it, nothing else does.

use crate::order::TaskOrder;
use base::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far a container, or a task, came; a later stage is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    #[default]
    None,
    ManifestPulled,
    Pulled,
    Created,
    Running,
    /// Final.
    Stopped,
}

/// What the control plane wants of a task; it never returns to `Running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Desired {
    #[default]
    Running,
    Stopped,
}

/// The last status of a task that the control plane acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reported {
    #[default]
    Nothing,
    Pending,
    Running,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub order: Arc<TaskOrder>,
    pub desired: Desired,
    /// The node was taken down while the control plane wanted the task, and ended it.
    #[serde(default)]
    pub host_stopped: bool,
    /// In the order of `order.containers`.
    pub containers: Vec<Container>,
    pub reported: Reported,
    pub pull_started: Option<Timestamp>,
    pub pull_stopped: Option<Timestamp>,
    pub execution_stopped: Option<Timestamp>,
}

impl Task {
    /// A task as its order is accepted, of which nothing was done or reported yet.
    pub fn new(order: Arc<TaskOrder>, containers: Vec<Container>) -> Self {
        Self {
            order,
            desired: Desired::Running,
            host_stopped: false,
            containers,
            reported: Reported::Nothing,
            pull_started: None,
            pull_stopped: None,
            execution_stopped: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// 64 hexadecimal digits, chosen when the order is accepted: a container that was made is found again by it.
    pub runtime_id: String,
    pub stage: Stage,
    /// The container's process ran, if only for a moment.
    pub started: bool,
    /// Something of the container may be on the machine: it needs releasing.
    pub made: bool,
    /// Nothing of the container is left on the machine.
    pub released: bool,
    pub logs: Logs,
    /// Its end was acknowledged.
    pub end_reported: bool,
    /// The manifest's digest, `sha256:…`.
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    /// `ErrorName: text`, as `describe-tasks` shows it.
    pub reason: Option<String>,
    pub bindings: Vec<Binding>,
    /// Set once the stop signal was sent: when SIGKILL follows.
    pub kill_at: Option<Timestamp>,
    pub killed: bool,
    /// When its process was last seen to start.
    pub started_at: Option<Timestamp>,
    pub health: Health,
    /// How often its restart policy started it again.
    pub restarts: u32,
}

/// A container's health, as its checks have it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failures_in_a_row: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthStatus {
    /// No check decided it yet.
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// A task whose containers are being stopped, and still run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// The last part of its ARN.
    pub task: String,
    /// Names of the containers that run.
    pub containers: Vec<String>,
    /// Seconds until the last of them is killed, at most.
    pub kill_in_s: i64,
}

/// How far a stopped container's output came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Logs {
    #[default]
    Open,
    /// We waited long enough: the end may be reported, shipping goes on.
    Overdue,
    Shipped,
}

/// A container port as it is reachable on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub bind_ip: String,
    pub container_port: u16,
    pub host_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The last ports, inside and on the machine, of a range that begins with the above.
    #[serde(default)]
    pub range_ends: Option<(u16, u16)>,
}

impl Task {
    /// The lowest stage of its containers: a task runs when all of them do.
    pub fn stage(&self) -> Stage {
        self.containers.iter().map(|container| container.stage).min().unwrap_or(Stage::Stopped)
    }

    /// What is waited for, once a container was sent its stop signal. Those that it depends on have their turn after
    /// it: their time is added.
    pub fn stopping(&self, now: Timestamp) -> Option<Stopping> {
        let running =
            || self.containers.iter().zip(&self.order.containers).filter(|(it, _)| it.stage == Stage::Running);
        let last = running().filter_map(|(container, _)| container.kill_at).max()?;
        let waiting = running().filter(|(container, _)| container.kill_at.is_none());
        let then_s: i64 = waiting.map(|(_, order)| order.stop_timeout_s).sum();
        let containers = running().map(|(_, order)| order.name.clone()).collect();
        let kill_in_s = ((last.as_millis() - now.as_millis()).max(0) + 999) / 1000 + then_s;
        Some(Stopping { task: self.order.id().to_owned(), containers, kill_in_s })
    }

    pub fn container(&self, name: &str) -> Option<&Container> {
        self.position(name).map(|at| &self.containers[at])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.order.containers.iter().position(|order| order.name == name)
    }
}

impl Container {
    /// Stopped, and nothing that the control plane could give to another task is still held: the drivers free
    /// the ports of what ran when it ends, and of what never ran when it is released.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Stopped && self.logs >= Logs::Overdue && (self.started || self.released)
    }
}
