//! A server's life: leading, or standing by until the server that leads is gone.
//!
//! Only while it leads does a server answer requests, run the control loops, and have a node of its
//! own. See docs/decisions/0007-one-leads-others-stand-by.md.

use crate::agent_process::{Start, Supervisor};
use crate::announce;
use crate::data_dir::DataDir;
use crate::engine;
use crate::first_start::{self, Home, Wanted};
use crate::image_args::ImageArgs;
use anyhow::{Context, Result, anyhow};
use cli::Endpoint;
use control::{Control, FirstSecond};
use gateway::{Answer, ServedCertificate, Tls};
use request::Requests;
use std::net::SocketAddr;
use std::time::Duration;
use store::Role;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long a leader waits for its node before it says that it goes on without.
const NODE_READY_TIMEOUT: Duration = Duration::from_secs(30);

/// What all terms of one server have in common.
pub struct Terms {
    pub requests: Requests,
    pub control: Control,
    pub data: DataDir,
    pub wanted: Wanted,
    /// Where this server is called.
    pub endpoint: String,
    /// Where it is called on this machine.
    pub address: SocketAddr,
    /// Where its own node calls it.
    pub node_endpoint: String,
    pub tls: Option<(Tls, ServedCertificate)>,
    /// What its own node does with images; none: it has no node.
    pub images: Option<ImageArgs>,
    /// Nothing is left of it: its containers end with it, and it can be brought back to its first second.
    pub ephemeral: bool,
}

/// How a term ended.
enum End {
    /// A signal: the server ends.
    Asked,
    /// The role changed.
    Role,
}

/// What a server is asked for from outside.
pub struct Signals {
    end: EndSignals,
    resets: mpsc::Receiver<Answer>,
}

/// Ctrl-C and what service managers send.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn new(resets: mpsc::Receiver<Answer>) -> Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { end: EndSignals { interrupt, terminate }, resets })
    }
}

impl EndSignals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Terms {
    /// Leads and stands by in turns, until a signal.
    pub async fn run(&self, signals: &mut Signals) -> Result<()> {
        loop {
            let end = match self.requests.role() {
                Role::Leading { term, .. } => self.lead(term, signals).await?,
                role => self.stand_by(&role, signals).await?,
            };
            if matches!(end, End::Asked) {
                return Ok(());
            }
        }
    }

    async fn stand_by(&self, role: &Role, signals: &mut Signals) -> Result<End> {
        self.control.stand_by();
        if let Role::Following { leader } = role {
            engine::check_opens(&self.requests.installation().master, &self.requests.view(), &self.data)?;
            self.announce(&self.find_home()?)?;
            let leader = leader.as_deref().unwrap_or("another server");
            // A server goes on when nobody reads its news.
            _ = cli::say(format_args!(
                "Longshore stands by: {leader} leads, this server ({}) follows and takes over when that one is gone.\n\
                 Images, logs and the audit trail are kept by the server that took them, and are not here.",
                self.endpoint
            ));
        }
        tokio::select! {
            _ = self.requests.wait_role(|now| now != role) => Ok(End::Role),
            () = signals.end.next() => Ok(End::Asked),
        }
    }

    /// Leads as long as `term` lasts. Stopped by a failure of the disk it does so still.
    async fn lead(&self, term: u64, signals: &mut Signals) -> Result<End> {
        let home = match self.take_up().await {
            Ok(home) => home,
            Err(error) if self.requests.role().current().is_err() => {
                tracing::warn!(error = format!("{error:#}"), "the lead was lost before it was taken up");
                return Ok(End::Role);
            }
            Err(error) => return Err(error),
        };
        let control = self.control.clone();
        let loops = tokio::spawn(async move { control.run().await });
        let mut agent = self.start_agent(&home)?;
        let outcome = tokio::select! {
            outcome = self.foreground(&mut agent, &home, signals) => outcome.map(|()| End::Asked),
            _ = self.requests.wait_role(|role| is_over(role, term)) => Ok(End::Role),
        };
        if let Some(agent) = &mut agent {
            agent.end().await;
        }
        loops.abort();
        outcome
    }

    /// Starts the local node, if there is to be one.
    fn start_agent(&self, home: &Home) -> Result<Option<Supervisor>> {
        let start = |images| {
            Supervisor::start(Start {
                region: &home.region,
                cluster: &home.cluster,
                endpoint: &self.node_endpoint,
                paths: &self.data.paths,
                images,
                ephemeral: self.ephemeral,
            })
        };
        self.images.as_ref().map(start).transpose()
    }

    /// Brings everything back to the first second, and answers when the node is there again. Where there were no
    /// tasks the node need not know; else its agent ends, which ends its containers, and comes back.
    async fn reset(&self, first: Option<&FirstSecond>, agent: &mut Option<Supervisor>, home: &Home) -> Result<()> {
        let first = first.context("the server is starting")?;
        if first.restore_without_tasks(&self.requests).await.map_err(|error| anyhow!(error))? {
            return Ok(());
        }
        self.control.stand_by();
        if let Some(agent) = agent {
            agent.end().await;
            agent::forget_tasks(&self.data.paths.agent())?;
        }
        first.restore(&self.requests).await.map_err(|error| anyhow!(error))?;
        self.control.begin().await;
        *agent = self.start_agent(home)?;
        tokio::time::timeout(NODE_READY_TIMEOUT, self.node(agent.is_some()))
            .await
            .context("the node did not come back")?;
        Ok(())
    }

    /// What Ctrl-C does, as it is said.
    fn end_of_it(&self) -> &'static str {
        match self.ephemeral {
            true => "Ctrl-C ends it, and nothing is left.",
            false => "Ctrl-C ends it; containers stay.",
        }
    }

    /// What has to be right before anything is answered or done.
    async fn take_up(&self) -> Result<Home> {
        engine::check_opens(&self.requests.installation().master, &self.requests.view(), &self.data)?;
        let home = self.find_home()?;
        first_start::make_keys(&self.requests, &self.data.paths, &home).await?;
        self.announce(&home)?;
        self.control.begin().await;
        Ok(home)
    }

    fn find_home(&self) -> Result<Home> {
        first_start::find_home(&self.requests, &self.data.paths, &self.wanted)
    }

    /// Writes where this server is and how to know it, for `env`, `down` and `demo`.
    fn announce(&self, home: &Home) -> Result<()> {
        let (files, certificate) = self.tls.as_ref().map(|(files, certificate)| (files, certificate)).unzip();
        let own = files.filter(|_| certificate.is_some_and(|certificate| certificate.is_self_signed));
        let endpoint = Endpoint {
            url: self.endpoint.clone(),
            address: Some(self.address.to_string()),
            account: home.account.clone(),
            region: home.region.clone(),
            cluster: home.cluster.clone(),
            pid: std::process::id(),
            certificate: certificate.map(|certificate| certificate.digest.to_string()),
            ca_bundle: own.map(|files| std::path::absolute(&files.certificate)).transpose()?,
        };
        announce::write(self.data.paths.endpoint(), serde_json::to_vec(&endpoint)?)
    }

    /// Resolves once the local node has joined, if there is to be one; answers how to call it.
    async fn node(&self, wanted: bool) -> String {
        match wanted {
            true => node_connected(&self.requests).await,
            false => "without a node of its own".to_owned(),
        }
    }

    /// Waits for the node, says that all is ready, and stays until a signal.
    async fn foreground(&self, agent: &mut Option<Supervisor>, home: &Home, signals: &mut Signals) -> Result<()> {
        let (endpoint, account) = (&self.endpoint, &home.account);
        let begun = tokio::time::Instant::now();
        let mut ready = std::pin::pin!(tokio::time::timeout(NODE_READY_TIMEOUT, self.node(agent.is_some())));
        let mut first = None;
        loop {
            tokio::select! {
                node = &mut ready, if first.is_none() => {
                    first = Some(FirstSecond::of(&self.requests));
                    let news = match node {
                        Ok(node) => format!("Longshore is ready: {endpoint}, account {account}, {node} ({} ms). {}", begun.elapsed().as_millis(), self.end_of_it()),
                        Err(_) => format!("Longshore serves {endpoint}, account {account}, but its node has not joined; see the messages above."),
                    };
                    // A server goes on when nobody reads its news.
                    _ = cli::say(format_args!("{news}\nPoint the AWS CLI at it:  {}", cli::env_line(&self.data.paths.data)?));
                }
                () = keep(agent) => {}
                () = signals.end.next() => return Ok(()),
                Some(answer) = signals.resets.recv(), if first.is_some() => {
                    let reset = self.reset(first.as_ref(), agent, home).await;
                    // Who asked may have gone away.
                    _ = answer.send(reset.map_err(|error| format!("{error:#}")));
                }
            }
        }
    }
}

/// Resolves after an agent ended unasked and was started again; never without one.
async fn keep(agent: &mut Option<Supervisor>) {
    match agent {
        Some(agent) => agent.keep().await,
        None => std::future::pending().await,
    }
}

/// Another server leads, or has led meanwhile.
fn is_over(role: &Role, term: u64) -> bool {
    match role {
        Role::Leading { term: current, .. } => *current != term,
        Role::Following { .. } => true,
        Role::Stopped { .. } => false,
    }
}

/// Resolves once the local node's agent is connected; answers how to call it.
async fn node_connected(requests: &Requests) -> String {
    let mut feed = requests.feed();
    loop {
        let view = requests.view();
        if let Some(node) = view.scan(state::CONTAINER_INSTANCES, &store::key![]).find(|row| row.agent_connected) {
            return format!(
                "cluster {} with {} CPU units, {} MiB, {}",
                node.cluster,
                node.registered.cpu,
                node.registered.memory_mib,
                runtime(node.docker_version.as_deref())
            );
        }
        // A lag is a reason to look again as well.
        _ = feed.next().await;
    }
}

/// What runs containers: our agent names it where ECS's has `DockerVersion: 20.10.25`, whose form clients know.
fn runtime(docker_version: Option<&str>) -> &str {
    let version = docker_version.unwrap_or("unknown runtime");
    version.strip_prefix("DockerVersion: ").unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::{is_over, runtime};
    use store::Role;

    #[test]
    fn a_runtime_is_not_called_a_version_of_docker() {
        assert_eq!(runtime(Some("DockerVersion: crun 1.8.1")), "crun 1.8.1");
        assert_eq!(runtime(Some("crun 1.8.1")), "crun 1.8.1");
        assert_eq!(runtime(None), "unknown runtime");
    }

    #[test]
    fn a_term_outlives_reloads_but_no_other_leader() {
        let check = |role: Role, expect: bool| assert_eq!(is_over(&role, 7), expect, "{role:?}");
        check(Role::Leading { term: 7, epoch: 9 }, false);
        check(Role::Leading { term: 8, epoch: 9 }, true);
        check(Role::Following { leader: None }, true);
        check(Role::Stopped { why: "disk full".into(), may_be_old: false }, false);
    }
}
