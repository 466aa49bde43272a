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

use crate::logs::Trouble;
use crate::order::TaskOrder;
use crate::task::{Binding, Container, Desired, Task};
use base::{Names, Timestamp};
use live::Live;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use wire::acs::TaskEvent;

mod health;
#[cfg(test)]
mod lifecycle_tests;
mod live;
mod ordering;
mod report;
mod story;
#[cfg(test)]
mod tests;

pub use report::{ContainerReport, Report, TaskReport};

/// Ended tasks whose ARNs are remembered, so that a late copy of their order starts nothing.
const FINISHED_TASKS_MAX: usize = 1_000;

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
    /// The node is taken down, and this task with it.
    HostStop {
        task: String,
    },
    /// Nothing of the task is to be left, at once: nobody waits for its end, its output or what disk says.
    HostKill {
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
    /// There was no room for the order on the disk, for as long as that may pass.
    Unwritable {
        task: String,
        why: String,
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
        /// Compressed size of those layers.
        bytes: u64,
    },
    /// So many of those bytes have come.
    Fetching {
        done: u64,
        total: u64,
    },
    /// The manifest did not come, or a layer not whole: it is asked for again after a pause.
    Retrying {
        attempt: u32,
        why: String,
        pause: Duration,
    },
    Pulled {
        digest: String,
        /// Bytes that came from a registry; none when everything was here.
        fetched: Option<u64>,
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
    /// A health check was made.
    Probed(Probe),
    /// Its output does not come where it should.
    OutputTrouble(Trouble),
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exit {
    /// 128 and the signal's number for a process that a signal ended; none if nobody saw it.
    pub code: Option<i32>,
    /// `ErrorName: text`, where the code alone does not tell.
    pub reason: Option<String>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// A process of the container was killed for its memory limit.
    pub out_of_memory: bool,
}

/// What came of one health check.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// When it was begun.
    pub began: Timestamp,
    /// None when it did not end in time, or could not be made.
    pub code: Option<i32>,
    /// What it said, cut to a short length.
    pub output: String,
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
    /// Start it again as it is, after it ended.
    Restart,
    /// Make a health check.
    Probe,
    /// Ask it to end: the image's stop signal, SIGTERM without one.
    Terminate,
    /// SIGKILL.
    Kill,
    /// Ship what is left of its output.
    Drain,
    /// Remove all that is left of it: files, mounts, output.
    Release,
}

#[derive(Debug)]
pub struct Machine {
    tasks: BTreeMap<String, Live>,
    /// Payload message to the tasks, with the revisions, that must be on disk before it is acknowledged.
    unacknowledged: BTreeMap<String, BTreeMap<String, u64>>,
    finished: VecDeque<String>,
    story: Vec<TaskEvent>,
    names: Names,
}

impl Machine {
    pub fn new(names: Names) -> Self {
        Self {
            tasks: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            finished: VecDeque::new(),
            story: Vec::new(),
            names,
        }
    }

    /// Takes up saved tasks; the commands ask the drivers what is there of each container.
    pub fn restore(&mut self, tasks: Vec<Task>, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        for task in tasks {
            let mut live = Live::restored(task);
            live.tell_health(now);
            self.story.append(&mut live.story);
            commands.extend(live.first_commands());
            self.tasks.insert(live.task.order.arn.clone(), live);
        }
        commands
    }

    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Payload { message, orders } => self.payload(message, orders, now, &mut commands),
            Event::Stop { task } => self.change(&task, now, &mut commands, |live| live.stop(now)),
            Event::HostStop { task } => self.change(&task, now, &mut commands, |live| live.host_stop(now)),
            Event::HostKill { task } => self.change(&task, now, &mut commands, |live| live.host_kill(now)),
            Event::Noted { task } => self.change(&task, now, &mut commands, Live::noted),
            Event::Persisted { task, revision } => self.persisted(&task, revision, now, &mut commands),
            Event::Unwritable { task, why } => {
                self.change(&task, now, &mut commands, |live| live.unwritable(&why, now))
            }
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

    /// What happened to tasks since this was last asked, in order.
    pub fn take_story(&mut self) -> Vec<TaskEvent> {
        std::mem::take(&mut self.story)
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
                self.accept(order, now);
            }
            self.change(&arn, now, commands, |live| match desired {
                Desired::Running => {}
                Desired::Stopped => live.stop(now),
            });
            if let Some(revision) = self.tasks.get(&arn).and_then(Live::unwritten) {
                awaited.insert(arn, revision);
            }
        }
        self.unacknowledged.insert(message, awaited);
        self.acknowledge(commands);
    }

    fn accept(&mut self, order: TaskOrder, now: Timestamp) {
        let arn = order.arn.clone();
        let containers = order.containers.iter().map(|_| self.container()).collect();
        let task = Task::new(order.into(), containers);
        self.story.push(story::taken(&arn, now));
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
        self.change(task, now, commands, |live| live.persisted(revision));
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
        self.story.append(&mut live.story);
        if live.is_finished() {
            return self.finish(task, commands);
        }
        if live.is_to_be_written() {
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
        // Nobody waits for the disk to have what is over.
        self.unacknowledged.values_mut().for_each(|awaited| _ = awaited.remove(task));
        self.acknowledge(commands);
    }
}
