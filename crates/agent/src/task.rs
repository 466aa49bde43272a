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
}

/// A task whose containers were sent their stop signals, and still run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// The last part of its ARN.
    pub task: String,
    /// Names of the containers that run.
    pub containers: Vec<String>,
    /// Seconds until the last of them is killed.
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
}

impl Task {
    /// The lowest stage of its containers: a task runs when all of them do.
    pub fn stage(&self) -> Stage {
        self.containers.iter().map(|container| container.stage).min().unwrap_or(Stage::Stopped)
    }

    /// What is waited for, once every container that runs was sent its stop signal.
    pub fn stopping(&self, now: Timestamp) -> Option<Stopping> {
        let running =
            || self.containers.iter().zip(&self.order.containers).filter(|(it, _)| it.stage == Stage::Running);
        let last = running().map(|(container, _)| container.kill_at).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        let containers = running().map(|(_, order)| order.name.clone()).collect();
        let kill_in_s = ((last.as_millis() - now.as_millis()).max(0) + 999) / 1000;
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
