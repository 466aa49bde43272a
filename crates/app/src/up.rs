//! `longshore up`: server and local node in the foreground.

use crate::data_dir::DataDir;
use crate::engine::{self, Engine};
use crate::ephemeral::{self, EphemeralArgs};
use crate::first_start::Wanted;
use crate::image_args::ImageArgs;
use crate::terms::{Signals, Terms};
use anyhow::{Context, Result, bail};
use base::{Names, OsSecrets, Secrets, Timestamp};
use blobs::Blobs;
use clap::Args;
use cli::Paths;
use control::Control;
use gateway::{Gateway, Resets, Server, Throttle, Tls};
use request::{Hosts, Installation, Open, Parts, Requests, reachable};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
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
    #[arg(long, value_name = "DIR", help = format!("Data folder: state, images, logs, and what the local node runs [default: {}]", cli::DATA_DIR))]
    data: Option<PathBuf>,
    /// Where state is kept: fjall, in the data folder, or an etcd that several servers share, one of
    /// which leads while the others stand by
    #[arg(long, value_name = "fjall|etcd://HOST:PORT[/PREFIX]", default_value = "fjall", value_parser = engine::parse)]
    engine: Engine,
    /// Address to serve on; one that others can reach needs --tls-cert and --tls-key
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4566", value_parser = listen)]
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
    /// Refuse calls that come more often than AWS lets an account make them, with ThrottlingException
    #[arg(long)]
    aws_throttling: bool,
    /// Serve without a local node: others join
    #[arg(long)]
    no_node: bool,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    ephemeral: EphemeralArgs,
}

/// An address, or a name of one; of a name's several addresses one of IPv4, which loopback is for most.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        |why: &dyn std::fmt::Display| format!("{why}; write it as 127.0.0.1:4566, [::1]:4566 or localhost:4566");
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| wrong(&error))?.collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| wrong(&"the name has no address"))
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
    // What its node will be told is looked at here, where somebody reads what is wrong.
    args.images.options()?;
    args.ephemeral.check(args.listen)?;
    let folder = match args.ephemeral.ephemeral {
        true => args.ephemeral.folder(args.data.as_deref())?,
        false => args.data.clone().unwrap_or_else(|| cli::DATA_DIR.into()),
    };
    let paths = Paths::of(&folder);
    let folder = paths.data.clone();
    let data = DataDir::claim(paths)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    runtime.block_on(async {
        let (is_ephemeral, _held) = (args.ephemeral.ephemeral, data.hold()?);
        let outcome = serve(args, data).await;
        if is_ephemeral {
            ephemeral::remove(&folder).await?;
        }
        outcome
    })
}

async fn serve(args: UpArgs, data: DataDir) -> Result<()> {
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(certificate, key)| Tls { certificate, key });
    let server = match Server::bind(args.listen, tls.as_ref()).await {
        Ok(server) => server,
        Err(error) => {
            data.leave();
            return Err(error.into());
        }
    };
    let listening = server.address()?;
    let address = reachable(listening);
    let certificate = server.certificate().cloned();
    let hosts = match &certificate {
        Some(certificate) => Hosts::certified(listening, &certificate.dns, &certificate.addresses),
        None => Hosts::new(listening),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = format!("{scheme}://{}", hosts.advertised());
    let wanted = Wanted { account: args.account, region: args.region, cluster: args.cluster };
    let engine = if args.ephemeral.ephemeral { Engine::Memory } else { args.engine };
    let requests = open(&engine, &data, &endpoint, hosts, args.ephemeral.open(&wanted))?;
    let control = Control::new(requests.clone());
    control.stand_by();
    let throttle = args.aws_throttling.then(Throttle::default);
    let (resets, asked) = Resets::new();
    let resets = args.ephemeral.ephemeral.then_some(resets);
    let gateway = Arc::new(Gateway { requests: requests.clone(), control: control.clone(), throttle, resets });
    let (end, ended) = watch::channel(());
    // A certificate is made out to names that others use: the local node keeps to loopback.
    let local = if tls.is_some() && !args.no_node { Some(Server::bind(LOCAL, None).await?) } else { None };
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

    let tls = tls.zip(certificate);
    let images = (!args.no_node).then_some(args.images);
    let terms = Terms {
        requests,
        control,
        data,
        wanted,
        endpoint,
        address,
        node_endpoint,
        tls,
        images,
        ephemeral: args.ephemeral.ephemeral,
    };
    let outcome = terms.run(&mut Signals::new(asked)?).await;
    drop(end);
    serving.join_all().await;
    store.abort();
    _ = std::fs::remove_file(terms.data.paths.endpoint());
    outcome
}

fn open(engine: &Engine, data: &DataDir, endpoint: &str, hosts: Hosts, anyone: Option<Open>) -> Result<Requests> {
    let store = engine.open(data, endpoint)?;
    let master = engine::master_key(engine, data, &store)?;
    let telemetry = Telemetry::open(&data.paths.telemetry()).context("cannot open the logs")?;
    let blobs = Blobs::open(data.paths.blobs()).context("cannot open the blobs")?;
    let mut seed = [0; 16];
    OsSecrets.fill(&mut seed);
    let installation = Installation { endpoint: endpoint.to_owned(), hosts, master, open: anyone };
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

#[cfg(test)]
mod tests {
    use super::listen;

    #[test]
    fn an_address_to_listen_on_may_have_a_name() {
        let check = |text: &str, expect: &str| {
            let said = listen(text).map_or_else(|error| error, |address| address.to_string());
            assert!(said.contains(expect), "{text}: {said}");
        };
        check("127.0.0.1:0", "127.0.0.1:0");
        check("[::1]:80", "[::1]:80");
        check("localhost:4889", "127.0.0.1:4889");
        check("localhost", "write it as 127.0.0.1:4566");
        check("localhost:99999", "write it as 127.0.0.1:4566");
        check("", "write it as 127.0.0.1:4566");
    }
}
