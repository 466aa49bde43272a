//! One task in the machine: what is known of it, and what it lacks.

use super::health;
use super::ordering::{self, Gate, NEVER_STARTED_CODE};
use super::story::{self, Teller};
use super::{Action, At, Change, Command, Exit, Found, Probe, Report};
use crate::order::{ContainerOrder, RestartPolicy};
use crate::task::{Container, Desired, HealthStatus, Logs, Reported, Stage, Task};
use base::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use wire::acs::TaskEvent;

/// The `reason` of a container that had been made and is not there any more.
const VANISHED: &str =
    "ContainerVanishedError: No container matching saved ID found; it was removed by hand, or the machine restarted";

/// The work that is out for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Look,
    Pull,
    Create,
    Start,
    Restart,
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
    /// The order was given up for want of room on the disk.
    unwritable: bool,
    /// The revision that has the latest container's end.
    ended: u64,
    submitting: Option<Report>,
    work: Vec<Option<Work>>,
    /// Containers whose draining, and whose release, were ordered.
    draining: BTreeSet<usize>,
    releasing: BTreeSet<usize>,
    /// When the next health check of a container is due; none while one is made.
    checks: BTreeMap<usize, Option<Timestamp>>,
    /// The check that each container's last wake-up is for.
    woken: BTreeMap<usize, Timestamp>,
    /// Containers that are to be started again.
    restarts: BTreeSet<usize>,
    /// Containers that wait for others, and until when at most.
    waiting: BTreeMap<usize, Option<Timestamp>>,
    /// Its end is not to take any time.
    at_once: bool,
    /// What happened and was not yet told.
    pub(super) story: Vec<TaskEvent>,
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
            unwritable: false,
            ended: 0,
            submitting: None,
            work,
            draining,
            releasing,
            checks: BTreeMap::new(),
            woken: BTreeMap::new(),
            restarts: BTreeSet::new(),
            waiting: BTreeMap::new(),
            at_once: false,
            story: Vec::new(),
        }
    }

    /// A saved task: nothing is done before the drivers have said what is there.
    pub(super) fn restored(task: Task) -> Self {
        let mut live = Self::new(task);
        (live.ordered, live.written, live.noted) = (live.revision, live.revision, true);
        live.work.fill(Some(Work::Look));
        live
    }

    /// Tells again what a former process may have had no time to tell: a container's health counts until it changes.
    pub(super) fn tell_health(&mut self, now: Timestamp) {
        for index in 0..self.task.containers.len() {
            let health = self.task.containers[index].health.status;
            if health != HealthStatus::Unknown {
                self.tell(index, now, |teller| teller.health_is(health, "as it was when the agent ended"));
            }
        }
    }

    pub(super) fn first_commands(&self) -> impl Iterator<Item = Command> {
        let wakes = self.task.containers.iter().filter_map(|container| container.kill_at.map(Command::WakeAt));
        wakes.chain((0..self.task.containers.len()).map(|index| self.command(index, Action::Look)))
    }

    pub(super) fn noted(&mut self) {
        self.noted = true;
    }

    /// What was noted goes on; what was not has started nothing, and is given up.
    pub(super) fn unwritable(&mut self, why: &str, now: Timestamp) {
        if self.noted || self.task.desired == Desired::Stopped {
            return;
        }
        self.unwritable = true;
        let reason = format!("ResourceInitializationError: the node's disk has no room to keep the task: {why}");
        for container in self.task.containers.iter_mut().filter(|container| container.stage != Stage::Stopped) {
            container.reason.get_or_insert_with(|| reason.clone());
        }
        self.end_task(now, &reason);
    }

    /// The revision is on disk, or nothing of the task is, so that no restart finds it.
    fn is_settled(&self, revision: u64) -> bool {
        self.written >= revision || (self.unwritable && !self.noted)
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

    /// By order of the control plane.
    pub(super) fn stop(&mut self, now: Timestamp) {
        self.end_task(now, "the control plane wants the task stopped");
    }

    pub(super) fn host_stop(&mut self, now: Timestamp) {
        self.task.host_stopped |= self.task.desired == Desired::Running;
        self.end_task(now, "the node is taken down");
    }

    pub(super) fn host_kill(&mut self, now: Timestamp) {
        self.at_once = true;
        self.host_stop(now);
    }

    fn end_task(&mut self, now: Timestamp, why: &str) {
        if self.task.desired == Desired::Running {
            self.task.desired = Desired::Stopped;
            self.revision += 1;
            self.story.push(story::ending(&self.task.order.arn, now, why));
        }
    }

    fn tell(&mut self, index: usize, at: Timestamp, what: impl FnOnce(Teller) -> TaskEvent) {
        let (task, container) = (&*self.task.order.arn, &*self.task.order.containers[index].name);
        self.story.push(what(Teller { task, container, at }));
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
        (self.at_once || self.written == self.revision) && self.task.containers.iter().all(still)
    }

    pub(super) fn container(&mut self, name: &str, change: Change, now: Timestamp) {
        let Some(index) = self.task.position(name) else { return };
        match change {
            Change::OutputTrouble(trouble) => self.tell(index, now, |teller| teller.output_trouble(&trouble)),
            Change::LogsOverdue => self.raise_logs(index, Logs::Overdue),
            Change::LogsShipped => self.raise_logs(index, Logs::Shipped),
            Change::Released => self.task.containers[index].released = true,
            Change::Exited(exit) => self.exited(index, exit, now),
            Change::Found(found) => self.found(index, found, now),
            // A result of work that came to nothing: the container stopped meanwhile.
            _ if self.task.containers[index].stage == Stage::Stopped => self.work[index] = None,
            Change::Probed(probe) => self.probed(index, &probe, now),
            Change::Resolved { digest, bytes } => {
                self.tell(index, now, |teller| teller.resolved(&digest, bytes));
                self.reach(index, Stage::ManifestPulled, Some(digest));
            }
            Change::Fetching { done, total } => self.tell(index, now, |teller| teller.fetching(done, total)),
            Change::Retrying { attempt, why, pause } => {
                self.tell(index, now, |teller| teller.retrying(attempt, &why, pause));
            }
            Change::Pulled { digest, fetched } => {
                self.work[index] = None;
                self.task.pull_stopped = Some(now);
                self.tell(index, now, |teller| teller.pulled(&digest, fetched));
                self.reach(index, Stage::Pulled, Some(digest));
            }
            Change::Created { bindings } => {
                self.work[index] = None;
                self.task.containers[index].bindings = bindings;
                let runtime_id = self.task.containers[index].runtime_id.clone();
                self.tell(index, now, |teller| teller.created(&runtime_id));
                self.reach(index, Stage::Created, None);
            }
            Change::Started => self.started(index, now),
            Change::Failed { reason } => {
                self.work[index] = None;
                self.tell(index, now, |teller| teller.failed(&reason));
                self.task.containers[index].reason.get_or_insert(reason);
                self.end(index, now);
            }
        }
    }

    fn started(&mut self, index: usize, now: Timestamp) {
        let again = self.work[index].take() == Some(Work::Restart);
        let container = &mut self.task.containers[index];
        container.started = true;
        container.started_at = Some(now);
        if again {
            container.restarts += 1;
            container.exit_code = None;
            let times = container.restarts;
            self.revision += 1;
            self.tell(index, now, |teller| teller.restarted(times));
        } else {
            self.tell(index, now, |teller| teller.started());
        }
        self.reach(index, Stage::Running, None);
    }

    fn probed(&mut self, index: usize, probe: &Probe, now: Timestamp) {
        let container = &self.task.containers[index];
        let (Some(check), Some(started)) = (&self.task.order.containers[index].health_check, container.started_at)
        else {
            return;
        };
        // A result from before the container was started again says nothing of it as it is now.
        let counts = self.task.desired == Desired::Running && self.work[index].is_none() && probe.began >= started;
        if self.checks.remove(&index).is_none() || !counts {
            return;
        }
        let before = container.health;
        let after = health::after(check, before, started, probe);
        self.checks.insert(index, Some(health::due(check, after, started, now)));
        self.task.containers[index].health = after;
        if after.status != before.status {
            self.revision += 1;
            self.tell(index, now, |teller| teller.health(after.status, probe));
        } else if probe.code != Some(0) && after.failures_in_a_row <= 1 {
            self.tell(index, now, |teller| teller.check_failed(probe));
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
        if self.is_restarted(index, &exit, now) {
            return self.restart(index, &exit, now);
        }
        self.tell(index, now, |teller| teller.exited(&exit));
        self.task.containers[index].reason = exit.reason;
        self.end(index, now);
    }

    /// As the ECS agent decides it: a container that ended too soon after its last start stays ended.
    fn is_restarted(&self, index: usize, exit: &Exit, now: Timestamp) -> bool {
        let Some(RestartPolicy { ignored_exit_codes, attempt_period_s }) = &self.task.order.containers[index].restart
        else {
            return false;
        };
        let ran_s = |started: Timestamp| now.millis_since(started) / 1000;
        let container = &self.task.containers[index];
        self.task.desired == Desired::Running
            && exit.code.is_some_and(|code| !ignored_exit_codes.contains(&code))
            && container.started_at.is_some_and(|started| ran_s(started) >= *attempt_period_s)
    }

    fn restart(&mut self, index: usize, exit: &Exit, now: Timestamp) {
        self.tell(index, now, |teller| teller.restarting(exit));
        let container = &mut self.task.containers[index];
        container.stage = Stage::Running;
        let was = std::mem::take(&mut container.health).status;
        self.checks.remove(&index);
        if was != HealthStatus::Unknown {
            self.tell(index, now, |teller| teller.health_is(HealthStatus::Unknown, "it is started again"));
        }
        self.revision += 1;
        self.work[index] = Some(Work::Restart);
        self.restarts.insert(index);
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
                self.tell(index, now, |teller| teller.failed(VANISHED));
                self.end(index, now);
            }
            Found::Nothing => container.stage = Stage::None,
            Found::Running => {
                container.started = true;
                container.killed = false;
                container.started_at.get_or_insert(now);
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
        loop {
            if self.task.order.refusal.is_some() {
                self.end_task(now, "the node cannot do what the order asks for");
            }
            if self.task.containers.iter().zip(&self.task.order.containers).any(over) {
                self.end_task(now, "an essential container ended");
            }
            let before = self.stages();
            for index in 0..self.task.containers.len() {
                self.advance_container(index, now, &mut commands);
            }
            // The end of one container may open or close the way of another that was looked at before it.
            if self.stages() == before {
                break;
            }
        }
        let durable = self.is_settled(self.revision);
        if self.submitting.is_none()
            && let Some(report) = Report::next(&self.task, durable)
        {
            self.submitting = Some(report.clone());
            commands.push(Command::Submit { task: self.task.order.arn.clone(), report });
        }
        commands
    }

    fn stages(&self) -> Vec<Stage> {
        self.task.containers.iter().map(|container| container.stage).collect()
    }

    fn advance_container(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        let to_restart = self.restarts.remove(&index);
        if to_restart && self.task.desired == Desired::Running {
            commands.push(self.command(index, Action::Restart));
        } else if to_restart {
            self.work[index] = None;
            self.end(index, now);
        } else if self.task.desired == Desired::Stopped {
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
        let stage = self.task.containers[index].stage;
        let (work, action) = match stage {
            Stage::None | Stage::ManifestPulled => {
                self.task.pull_started.get_or_insert(now);
                let order = self.task.order.clone();
                self.tell(index, now, |teller| teller.pulling(&order.containers[index].image));
                (Work::Pull, Action::Pull)
            }
            Stage::Pulled if !self.is_ready(index, now, commands) => return,
            Stage::Pulled => {
                self.task.containers[index].made = true;
                (Work::Create, Action::Create)
            }
            Stage::Created if self.noted => (Work::Start, Action::Start),
            Stage::Running => return self.check_health(index, now, commands),
            Stage::Created | Stage::Stopped => return,
        };
        self.work[index] = Some(work);
        commands.push(self.command(index, action));
    }

    /// True when the containers that this one depends on have come far enough.
    fn is_ready(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) -> bool {
        match ordering::gate(&self.task, index, now) {
            Gate::Open => true,
            Gate::Closed(until) => {
                let known = self.waiting.insert(index, until);
                if known.is_none() {
                    let on = self.task.order.clone();
                    self.tell(index, now, |teller| teller.waiting(&on.containers[index].depends_on));
                }
                if let Some(until) = until.filter(|until| known.flatten() != Some(*until)) {
                    commands.push(Command::WakeAt(until));
                }
                false
            }
            Gate::Never(reason) => {
                self.tell(index, now, |teller| teller.failed(&reason));
                let container = &mut self.task.containers[index];
                container.reason = Some(reason);
                container.exit_code = Some(NEVER_STARTED_CODE);
                self.end(index, now);
                false
            }
        }
    }

    fn check_health(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        let container = &self.task.containers[index];
        let (Some(check), Some(started)) = (&self.task.order.containers[index].health_check, container.started_at)
        else {
            return;
        };
        match self.checks.get(&index) {
            None => {
                self.checks.insert(index, Some(health::due(check, container.health, started, now)));
            }
            Some(Some(due)) if *due <= now => {
                self.checks.insert(index, None);
                commands.push(self.command(index, Action::Probe));
                return;
            }
            Some(_) => {}
        }
        if let Some(Some(due)) = self.checks.get(&index)
            && self.woken.get(&index) != Some(due)
        {
            commands.push(Command::WakeAt(*due));
            self.woken.insert(index, *due);
        }
    }

    /// The next step towards stopped. Creation and start are let come to their end: they are short. What others
    /// need is stopped after them.
    fn wind_down(&mut self, index: usize, now: Timestamp, commands: &mut Vec<Command>) {
        let stop_timeout_s = self.task.order.containers[index].stop_timeout_s;
        let is_needed = ordering::is_needed(&self.task, index);
        let container = &mut self.task.containers[index];
        match (container.stage, self.work[index]) {
            (Stage::Stopped, _) | (_, Some(Work::Look | Work::Create | Work::Start | Work::Restart)) => {}
            (Stage::Running, _) if self.at_once => {
                if !std::mem::replace(&mut container.killed, true) {
                    commands.push(self.command(index, Action::Kill));
                }
            }
            (Stage::Running, _) => match container.kill_at {
                None if is_needed => {}
                None => {
                    let kill_at = now.plus_secs(stop_timeout_s);
                    container.kill_at = Some(kill_at);
                    // Noted, or each process that takes over would wait anew.
                    self.revision += 1;
                    self.tell(index, now, |teller| teller.stopping(stop_timeout_s));
                    commands.extend([self.command(index, Action::Terminate), Command::WakeAt(kill_at)]);
                }
                Some(kill_at) if now < kill_at => {}
                Some(_) if container.killed => {}
                Some(_) => {
                    container.killed = true;
                    self.tell(index, now, |teller| teller.killing());
                    commands.push(self.command(index, Action::Kill));
                }
            },
            (_, None | Some(Work::Pull)) => self.end(index, now),
        }
    }

    /// Ships the output, then removes all; the end must be durable before what shows it is removed.
    fn clear_away(&mut self, index: usize, commands: &mut Vec<Command>) {
        let durable = self.at_once || self.is_settled(self.ended);
        let container = &mut self.task.containers[index];
        container.released |= !container.made;
        if !container.started || self.at_once {
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
