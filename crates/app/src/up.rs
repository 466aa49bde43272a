//! `longshore up`: server and local node in the foreground.

use crate::data_dir::DataDir;
use crate::engine::{self, Engine};
use crate::first_start::Wanted;
use crate::terms::{Signals, Terms};
use anyhow::{Context, Result, bail};
use base::{Names, OsSecrets, Secrets, Timestamp};
use blobs::Blobs;
use clap::Args;
use cli::Paths;
use control::Control;
use gateway::{Gateway, Hosts, Server, Tls};
use request::{Installation, Parts, Requests};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use telemetry::Telemetry;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Threads that run requests; durability waits and blocking file work have threads of their own.
const WORKER_THREADS: usize = 2;

/// Where the local node reaches a server that speaks TLS to others.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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
    /// Where state is kept: fjall, in the data folder, or an etcd that several servers share, one of
    /// which leads while the others stand by
    #[arg(long, value_name = "fjall|etcd://HOST:PORT[/PREFIX]", default_value = "fjall", value_parser = engine::parse)]
    engine: Engine,
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
    let requests = open(&args.engine, &data, &endpoint, address)?;
    let control = Control::new(requests.clone());
    control.stand_by();
    let gateway =
        Arc::new(Gateway { requests: requests.clone(), control: control.clone(), hosts: Hosts::new(listening) });
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
    let store = control.clone();
    let store = tokio::spawn(async move { store.keep_store().await });

    let wanted = Wanted { account: args.account, region: args.region, cluster: args.cluster };
    let tls = tls.zip(certificate);
    let terms = Terms { requests, control, data, wanted, endpoint, node_endpoint, tls };
    let outcome = terms.run(&mut Signals::new()?).await;
    drop(end);
    serving.join_all().await;
    store.abort();
    _ = std::fs::remove_file(terms.data.paths.endpoint());
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

fn open(engine: &Engine, data: &DataDir, endpoint: &str, address: SocketAddr) -> Result<Requests> {
    let store = engine.open(data, endpoint)?;
    let master = engine::master_key(data, &store)?;
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
