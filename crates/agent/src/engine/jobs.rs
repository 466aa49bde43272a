//! The jobs: one future for each thing that is done to a container.

use crate::backoff::Backoff;
use crate::drivers::{ContainerId, Containers, Error, Executed, Exit as Ended, Outcome, Output, Signal};
use crate::images::{Image, Images, Name, News, Owner};
use crate::launch::{Launch, Linked, hostname};
use crate::logs::{Destination, Shipper, Trouble, open_stream};
use crate::machine::{At, Change, Event, Exit, Probe, Report};
use crate::order::{AwsLogs, ContainerOrder, TaskOrder, id_of};
use crate::saved::Saved;
use crate::submit;
use crate::task::{Binding, Task};
use base::Timestamp;
use client::AwsClient;
use oci::Digest;
use oci::text::printable;
use std::fmt::Display;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How long a pull may take (the ECS agent's default).
const PULL_TIMEOUT: Duration = Duration::from_secs(2 * 3600);
/// How long a container's creation, and its start, may take (the ECS agent's defaults).
const CREATE_TIMEOUT: Duration = Duration::from_secs(4 * 60);
const START_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// How long a task's end is not reported because its last output is still being shipped: who waits for
/// the end and then reads the logs should find them.
const LOGS_WAIT: Duration = Duration::from_secs(5);
/// When SIGKILL follows the stop signal is the machine's decision, not the driver's.
const STOP_GRACE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Pauses between attempts to remove a container.
const REMOVE_RETRY_MIN: Duration = Duration::from_millis(500);
const REMOVE_RETRY_MAX: Duration = Duration::from_secs(60);

/// How much of what a health check says is kept (the ECS agent's number).
const PROBE_OUTPUT_BYTES_MAX: usize = 1024;

/// The `reason` of a container whose memory limit was hit, as ECS words it (Amazon ECS Developer Guide,
/// "Stopped tasks error messages").
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

/// What jobs work with. Cheap to clone.
#[derive(Clone)]
pub struct Hands {
    pub containers: Containers,
    pub saved: Saved,
    pub host_name: Arc<str>,
    /// None while the node only stops what runs.
    pub online: Option<Online>,
    pub events: mpsc::UnboundedSender<Event>,
}

/// What takes a control plane.
#[derive(Clone)]
pub struct Online {
    pub aws: AwsClient,
    pub images: Images,
}

/// The container that a job is about.
#[derive(Clone)]
pub struct Subject {
    pub at: At,
    pub id: ContainerId,
    pub order: Arc<TaskOrder>,
    /// Among the order's containers.
    pub index: usize,
    /// Of its image, once that is pulled.
    pub digest: Option<Digest>,
    /// What its links lead to, in their order.
    pub linked: Vec<Peer>,
    /// Whose volumes it has, and whose those have.
    pub sources: Vec<Peer>,
}

/// Another container of the task.
#[derive(Clone)]
pub struct Peer {
    id: ContainerId,
    index: usize,
    digest: Option<Digest>,
}

impl Peer {
    pub fn of(task: &Task, name: &str) -> Option<Self> {
        let index = task.position(name)?;
        let container = &task.containers[index];
        let digest = container.image_digest.as_ref().and_then(|digest| digest.parse().ok());
        Some(Self { id: container.runtime_id.parse().ok()?, index, digest })
    }
}

/// The containers whose volumes that one has, and theirs, once each.
pub fn sources(task: &Task, index: usize) -> Vec<Peer> {
    let mut found: Vec<Peer> = Vec::new();
    let mut open = vec![index];
    while let Some(at) = open.pop() {
        for from in &task.order.containers[at].volumes_from {
            if let Some(peer) = Peer::of(task, &from.container)
                && !found.iter().any(|known| known.index == peer.index)
            {
                open.push(peer.index);
                found.push(peer);
            }
        }
    }
    found
}

impl Subject {
    pub fn container(&self) -> &ContainerOrder {
        &self.order.containers[self.index]
    }

    fn stream(&self, logs: &AwsLogs) -> String {
        logs.stream.clone().unwrap_or_else(|| self.id.to_string())
    }
}

impl Hands {
    pub fn report(&self, at: At, change: Change) {
        // Without an engine nobody needs to know.
        _ = self.events.send(Event::Container { at, change });
    }

    pub async fn pull(self, subject: Subject) {
        let Some(online) = &self.online else { return };
        let fetched = OnceLock::new();
        let tell = |news| match news {
            News::Resolved { digest, bytes } => {
                _ = fetched.set(bytes);
                self.report(subject.at.clone(), Change::Resolved { digest: digest.to_string(), bytes });
            }
            News::Progress { done, total } => self.report(subject.at.clone(), Change::Fetching { done, total }),
            News::Retrying { attempt, why, pause } => {
                let why = printable(&why).into_owned();
                self.report(subject.at.clone(), Change::Retrying { attempt, why, pause });
            }
        };
        let owner: Owner = Arc::downgrade(&subject.order) as Owner;
        let ContainerOrder { image, own_registry, .. } = subject.container();
        let name = Name { reference: image, own_registry: *own_registry };
        let pulling = timeout(PULL_TIMEOUT, online.images.prepare(name, &owner, &tell));
        let change = match pulling.await {
            Ok(Ok(image)) => Change::Pulled { digest: image.digest.to_string(), fetched: fetched.get().copied() },
            Ok(Err(error)) => Change::Failed { reason: shown(error.ecs_name(), &error) },
            Err(_elapsed) => timed_out("pulled", PULL_TIMEOUT),
        };
        self.report(subject.at, change);
    }

    pub async fn create(self, subject: Subject) {
        let Some(online) = &self.online else { return };
        let creating = timeout(CREATE_TIMEOUT, self.try_create(online, &subject));
        let change = match creating.await {
            Ok(Ok(bindings)) => Change::Created { bindings },
            Ok(Err(reason)) => Change::Failed { reason },
            Err(_elapsed) => timed_out("created", CREATE_TIMEOUT),
        };
        self.report(subject.at, change);
    }

    /// Opens the log stream meanwhile, as a log driver that cannot write fails its container.
    async fn try_create(&self, online: &Online, subject: &Subject) -> Result<Vec<Binding>, String> {
        let missing = || "CannotCreateContainerError: the image is gone from the node; run the task again".to_owned();
        let digest = subject.digest.as_ref().ok_or_else(missing)?;
        let image = online.images.cached(digest).await.ok().flatten().ok_or_else(missing)?;
        let images = images_of(online, &subject.linked, |peer| not_linked(subject, peer)).await?;
        let linked = self.linked(subject, &images)?;
        let images = images_of(online, &subject.sources, |peer| no_source(subject, peer)).await?;
        let sources = subject.sources.iter().map(|peer| &subject.order.containers[peer.index]);
        let launch = Launch {
            task: &subject.order,
            container: subject.container(),
            runtime_id: subject.id.as_str(),
            image: &image,
            host_name: &self.host_name,
            linked: &linked,
            sources: sources.zip(images.iter().map(|image| &image.config)).collect(),
        };
        let spec = launch.spec();
        let opening = async {
            match subject.container().logs.aws() {
                Some(logs) => open_stream(&online.aws, logs, &subject.stream(logs)).await,
                None => Ok(()),
            }
        };
        let (created, opened) = tokio::join!(self.containers.create(&subject.id, &spec), opening);
        let created = created.map_err(|error| reason(&error))?;
        match opened {
            Err(error) if !error.is_transient() && subject.container().logs.aws().is_some_and(|logs| logs.blocking) => {
                return Err(format!("CannotStartContainerError: {error}"));
            }
            // It is left to the shipper, which tries again, as Docker's driver does for who does not wait for it.
            Err(error) => {
                let trouble = Trouble::Waiting { why: error.to_string() };
                self.report(subject.at.clone(), Change::OutputTrouble(trouble));
            }
            Ok(()) => {}
        }
        Ok(launch.bindings(&created.bindings))
    }

    /// What is known of the containers that it links to; they run, since it waited for their start.
    fn linked<'a>(&self, subject: &'a Subject, images: &'a [Arc<Image>]) -> Result<Vec<Linked<'a>>, String> {
        let links = subject.container().links.iter().zip(&subject.linked).zip(images);
        let linked = links.map(|((link, peer), image)| {
            let order = &subject.order.containers[peer.index];
            let address = self.containers.address(&peer.id).ok_or_else(|| not_linked(subject, peer))?;
            let hostname = hostname(&subject.order, order, peer.id.as_str(), &self.host_name);
            Ok(Linked { alias: &link.alias, order, image: &image.config, hostname, address })
        });
        linked.collect()
    }

    pub async fn start(self, subject: Subject) {
        let started = timeout(START_TIMEOUT, self.containers.start(&subject.id)).await;
        self.begun(subject, started).await;
    }

    /// Starts a container again that ended and is held as it was.
    pub async fn restart(self, subject: Subject) {
        let started = timeout(START_TIMEOUT, self.containers.restart(&subject.id)).await;
        self.begun(subject, started).await;
    }

    /// Tells how a start went, and waits for the end of what runs.
    async fn begun<S>(self, subject: Subject, started: Result<Result<S, Error>, Elapsed>) {
        let change = match started {
            Ok(Ok(_status)) => Change::Started,
            Ok(Err(error)) => Change::Failed { reason: reason(&error) },
            Err(_elapsed) => timed_out("started", START_TIMEOUT),
        };
        let started = change == Change::Started;
        self.report(subject.at.clone(), change);
        if started {
            self.wait(subject).await;
        }
    }

    /// Makes one health check.
    pub async fn probe(self, subject: Subject) {
        let Some(check) = &subject.container().health_check else { return };
        let (began, limit) = (client::now(), Duration::from_millis(check.timeout_ms.unsigned_abs()));
        let (code, output) = match self.containers.exec(&subject.id, &check.args, limit, PROBE_OUTPUT_BYTES_MAX).await {
            Ok(Executed { code: Some(code), output }) => (Some(code), output),
            Ok(Executed { code: None, output }) => (None, format!("no answer within {limit:?} {output}")),
            Err(error) => (None, error.to_string()),
        };
        self.report(subject.at, Change::Probed(Probe { began, code, output }));
    }

    /// Reports the container's end when it comes.
    pub async fn wait(self, subject: Subject) {
        let exit = match self.containers.wait(&subject.id).await {
            Ok(exit) => exit_of(exit),
            Err(error) => Exit { reason: Some(reason(&error)), ..Exit::default() },
        };
        self.report(subject.at, Change::Exited(exit));
    }

    /// Sends the stop signal; whether the container heeds it, its end tells.
    pub async fn terminate(self, subject: Subject) {
        if let Err(error) = self.containers.stop(&subject.id, STOP_GRACE).await {
            tracing::warn!(container = %subject.id, %error, "the container could not be asked to stop");
        }
    }

    pub async fn kill(self, subject: Subject) {
        match self.containers.signal(&subject.id, Signal::KILL).await {
            Ok(()) | Err(Error::NotRunning(_)) => {}
            Err(error) => tracing::error!(container = %subject.id, %error, "the container could not be killed"),
        }
    }

    /// Removes the volumes of a task that is over. What of them cannot be removed, the next start tries again.
    pub async fn remove_volumes(&self, task: &str) {
        let (containers, id) = (self.containers.clone(), id_of(task).to_owned());
        let removing = tokio::task::spawn_blocking(move || containers.volumes().remove_of_task(&id));
        if let Err(error) = removing.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            tracing::error!(task, %error, "the task's volumes cannot be removed");
        }
    }

    pub async fn release(self, subject: Subject) {
        self.remove(subject.id).await;
        self.report(subject.at, Change::Released);
    }

    /// Removes a container, killed first if it runs, for as long as that takes.
    pub async fn remove(&self, id: ContainerId) {
        let mut backoff = Backoff::new(REMOVE_RETRY_MIN, REMOVE_RETRY_MAX);
        while let Err(error) = self.try_remove(&id).await {
            tracing::error!(container = %id, %error, "the container could not be removed; trying again");
            backoff.wait().await;
        }
    }

    async fn try_remove(&self, id: &ContainerId) -> Result<(), Error> {
        match self.containers.remove(id).await {
            Err(Error::Running(_)) => {
                self.containers.stop(id, Duration::ZERO).await?;
                self.containers.remove(id).await
            }
            other => other,
        }
    }

    /// Takes up the shipping of a container's output.
    pub fn shipper(&self, online: &Online, subject: &Subject, logs: &AwsLogs) -> Result<Shipper<Output>, Error> {
        let (stream, producer) = (subject.stream(logs), subject.id.to_string());
        let note = self.saved.shipping(subject.order.id(), &producer);
        let output = |offset| self.containers.output(&subject.id, offset);
        let (hands, at) = (self.clone(), subject.at.clone());
        let tell = Box::new(move |trouble| hands.report(at.clone(), Change::OutputTrouble(trouble)));
        let to = Destination { aws: online.aws.clone(), logs: logs.clone(), stream, producer, tell };
        Shipper::open(to, note, output)
    }

    pub async fn ship(self, at: At, shipper: Shipper<Output>) {
        if let Err(error) = shipper.run().await {
            tracing::error!(container = at.container, task = at.task, %error, "the container's output is lost");
        }
        self.report(at, Change::LogsShipped);
    }

    /// Frees what a container that ended holds to be started again; nothing for another.
    pub async fn let_go(&self, subject: &Subject) {
        if subject.container().restart.is_some()
            && let Err(error) = self.containers.let_go(&subject.id).await
        {
            tracing::warn!(container = %subject.id, %error, "the ended container could not be let go");
        }
    }

    pub async fn wait_for_logs(self, at: At) {
        tokio::time::sleep(LOGS_WAIT).await;
        self.report(at, Change::LogsOverdue);
    }

    pub async fn submit(self, task: String, cluster: String, report: Report) {
        let Some(online) = &self.online else { return };
        submit::submit(&online.aws, &task, &cluster, &report).await;
        _ = self.events.send(Event::Submitted { task });
    }

    pub async fn wake_at(self, at: Timestamp) {
        let ms = at.millis_since(client::now()).max(0).cast_unsigned();
        // A little late rather than early: an early tick finds nothing to do, and there is no other.
        tokio::time::sleep(Duration::from_millis(ms + 1)).await;
        _ = self.events.send(Event::Tick);
    }
}

/// The images of other containers of the task, which have pulled them.
async fn images_of(
    online: &Online,
    peers: &[Peer],
    missing: impl Fn(&Peer) -> String,
) -> Result<Vec<Arc<Image>>, String> {
    let mut images = Vec::new();
    for peer in peers {
        let image = match &peer.digest {
            Some(digest) => online.images.cached(digest).await.ok().flatten(),
            None => None,
        };
        images.push(image.ok_or_else(|| missing(peer))?);
    }
    Ok(images)
}

/// The ECS agent's words.
fn no_source(subject: &Subject, peer: &Peer) -> String {
    format!("HostConfigError: Volume target not available: {}", subject.order.containers[peer.index].name)
}

/// Docker's words.
fn not_linked(subject: &Subject, peer: &Peer) -> String {
    let (name, own) = (&subject.order.containers[peer.index].name, &subject.container().name);
    format!("CannotStartContainerError: Cannot link to a non running container: /{name} AS /{own}/{name}")
}

/// `ErrorName: text`, as `describe-tasks` shows it.
fn reason(error: &Error) -> String {
    shown(error.ecs_name(), error)
}

/// In one line: images, registries and runtimes have a word in errors.
fn shown(ecs_name: &str, error: &impl Display) -> String {
    printable(&format!("{ecs_name}: {error}")).into_owned()
}

fn timed_out(stage: &str, limit: Duration) -> Change {
    let (hours, minutes) = (limit.as_secs() / 3600, limit.as_secs() / 60 % 60);
    let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
    let reason =
        format!("DockerTimeoutError: Could not transition to {stage}; timed out after waiting {hours}{minutes}m0s");
    Change::Failed { reason }
}

pub fn exit_of(ended: Ended) -> Exit {
    let code = ended.code();
    let signal = match ended.outcome {
        Outcome::Signaled { signal } => Some(signal),
        _ => None,
    };
    let reason = match ended.outcome {
        _ if ended.oom_killed => Some(OUT_OF_MEMORY.to_owned()),
        Outcome::Exited { .. } | Outcome::Signaled { .. } => None,
        Outcome::NotStarted { message } => Some(format!("CannotStartContainerError: {message}")),
        Outcome::Lost { message } => Some(format!("ContainerRuntimeError: {message}")),
    };
    Exit { code, reason, signal, out_of_memory: ended.oom_killed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::VolumesFrom;
    use crate::task::Container;

    #[test]
    fn ends_are_told_in_ecs_words() {
        fn check(outcome: Outcome, oom_killed: bool, code: Option<i32>, reason: Option<&str>) {
            let ended = Ended { outcome, oom_killed, started_at: None, ended_at: Timestamp::default() };
            let exit = exit_of(ended);
            assert_eq!((exit.code, exit.reason.as_deref()), (code, reason));
        }
        check(Outcome::Exited { code: 3 }, false, Some(3), None);
        check(Outcome::Signaled { signal: 15 }, false, Some(143), None);
        check(Outcome::Signaled { signal: 9 }, true, Some(137), Some(OUT_OF_MEMORY));
        let lost = Outcome::Lost { message: "gone".to_owned() };
        check(lost, false, None, Some("ContainerRuntimeError: gone"));
    }

    #[test]
    fn volumes_are_taken_from_those_that_take_them_from_others_too() {
        fn check(containers: &[(&str, &[&str])], expect: &[usize]) {
            let from = |name: &&str| VolumesFrom { container: (*name).to_owned(), read_only: false };
            let order = |(name, sources): &(&str, &[&str])| ContainerOrder {
                name: (*name).to_owned(),
                volumes_from: sources.iter().map(from).collect(),
                ..ContainerOrder::default()
            };
            let placed = || Container { runtime_id: "0a".to_owned(), ..Container::default() };
            let orders = TaskOrder { containers: containers.iter().map(order).collect(), ..TaskOrder::default() };
            let task = Task::new(orders.into(), containers.iter().map(|_| placed()).collect());
            let found: Vec<usize> = sources(&task, 0).iter().map(|peer| peer.index).collect();
            assert_eq!(found, expect, "{containers:?}");
        }
        check(&[("a", &[]), ("b", &[])], &[]);
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &[]), ("d", &[])], &[1, 2]);
        check(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])], &[1, 2, 3]);
        check(&[("a", &["b"]), ("b", &["a"])], &[1, 0]);
    }
}
