//! The engine: feeds the machine with what happens, and carries out what it says.
//!
//! Every command becomes a job, a future of its own whose result is the machine's next event. What a
//! job needs to know of a task it is given when it starts; nothing but the machine changes a task.

mod jobs;
mod story;
mod writer;

pub use jobs::{Hands, Online};

use crate::AgentError;
use crate::drivers::{ContainerId, Outcome, Status};
use crate::images::Owner;
use crate::machine::{Action, At, Change, Command, Event, Found, Machine};
use crate::order::id_of;
use crate::saved;
use crate::session::{Heard, Outgoing};
use crate::task::{Desired, Stage, Stopping, Task};
use base::{Names, OsSecrets, Secrets};
use futures_util::future::OptionFuture;
use jobs::{Peer, Subject, exit_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use story::Story;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use writer::{Work, Writer};

/// The engine's two ends towards the session.
pub struct Link {
    pub heard: mpsc::UnboundedReceiver<Heard>,
    pub outgoing: mpsc::UnboundedSender<Outgoing>,
}

pub struct Engine {
    machine: Machine,
    hands: Hands,
    /// Containers as the drivers found them at the start.
    found: BTreeMap<ContainerId, Status>,
    /// Containers whose output is being shipped, or was.
    shipped: BTreeSet<ContainerId>,
    jobs: JoinSet<()>,
    story: Story,
    /// Removals of containers of no task.
    strays: JoinSet<()>,
    works: mpsc::UnboundedSender<Work>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Engine {
    /// Takes up the saved tasks, and the containers `found` on the machine; those of no task are removed.
    ///
    /// `events` is what `hands` report to. Channels are unbounded: a container gives a handful of events.
    ///
    /// # Errors
    /// When the saved tasks cannot be read.
    pub fn start(
        hands: Hands,
        events: mpsc::UnboundedReceiver<Event>,
        found: Vec<(ContainerId, Status)>,
    ) -> Result<Self, AgentError> {
        let tasks = hands.saved.tasks().map_err(AgentError::Saved)?;
        let untold = tasks.iter().map(|task| hands.saved.story(task.order.id())).collect::<Result<Vec<_>, _>>();
        let untold = untold.map_err(AgentError::Saved)?;
        let known = tasks.iter().map(|task| task.order.arn.clone()).collect();
        let (works, to_write) = mpsc::unbounded_channel();
        let mut jobs = JoinSet::new();
        jobs.spawn(Writer::new(hands.saved.clone(), known, hands.events.clone()).run(to_write));
        let mut seed = [0; 16];
        OsSecrets.fill(&mut seed);
        let mut names = Names::new(seed);
        let (machine, story) = (Machine::new(names.fork()), Story::new(names.hex32()));
        let (found, shipped) = (found.into_iter().collect(), BTreeSet::new());
        let strays = JoinSet::new();
        let mut engine = Self { machine, hands, found, shipped, jobs, story, strays, works, events };
        engine.remove_strays(&tasks);
        engine.remove_stray_volumes(&tasks);
        engine.hold_images(&tasks);
        let commands = engine.machine.restore(tasks, client::now());
        // First what a former process had no time to tell.
        for task in untold {
            engine.story.add(task);
        }
        engine.story.add(engine.machine.take_story());
        engine.perform(commands, None);
        Ok(engine)
    }

    /// Works for the control plane until the session is gone.
    ///
    /// # Errors
    /// When a job panicked: what it should have answered never comes.
    pub async fn run(&mut self, link: &mut Link) -> Result<(), AgentError> {
        loop {
            tokio::select! {
                Some(event) = self.events.recv() => self.step(event, Some(link)),
                heard = link.heard.recv() => match heard {
                    Some(Heard::Event(event)) => self.step(event, Some(link)),
                    Some(Heard::Manifest { message, running }) => {
                        self.story.met();
                        self.compare(message, &running, link);
                    }
                    Some(Heard::EventsWanted) => self.story.want(),
                    Some(Heard::EventsTaken { origin, sequence }) => self.story.taken(&origin, sequence),
                    None => return Ok(()),
                },
                () = self.story.is_due() => while let Some(message) = self.story.next() {
                    say(Some(link), Outgoing::Events(message));
                },
                Some(job) = self.jobs.join_next() => intact(job)?,
            }
        }
    }

    /// Stops every task and works until nothing runs; tells each one that is waited for, once. Ends are noted,
    /// for the next start to report them.
    ///
    /// # Errors
    /// When a job panicked.
    pub async fn stop_all(mut self, mut tell: impl FnMut(Stopping)) -> Result<(), AgentError> {
        for task in self.machine.tasks().map(|task| task.order.arn.clone()).collect::<Vec<_>>() {
            self.step(Event::HostStop { task }, None);
        }
        let mut told = BTreeSet::new();
        while !(self.machine.is_still() && self.events.is_empty()) {
            let stopping = self.machine.tasks().filter_map(|task| task.stopping(client::now()));
            stopping.filter(|it| told.insert(it.task.clone())).for_each(&mut tell);
            tokio::select! {
                Some(event) = self.events.recv() => self.step(event, None),
                Some(job) = self.jobs.join_next() => intact(job)?,
            }
        }
        while let Some(job) = self.strays.join_next().await {
            intact(job)?;
        }
        Ok(())
    }

    /// Kills and removes every container, and answers once none is left. Nobody is told; what is saved of their
    /// tasks stays.
    ///
    /// # Errors
    /// When a job panicked.
    pub async fn wipe(mut self) -> Result<(), AgentError> {
        self.hands.online = None;
        for task in self.machine.tasks().map(|task| task.order.arn.clone()).collect::<Vec<_>>() {
            self.step(Event::HostKill { task }, None);
        }
        while !self.machine.is_still() {
            tokio::select! {
                Some(event) = self.events.recv() => self.step(event, None),
                Some(job) = self.jobs.join_next() => intact(job)?,
            }
        }
        while let Some(job) = self.strays.join_next().await {
            intact(job)?;
        }
        Ok(())
    }

    fn step(&mut self, event: Event, link: Option<&Link>) {
        tracing::debug!(?event);
        let commands = self.machine.step(event, client::now());
        self.story.add(self.machine.take_story());
        self.perform(commands, link);
    }

    fn perform(&mut self, commands: Vec<Command>, link: Option<&Link>) {
        for command in commands {
            tracing::debug!(?command);
            match command {
                Command::Persist { task } => self.persist(task),
                // The writer takes both in turn, so that nothing is written after it was removed.
                Command::Forget { task } => self.forget(task),
                Command::Acknowledge { message } => say(link, Outgoing::Acknowledge { message }),
                Command::WakeAt(at) => _ = self.jobs.spawn(self.hands.clone().wake_at(at)),
                Command::Submit { task, report } => {
                    if let Some(known) = self.machine.task(&task) {
                        let cluster = known.order.cluster.clone();
                        let whole = (report.is_end() && link.is_some()).then(|| self.story.whole());
                        let submitting = self.hands.clone().submit(task, cluster, report);
                        self.jobs.spawn(async move {
                            OptionFuture::from(whole).await;
                            submitting.await;
                        });
                    }
                }
                Command::Do { at, action } => {
                    if let Some(subject) = self.subject(&at) {
                        self.act(subject, action);
                    }
                }
            }
        }
    }

    fn act(&mut self, subject: Subject, action: Action) {
        let (hands, jobs) = (self.hands.clone(), &mut self.jobs);
        match action {
            Action::Pull => _ = jobs.spawn(hands.pull(subject)),
            Action::Create => _ = jobs.spawn(hands.create(subject)),
            Action::Start => {
                // From here on there may be output.
                self.ship(&subject);
                self.jobs.spawn(hands.start(subject));
            }
            Action::Restart => _ = jobs.spawn(hands.restart(subject)),
            Action::Probe => _ = jobs.spawn(hands.probe(subject)),
            Action::Terminate => _ = jobs.spawn(hands.terminate(subject)),
            Action::Kill => _ = jobs.spawn(hands.kill(subject)),
            Action::Release => _ = jobs.spawn(hands.release(subject)),
            Action::Look => self.look(subject),
            Action::Drain => self.drain(subject),
        }
    }

    fn subject(&self, at: &At) -> Option<Subject> {
        let task = self.machine.task(&at.task)?;
        let index = task.position(&at.container)?;
        let container = &task.containers[index];
        let linked = task.order.containers[index].links.iter().filter_map(|link| Peer::of(task, &link.container));
        Some(Subject {
            linked: linked.collect(),
            sources: jobs::sources(task, index),
            at: at.clone(),
            id: container.runtime_id.parse().ok()?,
            order: task.order.clone(),
            index,
            digest: container.image_digest.as_ref().and_then(|digest| digest.parse().ok()),
        })
    }

    /// Tells the machine what is there of a restored container, and follows what runs.
    fn look(&mut self, subject: Subject) {
        let found = match self.found.remove(&subject.id) {
            None => Found::Nothing,
            Some(Status::Created) => return self.begin_anew(subject),
            Some(Status::Exited(exit) | Status::Halted(exit)) if matches!(exit.outcome, Outcome::NotStarted { .. }) => {
                return self.begin_anew(subject);
            }
            Some(Status::Exited(exit) | Status::Halted(exit)) => {
                self.ship(&subject);
                Found::Exited(exit_of(exit))
            }
            Some(Status::Running { .. }) => {
                self.ship(&subject);
                self.jobs.spawn(self.hands.clone().wait(subject.clone()));
                Found::Running
            }
        };
        self.hands.report(subject.at, Change::Found(found));
    }

    /// What was made and never ran is removed; whether it is made again is the machine's affair.
    fn begin_anew(&mut self, subject: Subject) {
        let hands = self.hands.clone();
        self.jobs.spawn(async move {
            hands.remove(subject.id).await;
            hands.report(subject.at, Change::Found(Found::Nothing));
        });
    }

    /// Starts to ship a container's output, once, if it goes anywhere.
    fn ship(&mut self, subject: &Subject) {
        let (Some(online), Some(logs)) = (&self.hands.online, subject.container().logs.aws()) else { return };
        if !self.shipped.insert(subject.id.clone()) {
            return;
        }
        match self.hands.shipper(online, subject, logs) {
            Ok(shipper) => _ = self.jobs.spawn(self.hands.clone().ship(subject.at.clone(), shipper)),
            Err(error) => {
                tracing::error!(container = %subject.id, %error, "the container's output cannot be shipped");
                self.hands.report(subject.at.clone(), Change::LogsShipped);
            }
        }
    }

    /// The shipper itself says when it is done; here it is only waited for. A container that was held to be started
    /// again is let go: only then is its output at its end.
    fn drain(&mut self, subject: Subject) {
        let (hands, logs) = (self.hands.clone(), subject.container().logs.aws().is_some());
        let (shipped, online) = (self.shipped.contains(&subject.id), self.hands.online.is_some());
        self.jobs.spawn(async move {
            hands.let_go(&subject).await;
            match (logs, shipped) {
                (true, true) => hands.wait_for_logs(subject.at).await,
                // Kept for the next start, which can ship it.
                (true, false) if !online => {}
                (true, false) | (false, _) => hands.report(subject.at, Change::LogsShipped),
            }
        });
    }

    fn persist(&mut self, task: String) {
        let Some((known, revision)) = self.machine.snapshot(&task) else { return };
        match saved::bytes(known, &self.story.of(&task)) {
            Ok(bytes) => self.write(Work::Write { task, bytes, revision }),
            // Only a map with keys that are no texts could fail, and there is none.
            Err(error) => tracing::error!(task, %error, "a task cannot be written"),
        }
    }

    /// Its file goes after its volumes: until then, whoever takes over knows that they are to be removed.
    fn forget(&mut self, task: String) {
        if !self.hands.containers.volumes().has_task(id_of(&task)) {
            return self.write(Work::Forget { task });
        }
        let (hands, works) = (self.hands.clone(), self.works.clone());
        self.jobs.spawn(async move {
            hands.remove_volumes(&task).await;
            _ = works.send(Work::Forget { task });
        });
    }

    fn write(&self, work: Work) {
        // The writer lives as long as the engine's jobs do.
        _ = self.works.send(work);
    }

    /// Asks to confirm the stop of what runs here and is not in the manifest.
    fn compare(&self, message: String, running: &BTreeSet<String>, link: &Link) {
        let lacking = self.machine.tasks().filter(|task| {
            task.desired == Desired::Running && task.stage() != Stage::Stopped && !running.contains(&task.order.arn)
        });
        let tasks: Vec<_> = lacking.map(|task| (task.order.arn.clone(), task.order.cluster.clone())).collect();
        if !tasks.is_empty() {
            say(Some(link), Outgoing::Lacking { message, tasks });
        }
    }

    /// What restored containers were made of stays.
    fn hold_images(&self, tasks: &[Task]) {
        let Some(online) = &self.hands.online else { return };
        for task in tasks {
            let owner: Owner = Arc::downgrade(&task.order) as Owner;
            let digests = task.containers.iter().filter_map(|container| container.image_digest.as_ref()?.parse().ok());
            digests.for_each(|digest| online.images.hold(&digest, &owner));
        }
    }

    fn remove_stray_volumes(&self, tasks: &[Task]) {
        let known = tasks.iter().map(|task| task.order.id()).collect();
        if let Err(error) = self.hands.containers.volumes().keep_only(&known) {
            tracing::error!(%error, "volumes of no task cannot be removed");
        }
    }

    fn remove_strays(&mut self, tasks: &[Task]) {
        let ours: BTreeSet<&str> = tasks.iter().flat_map(|task| &task.containers).map(|it| &*it.runtime_id).collect();
        let strays: Vec<ContainerId> = self.found.keys().filter(|id| !ours.contains(id.as_str())).cloned().collect();
        for id in strays {
            tracing::warn!(container = %id, "a container of no task is removed");
            self.found.remove(&id);
            let hands = self.hands.clone();
            self.strays.spawn(async move { hands.remove(id).await });
        }
    }
}

fn say(link: Option<&Link>, what: Outgoing) {
    // A session that is gone ends the engine, too.
    _ = link.map(|link| link.outgoing.send(what));
}

fn intact(job: Result<(), JoinError>) -> Result<(), AgentError> {
    job.map_err(|panic| AgentError::Job(panic.to_string()))
}
