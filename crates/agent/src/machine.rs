//! The task machine: what happened in, what to do out. Pure; no clock, no disk, no network.
//!
//! ```text
//! NONE -> MANIFEST_PULLED -> PULLED -> CREATED -> RUNNING -> STOPPED
//!   `------------'-------------'---------'-----------------^  failed, or told to stop
//! ```
//!
//! An event changes what is known of a task; then `advance` looks at the whole task and gives the
//! commands that are missing, whatever woke it: a payload, a driver's result, a timer or a restart.
//! What keeps a container from being started twice: its runtime id is noted where it survives this process
//! before it starts (what was only made is removed by the next process), one command at a time is out for it,
//! and after a restart nothing is done before the drivers have said what is there. What a command is carried out with (images, mounts, addresses) is the drivers' affair.

use crate::order::TaskOrder;
use crate::task::{Binding, Container, Desired, Logs, Reported, Stage, Task};
use base::{Names, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

mod report;
#[cfg(test)]
mod tests;

pub use report::{ContainerReport, Report, TaskReport};

/// Ended tasks whose ARNs are remembered, so that a late copy of their order starts nothing.
const FINISHED_TASKS_MAX: usize = 1_000;

/// The `reason` of a container that had been made and is not there any more.
const VANISHED: &str = "ContainerRuntimeError: the container is not on this machine any more; it was removed by hand, or the machine restarted";

/// A container of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The task's ARN.
    pub task: String,
    /// The container's name.
    pub container: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A payload message: tasks with what is wanted of them.
    Payload {
        message: String,
        orders: Vec<(TaskOrder, Desired)>,
    },
    /// The control plane confirmed that this task must not run.
    Stop {
        task: String,
    },
    /// The order is written where it survives this process, though perhaps not a power failure: neither
    /// would a container.
    Noted {
        task: String,
    },
    /// The task as it was at this revision is on disk, synced.
    Persisted {
        task: String,
        revision: u64,
    },
    /// The task's last [`Command::Submit`] was acknowledged, or refused for good.
    Submitted {
        task: String,
    },
    Container {
        at: At,
        change: Change,
    },
    /// Time passed.
    Tick,
}

/// What a driver says of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Of a restored container: what is there of it.
    Found(Found),
    /// The manifest is here, and layers are still to come.
    Resolved {
        digest: String,
    },
    Pulled {
        digest: String,
    },
    /// Pull, creation or start failed, for this reason (`ErrorName: text`).
    Failed {
        reason: String,
    },
    Created {
        bindings: Vec<Binding>,
    },
    Started,
    Exited(Exit),
    /// Its output was not shipped within the time that an end may wait for it.
    LogsOverdue,
    LogsShipped,
    Released,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing that ever ran.
    Nothing,
    Running,
    Exited(Exit),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// 128 and the signal's number for a process that a signal ended; none if nobody saw it.
    pub code: Option<i32>,
    /// `ErrorName: text`, where the code alone does not tell.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Write the task to disk.
    Persist {
        task: String,
    },
    /// Acknowledge a payload message: everything in it is on disk.
    Acknowledge {
        message: String,
    },
    Do {
        at: At,
        action: Action,
    },
    /// Tell the control plane; one at a time for a task, in order.
    Submit {
        task: String,
        report: Report,
    },
    /// The end is acknowledged and the output shipped: remove the task's folder.
    Forget {
        task: String,
    },
    /// Send [`Event::Tick`] then.
    WakeAt(Timestamp),
}

/// What is to be done with a container. Each is answered by a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Say what is there of a restored container.
    Look,
    Pull,
    Create,
    Start,
    /// Ask it to end: the image's stop signal, SIGTERM without one.
    Terminate,
    /// SIGKILL.
    Kill,
    /// Ship what is left of its output.
    Drain,
    /// Remove all that is left of it: files, mounts, output.
    Release,
}

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
struct Live {
    task: Task,
    /// One more with each change that must be durable; the order itself is the first.
    revision: u64,
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

#[derive(Debug)]
pub struct Machine {
    tasks: BTreeMap<String, Live>,
    /// Payload message to the tasks, with the revisions, that must be on disk before it is acknowledged.
    unacknowledged: BTreeMap<String, BTreeMap<String, u64>>,
    finished: VecDeque<String>,
    names: Names,
}

impl Machine {
    pub fn new(names: Names) -> Self {
        Self { tasks: BTreeMap::new(), unacknowledged: BTreeMap::new(), finished: VecDeque::new(), names }
    }

    /// Takes up saved tasks; the commands ask the drivers what is there of each container.
    pub fn restore(&mut self, tasks: Vec<Task>) -> Vec<Command> {
        let mut commands = Vec::new();
        for task in tasks {
            let arn = task.order.arn.clone();
            let mut live = Live::new(task);
            (live.ordered, live.written, live.noted) = (live.revision, live.revision, true);
            live.work.fill(Some(Work::Look));
            commands.extend(live.task.containers.iter().filter_map(|container| container.kill_at.map(Command::WakeAt)));
            commands.extend((0..live.task.containers.len()).map(|index| live.command(index, Action::Look)));
            self.tasks.insert(arn, live);
        }
        commands
    }

    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Payload { message, orders } => self.payload(message, orders, now, &mut commands),
            Event::Stop { task } => self.change(&task, now, &mut commands, |live| live.stop()),
            Event::Noted { task } => self.change(&task, now, &mut commands, |live| live.noted = true),
            Event::Persisted { task, revision } => self.persisted(&task, revision, now, &mut commands),
            Event::Submitted { task } => self.change(&task, now, &mut commands, Live::submitted),
            Event::Container { at, change } => {
                self.change(&at.task, now, &mut commands, |live| live.container(&at.container, change, now));
            }
            Event::Tick => {
                for task in self.tasks.keys().cloned().collect::<Vec<_>>() {
                    self.change(&task, now, &mut commands, |_| {});
                }
            }
        }
        commands
    }

    /// A task as it should be on disk, and the revision that [`Event::Persisted`] then names.
    pub fn snapshot(&self, task: &str) -> Option<(&Task, u64)> {
        self.tasks.get(task).map(|live| (&live.task, live.revision))
    }

    pub fn task(&self, task: &str) -> Option<&Task> {
        self.tasks.get(task).map(|live| &live.task)
    }

    /// True when nothing runs, nothing can be released and disk agrees: all that is left needs a control plane.
    pub fn is_still(&self) -> bool {
        self.tasks.values().all(Live::is_still)
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().map(|live| &live.task)
    }

    fn payload(
        &mut self,
        message: String,
        orders: Vec<(TaskOrder, Desired)>,
        now: Timestamp,
        commands: &mut Vec<Command>,
    ) {
        let mut awaited = BTreeMap::new();
        for (order, desired) in orders {
            let arn = order.arn.clone();
            if self.finished.contains(&arn) {
                continue;
            }
            if !self.tasks.contains_key(&arn) {
                self.accept(order);
            }
            self.change(&arn, now, commands, |live| match desired {
                Desired::Running => {}
                Desired::Stopped => live.stop(),
            });
            if let Some(live) = self.tasks.get(&arn).filter(|live| live.written < live.revision) {
                awaited.insert(arn, live.revision);
            }
        }
        self.unacknowledged.insert(message, awaited);
        self.acknowledge(commands);
    }

    fn accept(&mut self, order: TaskOrder) {
        let arn = order.arn.clone();
        let containers = order.containers.iter().map(|_| self.container()).collect();
        let task = Task {
            order: order.into(),
            containers,
            desired: Desired::Running,
            reported: Reported::Nothing,
            pull_started: None,
            pull_stopped: None,
            execution_stopped: None,
        };
        self.tasks.insert(arn, Live::new(task));
    }

    fn container(&mut self) -> Container {
        Container { runtime_id: format!("{}{}", self.names.hex32(), self.names.hex32()), ..Container::default() }
    }

    fn persisted(&mut self, task: &str, revision: u64, now: Timestamp, commands: &mut Vec<Command>) {
        for awaited in self.unacknowledged.values_mut() {
            awaited.retain(|arn, wanted| arn != task || *wanted > revision);
        }
        self.acknowledge(commands);
        self.change(task, now, commands, |live| {
            live.written = live.written.max(revision);
            live.noted = true;
        });
    }

    fn acknowledge(&mut self, commands: &mut Vec<Command>) {
        self.unacknowledged.retain(|message, awaited| {
            if awaited.is_empty() {
                commands.push(Command::Acknowledge { message: message.clone() });
            }
            !awaited.is_empty()
        });
    }

    /// Changes a task, then gives the commands that it now lacks.
    fn change(&mut self, task: &str, now: Timestamp, commands: &mut Vec<Command>, change: impl FnOnce(&mut Live)) {
        let Some(live) = self.tasks.get_mut(task) else { return };
        change(live);
        let lacking = live.advance(now);
        if live.is_finished() {
            return self.finish(task, commands);
        }
        if live.ordered < live.revision {
            live.ordered = live.revision;
            commands.push(Command::Persist { task: task.to_owned() });
        }
        commands.extend(lacking);
    }

    fn finish(&mut self, task: &str, commands: &mut Vec<Command>) {
        self.tasks.remove(task);
        self.finished.push_back(task.to_owned());
        if self.finished.len() > FINISHED_TASKS_MAX {
            self.finished.pop_front();
        }
        commands.push(Command::Forget { task: task.to_owned() });
    }
}

impl Live {
    fn new(task: Task) -> Self {
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

    fn stop(&mut self) {
        if self.task.desired == Desired::Running {
            self.task.desired = Desired::Stopped;
            self.revision += 1;
        }
    }

    fn submitted(&mut self) {
        let Some(report) = self.submitting.take() else { return };
        report.settle(&mut self.task);
        self.revision += 1;
    }

    /// The end is acknowledged, nothing is left to ship or release, and disk agrees.
    fn is_finished(&self) -> bool {
        let shipped = |container: &Container| container.released && container.logs == Logs::Shipped;
        self.task.reported == Reported::Stopped && self.task.containers.iter().all(shipped)
    }

    fn is_still(&self) -> bool {
        let still = |it: &Container| it.stage == Stage::Stopped && (it.released || it.logs != Logs::Shipped);
        self.written == self.revision && self.task.containers.iter().all(still)
    }

    fn container(&mut self, name: &str, change: Change, now: Timestamp) {
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
        self.task.containers[index].stage = Stage::Stopped;
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
    fn advance(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        let over = |(container, order): (&Container, &crate::order::ContainerOrder)| {
            order.essential && container.stage == Stage::Stopped
        };
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

    fn command(&self, index: usize, action: Action) -> Command {
        let (task, container) = (self.task.order.arn.clone(), self.task.order.containers[index].name.clone());
        Command::Do { at: At { task, container }, action }
    }
}
