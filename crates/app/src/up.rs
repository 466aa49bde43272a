//! `longshore up`: server and local node in the foreground.

use crate::agent_process::Supervisor;
use crate::data_dir::{DataDir, write_private};
use crate::first_start::{self, Home, Wanted};
use anyhow::{Context, Result, bail};
use base::{Names, OsSecrets, Secrets, Timestamp};
use blobs::Blobs;
use clap::Args;
use cli::{Endpoint, Paths};
use control::Control;
use gateway::{Gateway, Hosts, ServedCertificate, Server, Tls};
use request::{Installation, Parts, Requests};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{FjallEngine, Store};
use telemetry::Telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Threads that run requests; durability waits and blocking file work have threads of their own.
const WORKER_THREADS: usize = 2;

/// Where the local node reaches a server that speaks TLS to others.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long `up` waits for its node before it says that it goes on without.
const NODE_READY_TIMEOUT: Duration = Duration::from_secs(30);

const NOTES: &str =
    "Any certificate will do: longshore's own commands trust the one given here, and `longshore env` names \
a self-signed one to AWS clients.
LONGSHORE_LOG chooses what is logged: warn, info (the default), debug.";

#[derive(Args)]
#[command(after_help = NOTES)]
pub struct UpArgs {
    /// Data folder: state, images, logs, and what the local node runs
    #[arg(long, value_name = "DIR", default_value = cli::DATA_DIR)]
    data: PathBuf,
    /// Address to serve on; one that others can reach needs --tls-cert and --tls-key
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// PEM file of the server's certificate, and of those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Account, twelve digits [default: as the data folder has it; in a new one 000000000000]
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<String>,
    /// Region of the local node, and of `longshore env` [default: likewise; us-east-1]
    #[arg(long, value_name = "NAME", value_parser = region)]
    region: Option<String>,
    /// Cluster that the local node joins [default: likewise; default]
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    cluster: Option<String>,
}

/// Longest region that a signature may name, and longest cluster name (CreateCluster).
const REGION_LEN_MAX: usize = 32;
const CLUSTER_LEN_MAX: usize = 255;

fn region(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=REGION_LEN_MAX).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("a region has 1 to {REGION_LEN_MAX} lower-case letters, digits and hyphens")),
    }
}

fn cluster(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match (1..=CLUSTER_LEN_MAX).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("a cluster's name has 1 to {CLUSTER_LEN_MAX} letters, digits, hyphens and underscores")),
    }
}

fn account_id(text: &str) -> Result<String, String> {
    if base::is_account_id(text) { Ok(text.to_owned()) } else { Err("an account id has twelve digits".to_owned()) }
}

pub fn run(args: UpArgs) -> Result<()> {
    crate::log_to_stderr();
    if !rustix::process::geteuid().is_root() {
        bail!("containers need root: run `longshore up` as root");
    }
    Server::check(args.listen, args.tls_cert.is_some())?;
    let data = DataDir::claim(Paths::of(&args.data))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    runtime.block_on(serve(args, data))
}

async fn serve(args: UpArgs, data: DataDir) -> Result<()> {
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| Tls { certificate, key });
    let server = Server::bind(args.listen, tls.as_ref()).await?;
    let listening = server.address()?;
    let address = reachable(listening);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{address}");
    let certificate = server.certificate().cloned();
    let requests = open(&data, &endpoint, address)?;
    let wanted = Wanted { account: args.account, region: args.region, cluster: args.cluster };
    let home = first_start::home(&requests, &data.paths, wanted).await?;

    let control = Control::new(requests.clone());
    let gateway =
        Arc::new(Gateway { requests: requests.clone(), control: control.clone(), hosts: Hosts::new(listening) });
    let loops = tokio::spawn(async move { control.run().await });
    let (end, ended) = watch::channel(());
    // A certificate is made out to names that others use: the local node keeps to loopback.
    let local = if tls.is_some() { Some(Server::bind(LOCAL, None).await?) } else { None };
    let node_endpoint = match &local {
        Some(server) => format!("http://{}", server.address()?),
        None => endpoint.clone(),
    };
    let mut serving = JoinSet::new();
    for server in local.into_iter().chain([server]) {
        let mut ended = ended.clone();
        serving.spawn(server.run(gateway.clone(), async move { _ = ended.changed().await }));
    }

    announce(&home, &data.paths, &endpoint, tls.zip(certificate))?;
    let mut agent = Supervisor::start(&home.region, &home.cluster, &node_endpoint, &data.paths)?;
    let outcome = foreground(&requests, &mut agent, &endpoint, &home.account, &data.paths.data).await;
    agent.end().await;
    loops.abort();
    drop(end);
    serving.join_all().await;
    _ = std::fs::remove_file(data.paths.endpoint());
    outcome
}

/// An address to call the server by: one that listens everywhere is on loopback too.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

/// Waits for the node, says that all is ready, and stays until a signal.
async fn foreground(
    requests: &Requests,
    agent: &mut Supervisor,
    endpoint: &str,
    account: &str,
    data: &Path,
) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let begun = tokio::time::Instant::now();
    let mut ready = std::pin::pin!(tokio::time::timeout(NODE_READY_TIMEOUT, node_connected(requests)));
    let mut said = false;
    loop {
        tokio::select! {
            node = &mut ready, if !said => {
                said = true;
                let news = match node {
                    Ok(node) => format!("Longshore is ready: {endpoint}, account {account}, {node} ({} ms). Ctrl-C ends it; containers stay.", begun.elapsed().as_millis()),
                    Err(_) => format!("Longshore serves {endpoint}, account {account}, but its node has not joined; see the messages above."),
                };
                // A server goes on when nobody reads its news.
                _ = cli::say(format_args!("{news}\nPoint the AWS CLI at it:  {}", cli::env_line(data)?));
            }
            () = agent.keep() => {}
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        }
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

fn open(data: &DataDir, endpoint: &str, address: SocketAddr) -> Result<Requests> {
    let master = data.master_key()?;
    let store =
        Store::open(state::schema(), FjallEngine::open(data.paths.state())?).context("cannot open the state")?;
    let telemetry = Telemetry::open(&data.paths.telemetry()).context("cannot open the logs")?;
    let blobs = Blobs::open(data.paths.blobs()).context("cannot open the blobs")?;
    let mut seed = [0; 16];
    OsSecrets.fill(&mut seed);
    let installation = Installation { endpoint: endpoint.to_owned(), registry_host: address.to_string(), master };
    Ok(Requests::new(Parts {
        store,
        telemetry,
        blobs,
        installation: Arc::new(installation),
        clock: Arc::new(system_time),
        names: Names::new(seed),
        secrets: Arc::new(OsSecrets),
    }))
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Writes where this server is and how to know it, for `env`, `down` and `demo`.
fn announce(home: &Home, paths: &Paths, endpoint: &str, tls: Option<(Tls, ServedCertificate)>) -> Result<()> {
    let (files, certificate) = tls.unzip();
    let own = files.filter(|_| certificate.as_ref().is_some_and(|certificate| certificate.is_self_signed));
    let endpoint = Endpoint {
        url: endpoint.to_owned(),
        account: home.account.clone(),
        region: home.region.clone(),
        cluster: home.cluster.clone(),
        pid: std::process::id(),
        certificate: certificate.map(|certificate| certificate.digest.to_string()),
        ca_bundle: own.map(|files| std::path::absolute(files.certificate)).transpose()?,
    };
    write_private(&paths.endpoint(), &serde_json::to_vec(&endpoint)?)
}

#[cfg(test)]
mod tests {
    use super::runtime;

    #[test]
    fn a_runtime_is_not_called_a_version_of_docker() {
        assert_eq!(runtime(Some("DockerVersion: crun 1.8.1")), "crun 1.8.1");
        assert_eq!(runtime(Some("crun 1.8.1")), "crun 1.8.1");
        assert_eq!(runtime(None), "unknown runtime");
    }
}
