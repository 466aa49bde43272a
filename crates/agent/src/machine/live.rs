//! One task in the machine: what is known of it, and what it lacks.

use super::{Action, At, Change, Command, Exit, Found, Report};
use crate::order::ContainerOrder;
use crate::task::{Container, Desired, Logs, Reported, Stage, Task};
use base::Timestamp;
use std::collections::BTreeSet;

/// The `reason` of a container that had been made and is not there any more.
const VANISHED: &str = "ContainerRuntimeError: the container is not on this machine any more; it was removed by hand, or the machine restarted";

/// The work that is out for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Look,
    Pull,
    Create,
    Start,
}

/// A task, and what is under way for it in this process.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) task: Task,
    /// One more with each change that must be durable; the order itself is the first.
    pub(super) revision: u64,
    /// The last revision that was ordered onto disk, and the last that is there.
    ordered: u64,
    written: u64,
    /// The order survives this process.
    noted: bool,
    /// The revision that has the latest container's end.
    ended: u64,
    submitting: Option<Report>,
    work: Vec<Option<Work>>,
    /// Containers whose draining, and whose release, were ordered.
    draining: BTreeSet<usize>,
    releasing: BTreeSet<usize>,
}

impl Live {
    pub(super) fn new(task: Task) -> Self {
        let work = vec![None; task.containers.len()];
        let (draining, releasing) = (BTreeSet::new(), BTreeSet::new());
        Self {
            task,
            revision: 1,
            ordered: 0,
            written: 0,
            noted: false,
            ended: 0,
            submitting: None,
            work,
            draining,
            releasing,
        }
    }

    /// A saved task: nothing is done before the drivers have said what is there.
    pub(super) fn restored(task: Task) -> Self {
        let mut live = Self::new(task);
        (live.ordered, live.written, live.noted) = (live.revision, live.revision, true);
        live.work.fill(Some(Work::Look));
        live
    }

    pub(super) fn first_commands(&self) -> impl Iterator<Item = Command> {
        let wakes = self.task.containers.iter().filter_map(|container| container.kill_at.map(Command::WakeAt));
        wakes.chain((0..self.task.containers.len()).map(|index| self.command(index, Action::Look)))
    }

    pub(super) fn noted(&mut self) {
        self.noted = true;
    }

    pub(super) fn persisted(&mut self, revision: u64) {
        self.noted = true;
        self.written = self.written.max(revision);
    }

    /// The revision that is not on disk yet, if there is one.
    pub(super) fn unwritten(&self) -> Option<u64> {
        (self.written < self.revision).then_some(self.revision)
    }

    /// True, once, for each revision that is to be written.
    pub(super) fn is_to_be_written(&mut self) -> bool {
        std::mem::replace(&mut self.ordered, self.revision) < self.revision
    }

    pub(super) fn stop(&mut self) {
        if self.task.desired == Desired::Running {
            self.task.desired = Desired::Stopped;
            self.revision += 1;
        }
    }

    pub(super) fn host_stop(&mut self) {
        self.task.host_stopped |= self.task.desired == Desired::Running;
        self.stop();
    }

    pub(super) fn submitted(&mut self) {
        let Some(report) = self.submitting.take() else { return };
        report.settle(&mut self.task);
        self.revision += 1;
    }

    /// The end is acknowledged, nothing is left to ship or release, and disk agrees.
    pub(super) fn is_finished(&self) -> bool {
        let shipped = |container: &Container| container.released && container.logs == Logs::Shipped;
        self.task.reported == Reported::Stopped && self.task.containers.iter().all(shipped)
    }

    pub(super) fn is_still(&self) -> bool {
        let still = |it: &Container| it.stage == Stage::Stopped && (it.released || it.logs != Logs::Shipped);
        self.written == self.revision && self.task.containers.iter().all(still)
    }

    pub(super) fn container(&mut self, name: &str, change: Change, now: Timestamp) {
        let Some(index) = self.task.position(name) else { return };
        match change {
            Change::LogsOverdue => self.raise_logs(index, Logs::Overdue),
            Change::LogsShipped => self.raise_logs(index, Logs::Shipped),
            Change::Released => self.task.containers[index].released = true,
            Change::Exited(exit) => self.exited(index, exit, now),
            Change::Found(found) => self.found(index, found, now),
            // A result of work that came to nothing: the container stopped meanwhile.
            _ if self.task.containers[index].stage == Stage::Stopped => self.work[index] = None,
            Change::Resolved { digest } => self.reach(index, Stage::ManifestPulled, Some(digest)),
            Change::Pulled { digest } => {
                self.work[index] = None;
                self.task.pull_stopped = Some(now);
                self.reach(index, Stage::Pulled, Some(digest));
            }
            Change::Created { bindings } => {
                self.work[index] = None;
                self.task.containers[index].bindings = bindings;
                self.reach(index, Stage::Created, None);
            }
            Change::Started => {
                self.work[index] = None;
                self.task.containers[index].started = true;
                self.reach(index, Stage::Running, None);
            }
            Change::Failed { reason } => {
                self.work[index] = None;
                self.task.containers[index].reason.get_or_insert(reason);
                self.end(index, now);
            }
        }
    }

    fn reach(&mut self, index: usize, stage: Stage, digest: Option<String>) {
        let container = &mut self.task.containers[index];
        container.stage = container.stage.max(stage);
        container.image_digest = digest.or(container.image_digest.take());
    }

    fn raise_logs(&mut self, index: usize, logs: Logs) {
        let container = &mut self.task.containers[index];
        container.logs = container.logs.max(logs);
    }

    fn exited(&mut self, index: usize, exit: Exit, now: Timestamp) {
        self.work[index] = None;
        let container = &mut self.task.containers[index];
        if container.stage == Stage::Stopped {
            return;
        }
        container.started = true;
        container.exit_code = exit.code;
        container.reason = exit.reason;
        self.end(index, now);
    }

    fn end(&mut self, index: usize, now: Timestamp) {
        let container = &mut self.task.containers[index];
        container.stage = Stage::Stopped;
        // It had ended by itself before anybody asked it to, though that is seen only now.
        if container.started && container.kill_at.is_none() && self.task.order.containers[index].essential {
            self.task.host_stopped = false;
        }
        self.revision += 1;
        self.ended = self.revision;
        if self.task.stage() == Stage::Stopped {
            self.task.execution_stopped.get_or_insert(now);
        }
    }

    /// What the drivers say is there counts for more than what was noted before the restart.
    fn found(&mut self, index: usize, found: Found, now: Timestamp) {
        self.work[index] = None;
        let container = &mut self.task.containers[index];
        if container.stage == Stage::Stopped {
            return;
        }
        container.made |= found != Found::Nothing;
        match found {
            Found::Nothing if container.started => {
                container.reason = Some(VANISHED.to_owned());
                self.end(index, now);
            }
            Found::Nothing => container.stage = Stage::None,
            Found::Running => {
                container.started = true;
                container.killed = false;
                container.stage = Stage::Running;
            }
            Found::Exited(exit) => self.exited(index, exit, now),
        }
    }

    /// Every command that the task as it is now lacks.
    pub(super) fn advance(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let over =
            |(container, order): (&Container, &ContainerOrder)| order.essential && container.stage == Stage::Stopped;
        if self.task.order.refusal.is_some() || self.task.containers.iter().zip(&self.task.order.containers).any(over) {
            self.stop();
        }
        for index in 0..self.task.containers.len() {
            self.advance_container(index, now, &mut commands);
        }
        let durable = self.written == self.revision;
        if self.submitting.is_none()
            && let Some(report) = Report::next(&self.task, durable)
        {
            self.submitting = Some(report.clone());
            commands.push(Command::Submit { task: self.task.order.arn.clone(), report });
        }
        commands
    }

    fn advance_container(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        if self.task.desired == Desired::Stopped {
            self.wind_down(index, now, commands);
        } else if self.work[index].is_none() {
            self.wind_up(index, now, commands);
        }
        if self.task.containers[index].stage == Stage::Stopped {
            self.clear_away(index, commands);
        }
    }

    /// The next step towards running.
    fn wind_up(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        let (work, action) = match self.task.containers[index].stage {
            Stage::None | Stage::ManifestPulled => {
                self.task.pull_started.get_or_insert(now);
                (Work::Pull, Action::Pull)
            }
            Stage::Pulled => {
                self.task.containers[index].made = true;
                (Work::Create, Action::Create)
            }
            Stage::Created if self.noted => (Work::Start, Action::Start),
            Stage::Created | Stage::Running | Stage::Stopped => return,
        };
        self.work[index] = Some(work);
        commands.push(self.command(index, action));
    }

    /// The next step towards stopped. Creation and start are let come to their end: they are short.
    fn wind_down(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        let stop_timeout_s = self.task.order.containers[index].stop_timeout_s;
        let container = &mut self.task.containers[index];
        match (container.stage, self.work[index]) {
            (Stage::Stopped, _) | (_, Some(Work::Look | Work::Create | Work::Start)) => {}
            (Stage::Running, _) => match container.kill_at {
                None => {
                    let kill_at = now.plus_secs(stop_timeout_s);
                    container.kill_at = Some(kill_at);
                    // Noted, or each process that takes over would wait anew.
                    self.revision += 1;
                    commands.extend([self.command(index, Action::Terminate), Command::WakeAt(kill_at)]);
                }
                Some(kill_at) if now < kill_at => {}
                Some(_) if container.killed => {}
                Some(_) => {
                    container.killed = true;
                    commands.push(self.command(index, Action::Kill));
                }
            },
            (_, None | Some(Work::Pull)) => self.end(index, now),
        }
    }

    /// Ships the output, then removes all; the end must be durable before what shows it is removed.
    fn clear_away(&mut self, index: usize, commands: &mut Vec<Command>) {
        let durable = self.written >= self.ended;
        let container = &mut self.task.containers[index];
        container.released |= !container.made;
        if !container.started {
            container.logs = Logs::Shipped;
        }
        if container.logs != Logs::Shipped {
            if self.draining.insert(index) {
                commands.push(self.command(index, Action::Drain));
            }
        } else if !container.released && durable && self.releasing.insert(index) {
            commands.push(self.command(index, Action::Release));
        }
    }

    pub(super) fn command(&self, index: usize, action: Action) -> Command {
        let (task, container) = (self.task.order.arn.clone(), self.task.order.containers[index].name.clone());
        Command::Do { at: At { task, container }, action }
    }
}
