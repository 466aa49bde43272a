//! `registry`: images in and out by skopeo, and manifests, beside Debian's docker-registry.

use crate::cpu;
use crate::figures::Samples;
use crate::load;
use crate::peers::{Peer, run as call};
use crate::server::Server;
use crate::setting::Setting;
use crate::table::{Promise, Row};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cli::Session;
use http::Request;
use oci::Platform;
use oci::builder::{ImageFile, build};
use oci::image_config::ContainerConfig;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Turns that the two take, each with empty stores.
const TURNS: usize = 5;
/// MiB of the large image, and layers that they are in; KiB of each of the small ones, and how many.
const LARGE_MIB: usize = 200;
const SMALL_KIB: usize = 100;
const SMALL_IMAGES: usize = 20;
const CONNECTIONS: usize = 16;
const LOAD_TIME: Duration = Duration::from_secs(5);
/// Promises against docker-registry: speed, processor, manifests a processor second.
const SPEED: Promise = Promise::AtLeastTimes { floor: 1.0, goal: 1.3 };
const PROCESSOR: Promise = Promise::AtMostTimes(0.7);
const MANIFESTS: Promise = Promise::AtLeastTimes { floor: 15.0, goal: 15.0 };
/// Of every image.
const TAG: &str = "1";
const PEER: &str = "docker-registry";

/// Images as skopeo reads them: the folder of the large one, and a folder of folders of the small ones.
struct Images {
    large: PathBuf,
    small: PathBuf,
}

/// A registry that runs with an empty store.
struct Store {
    host: String,
    pid: u32,
    /// `user:password`, where one is asked for.
    login: Option<String>,
}

/// Of one turn.
#[derive(Default)]
struct Figures {
    push_mib_s: Samples,
    push_cpu_s: Samples,
    pull_mib_s: Samples,
    pull_cpu_s: Samples,
    small_push_s: Samples,
    small_push_cpu_s: Samples,
    small_pull_s: Samples,
    small_pull_cpu_s: Samples,
    manifests_per_cpu_s: Samples,
}

pub fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = setting.folder()?;
    let images = images(folder.path())?;
    let (mut ours, mut theirs) = (Figures::default(), Figures::default());
    for _ in 0..TURNS {
        let turn = setting.folder()?;
        let server = Server::start_with(&setting.longshore, &turn.path().join("data"), &["--no-node"])?;
        ours.take(&our_store(&server)?, &images, turn.path())?;
        server.end()?;
        let turn = setting.folder()?;
        let peer = Peer::docker_registry(turn.path())?;
        let store = Store { host: peer.host.clone(), pid: peer.pid(), login: None };
        theirs.take(&store, &images, turn.path())?;
    }
    Ok(rows(&ours, &theirs))
}

fn rows(ours: &Figures, theirs: &Figures) -> Vec<Row> {
    let row = |what: String, unit, samples: fn(&Figures) -> &Samples, promise| Row {
        what,
        unit,
        ours: samples(ours).median(),
        peer: Some((PEER, samples(theirs).median())),
        promise,
    };
    let small = |verb| format!("{verb} of {SMALL_IMAGES} images of {SMALL_KIB} KiB by one skopeo");
    let processor = || "the same, processor of the registry".to_owned();
    vec![
        row(format!("push of {LARGE_MIB} MiB by skopeo"), "MiB/s", |figures| &figures.push_mib_s, SPEED),
        row(processor(), "s", |figures| &figures.push_cpu_s, PROCESSOR),
        row(format!("pull of {LARGE_MIB} MiB by skopeo"), "MiB/s", |figures| &figures.pull_mib_s, SPEED),
        row(processor(), "s", |figures| &figures.pull_cpu_s, PROCESSOR),
        row(small("push"), "images/s", |figures| &figures.small_push_s, SPEED),
        row(processor(), "s", |figures| &figures.small_push_cpu_s, PROCESSOR),
        row(small("pull"), "images/s", |figures| &figures.small_pull_s, SPEED),
        row(processor(), "s", |figures| &figures.small_pull_cpu_s, PROCESSOR),
        row(
            format!("manifest GET, {CONNECTIONS} clients"),
            "GET/CPU-s",
            |figures| &figures.manifests_per_cpu_s,
            MANIFESTS,
        ),
    ]
}

fn images(folder: &Path) -> Result<Images> {
    let images = Images { large: folder.join("large"), small: folder.join("small") };
    image(&images.large, LARGE_MIB << 20)?;
    for name in names().skip(1) {
        image(&images.small.join(format!("{name}:{TAG}")), SMALL_KIB << 10)?;
    }
    Ok(images)
}

/// An image in `folder`, as skopeo's transport `dir` has it (containers-transports(5)), whose one layer holds so
/// many bytes that no compression shortens.
fn image(folder: &Path, bytes: usize) -> Result<()> {
    let mut content = vec![0; bytes];
    for piece in content.chunks_mut(1 << 20) {
        rustix::rand::getrandom(piece, rustix::rand::GetRandomFlags::empty())?;
    }
    let files = [ImageFile { path: "content".to_owned(), content, mode: 0o644 }];
    let image = build(&files, ContainerConfig::default(), &Platform::of_this_machine())?;
    fs::create_dir_all(folder)?;
    for blob in [&image.layer, &image.config] {
        fs::write(folder.join(blob.digest.hex()), &blob.bytes)?;
    }
    fs::write(folder.join("manifest.json"), &image.manifest.bytes)?;
    Ok(fs::write(folder.join("version"), "Directory Transport Version: 1.1\n")?)
}

fn our_store(server: &Server) -> Result<Store> {
    let session = Session::open(&server.paths)?;
    let login = Session::block_on(async {
        for name in names() {
            session.repository(&name).await?;
        }
        session.registry_login().await
    });
    let (user, password) = login?;
    let host = session.endpoint.url.strip_prefix("http://").context("the endpoint is not plain HTTP")?.to_owned();
    Ok(Store { host, pid: server.pid(), login: Some(format!("{user}:{password}")) })
}

/// Repositories: of the large image, and of the small ones.
fn names() -> impl Iterator<Item = String> {
    std::iter::once("large".to_owned()).chain((0..SMALL_IMAGES).map(|count| format!("small-{count}")))
}

impl Figures {
    fn take(&mut self, store: &Store, images: &Images, folder: &Path) -> Result<()> {
        let (time, cost) = store.timed(|| store.push(&images.large, "large"))?;
        self.push_mib_s.push(LARGE_MIB as f64 / time);
        self.push_cpu_s.push(cost);
        let (time, cost) = store.timed(|| store.pull("large", &folder.join("pulled")))?;
        self.pull_mib_s.push(LARGE_MIB as f64 / time);
        self.pull_cpu_s.push(cost);
        let (time, cost) = store.timed(|| store.push_all(&images.small))?;
        self.small_push_s.push(SMALL_IMAGES as f64 / time);
        self.small_push_cpu_s.push(cost);
        let pulled = folder.join("pulled-small");
        let list = store.list(folder)?;
        let (time, cost) = store.timed(|| store.pull_all(&list, &pulled))?;
        ensure!(fs::read_dir(&pulled)?.count() == SMALL_IMAGES, "not every small image was pulled");
        self.small_pull_s.push(SMALL_IMAGES as f64 / time);
        self.small_pull_cpu_s.push(cost);
        self.manifests_per_cpu_s.push(store.manifests_per_cpu_second("large")?);
        Ok(())
    }
}

impl Store {
    /// Seconds that `work` took, and processor seconds that it cost the registry.
    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
        let (begun, before) = (Instant::now(), cpu::seconds(self.pid)?);
        work()?;
        Ok((begun.elapsed().as_secs_f64(), cpu::seconds(self.pid)? - before))
    }

    fn push(&self, image: &Path, name: &str) -> Result<()> {
        let mut command = self.skopeo("copy", "--dest");
        call(command.arg(format!("dir:{}", image.display())).arg(format!("docker://{}/{name}:{TAG}", self.host)))
    }

    fn pull(&self, name: &str, into: &Path) -> Result<()> {
        let mut command = self.skopeo("copy", "--src");
        call(command.arg(format!("docker://{}/{name}:{TAG}", self.host)).arg(format!("dir:{}", into.display())))
    }

    /// Every image in `folder`, each named as its own folder.
    fn push_all(&self, folder: &Path) -> Result<()> {
        call(self.skopeo("sync", "--dest").args(["--src", "dir", "--dest", "docker"]).arg(folder).arg(&self.host))
    }

    /// The list of small images that [`Store::pull_all`] takes, in `folder`: YAML, of which JSON is a part.
    fn list(&self, folder: &Path) -> Result<PathBuf> {
        let images: BTreeMap<String, [&str; 1]> = names().skip(1).map(|name| (name, [TAG])).collect();
        let path = folder.join("images.yaml");
        fs::write(&path, json!({ &self.host: { "images": images, "tls-verify": false } }).to_string())?;
        Ok(path)
    }

    fn pull_all(&self, list: &Path, into: &Path) -> Result<()> {
        call(self.skopeo("sync", "--src").args(["--src", "yaml", "--dest", "dir"]).arg(list).arg(into))
    }

    fn skopeo(&self, verb: &str, side: &str) -> Command {
        let mut command = Command::new("skopeo");
        command.arg(verb).arg(format!("{side}-tls-verify=false"));
        if let Some(login) = &self.login {
            command.arg(format!("{side}-creds={login}"));
        }
        command
    }

    fn manifests_per_cpu_second(&self, name: &str) -> Result<f64> {
        let mut request = Request::get(format!("http://{}/v2/{name}/manifests/{TAG}", self.host))
            .header("host", &self.host)
            .header("accept", "application/vnd.oci.image.manifest.v1+json");
        if let Some(login) = &self.login {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(login)));
        }
        let request = request.body(Bytes::new())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let before = cpu::seconds(self.pid)?;
        let load = runtime.block_on(load::run(&self.host, CONNECTIONS, LOAD_TIME, request))?;
        Ok(load.requests as f64 / (cpu::seconds(self.pid)? - before))
    }
}
