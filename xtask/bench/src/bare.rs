//! The measure beside us: the node's own OCI runtime runs the very bundle that the agent made, without us.

use crate::now_ns;
use crate::tasks::{HOLD_SECS, PROGRAM};
use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The version 2 mount of a host whose controllers are in version 1; crun refuses to see both.
const HYBRID_MOUNT: &str = "/sys/fs/cgroup/unified";
/// The agent's record in a container's directory, and the bundle's configuration.
const RECORD: &str = "container.json";
const CONFIG: &str = "config.json";
/// How deep in the node's data its containers' directories lie at most.
const SEARCH_DEPTH: usize = 4;

/// The runtime with a bundle. Runs happen on a thread whose mount namespace is its own, as a shim's.
pub struct Bare {
    pub runtime: Runtime,
    go: Sender<()>,
    times: Receiver<Result<f64>>,
}

/// What the node found to start containers with.
#[derive(Clone)]
pub struct Runtime {
    pub name: String,
    pub version: String,
    path: PathBuf,
    hides_hybrid_mount: bool,
}

impl Bare {
    /// Copies into `folder` the bundle of the container that stays, which runs in the node at `agent`.
    pub fn copy_of_held(agent: &Path, folder: &Path) -> Result<Self> {
        let container = find_held(agent, SEARCH_DEPTH)?.context("the node's data has no container that stays")?;
        let runtime = Runtime::of(&container)?;
        let options = copy_bundle(&container, folder)?;
        let (go, asked) = channel::<()>();
        let (told, times) = channel();
        let (folder, used) = (folder.to_owned(), runtime.clone());
        thread::Builder::new().name("bare".to_owned()).spawn(move || {
            let ready = own_mounts(&folder, &used, &options);
            for (count, ()) in asked.iter().enumerate() {
                let time = match &ready {
                    Ok(()) => used.run(&folder, count),
                    Err(error) => Err(anyhow!("cannot mount what the bare runtime runs: {error:#}")),
                };
                if told.send(time).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { runtime, go, times })
    }

    /// Runs the bundle once; milliseconds from calling the runtime to the program's first instruction.
    pub fn launch(&self) -> Result<f64> {
        let ended = "the bare runtime's thread ended";
        self.go.send(()).context(ended)?;
        self.times.recv().context(ended)?
    }
}

impl Runtime {
    /// From the record that the agent keeps in the container's directory.
    fn of(container: &Path) -> Result<Self> {
        let record = read_json(&container.join(RECORD))?;
        let runtime = &record["runtime"];
        let text =
            |name: &str| runtime[name].as_str().map(str::to_owned).context("the container's record has no runtime");
        Ok(Self {
            name: text("name")?,
            version: text("version")?,
            path: text("path")?.into(),
            hides_hybrid_mount: runtime["hides_hybrid_mount"] == true,
        })
    }

    fn run(&self, bundle: &Path, count: usize) -> Result<f64> {
        let mut command = Command::new(&self.path);
        command.arg("--root").arg(bundle.join("state")).arg("run").arg("--bundle").arg(bundle);
        command.arg(format!("bench-{}-{count}", std::process::id()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let called_ns = now_ns();
        let output = command.spawn()?.wait_with_output()?;
        ensure!(output.status.success(), "bare {}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let first_ns: i64 = String::from_utf8(output.stdout)?.trim().parse()?;
        Ok((first_ns - called_ns) as f64 / 1e6)
    }
}

/// Gives the calling thread mounts of its own, which end with it, among them the bundle's root.
fn own_mounts(bundle: &Path, runtime: &Runtime, options: &CString) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    if runtime.hides_hybrid_mount {
        unmount(HYBRID_MOUNT, UnmountFlags::DETACH)?;
    }
    Ok(mount("overlay", bundle.join("rootfs"), "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
}

/// The directory of the container that stays, known by its command line. The runtime keeps copies of the
/// configuration, without the agent's record beside them.
fn find_held(folder: &Path, depth: usize) -> Result<Option<PathBuf>> {
    if folder.join(RECORD).exists()
        && let Ok(config) = read_json(&folder.join(CONFIG))
        && config["process"]["args"] == json!([PROGRAM, HOLD_SECS])
    {
        return Ok(Some(folder.to_owned()));
    }
    if depth == 0 {
        return Ok(None);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(found) = find_held(&entry.path(), depth - 1)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Makes the bundle of `container` in `folder`, to run the program; answers the options of its overlay.
fn copy_bundle(container: &Path, folder: &Path) -> Result<CString> {
    let mut config = read_json(&container.join(CONFIG))?;
    config["process"]["args"] = json!([PROGRAM]);
    // Beside the containers: elsewhere in the tree the same share of the processor would be another.
    let name = folder.file_name().unwrap_or_default();
    let cgroup = Path::new(config["linux"]["cgroupsPath"].as_str().unwrap_or_default()).with_file_name(name);
    config["linux"]["cgroupsPath"] = json!(cgroup);
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        let source = PathBuf::from(mount["source"].as_str().unwrap_or_default());
        if let (Ok(name), true) = (source.strip_prefix(container), source.is_file()) {
            fs::copy(&source, folder.join(name))?;
            mount["source"] = json!(folder.join(name));
        }
    }
    fs::write(folder.join(CONFIG), config.to_string())?;
    for name in ["rootfs", "upper", "work"] {
        fs::create_dir(folder.join(name))?;
    }
    let lower = layers(container)?.join(":");
    let (upper, work) = (folder.join("upper"), folder.join("work"));
    let options = format!("volatile,lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
    Ok(CString::new(options)?)
}

/// The unpacked layers of a container's root, the topmost first.
fn layers(container: &Path) -> Result<Vec<String>> {
    let links = container.join("lower");
    let mut layers = Vec::new();
    while let Ok(layer) = fs::read_link(links.join(layers.len().to_string())) {
        layers.push(layer.to_string_lossy().into_owned());
    }
    if layers.is_empty() {
        bail!("{} names no layers", links.display());
    }
    layers.reverse();
    Ok(layers)
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}
