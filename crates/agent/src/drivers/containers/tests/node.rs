//! A node for one test, which leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::drivers::network::NetworkConfig;
use crate::drivers::runtime::{CANDIDATES, Runtime};
use crate::drivers::spool::{Record, Stream};
use crate::drivers::{
    Config, ContainerId, ContainerSpec, Containers, Error, Exit, ShimCommand, Status, cgroup, rootfs,
};

/// Longer than anything here takes on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const APPLETS: &str =
    "cat date echo env false grep head hostname id ip ls mount nc ping mkdir sh sort sleep stat tail test touch true";

pub(super) struct Node {
    dir: TempDir,
    pub config: Config,
    _group: Group,
}

/// Removes the node's control group, whatever happens.
struct Group(String);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = cgroup::remove(&self.0);
    }
}

impl Node {
    pub fn new() -> Self {
        Self::with_runtimes(&CANDIDATES)
    }

    pub fn with_runtimes(candidates: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "tests of containers need root: run them as root");
        static NODES: AtomicU32 = AtomicU32::new(0);
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().expect("temp dir");
        let cgroup_root = format!("/longshore-test-{}-{number}", std::process::id());
        let group = Group(cgroup_root.clone());
        let runtime = Runtime::probe(candidates, dir.path(), &cgroup_root).expect("a runtime that works here");
        let program = std::env::current_exe().expect("own path");
        let shim = ShimCommand { program, args: crate::shim::tests::ARGS.map(str::to_owned).into() };
        let data = dir.path().join("data");
        make_layer(&dir.path().join("layer"));
        let network = NetworkConfig { bridge: "lstest0".into(), ..NetworkConfig::default() };
        Self { dir, config: Config { shim, data, runtime, cgroup_root, network, keeps_remains: false }, _group: group }
    }

    pub fn open(&self) -> Containers {
        Containers::open(self.config.clone()).expect("open the node")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn container_dir(&self, id: &ContainerId) -> PathBuf {
        self.config.data.join("containers").join(id.as_str())
    }

    /// A container that runs `script` by the shell.
    pub fn shell(&self, script: &str) -> ContainerSpec {
        ContainerSpec {
            args: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            hostname: "tester".into(),
            layers: vec![self.dir.path().join("layer")],
            ..ContainerSpec::default()
        }
    }

    /// Runs `spec` to its end and returns how it ended and all that it said.
    pub async fn run(&self, containers: &Containers, spec: &ContainerSpec) -> (Exit, String, String) {
        let id = id("run");
        containers.create(&id, spec).await.expect("create");
        containers.start(&id).await.expect("start");
        let exit = wait(containers, &id).await;
        let (out, err) = texts(&all_output(containers, &id).await);
        containers.remove(&id).await.expect("remove");
        (exit, out, err)
    }

    /// Asserts that the node has nothing left on the host but its own directory.
    pub fn assert_clean(&self) {
        let left = |dir: &str| fs::read_dir(self.config.data.join(dir)).expect(dir).count();
        assert_eq!([left("containers"), left("netns"), left("leases")], [0, 0, 0]);
        assert_eq!(rootfs::mounts_below(self.dir.path()).expect("mounts"), Vec::<PathBuf>::new());
        cgroup::remove(&self.config.cgroup_root).expect("nothing is left in the node's control group");
    }
}

/// What a failed test left is killed and unmounted all the same.
impl Drop for Node {
    fn drop(&mut self) {
        let root = self.config.data.join("runtime").to_string_lossy().into_owned();
        for entry in fs::read_dir(self.config.data.join("containers")).into_iter().flatten().flatten() {
            let mut delete = self.config.runtime.command(&root, &self.dir.path().join("log"));
            let _ = delete.args(["delete", "--force"]).arg(entry.file_name()).output();
        }
        for mount in rootfs::mounts_below(self.dir.path()).unwrap_or_default() {
            let _ = rootfs::unmount_at(&mount);
        }
    }
}

fn make_layer(layer: &Path) {
    for dir in ["bin", "etc", "tmp", "proc"] {
        fs::create_dir_all(layer.join(dir)).expect("make the layer");
    }
    fs::copy("/usr/bin/busybox", layer.join("bin/busybox")).expect("busybox-static at /usr/bin/busybox");
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", layer.join("bin").join(applet)).expect("link");
    }
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n").expect("passwd");
    fs::write(layer.join("etc/group"), "root:x:0:\nwww:x:34:\nlogs:x:90:web\n").expect("group");
}

pub(super) fn id(text: &str) -> ContainerId {
    text.parse().expect("container id")
}

/// Runs a future that must come to an end in good time.
pub(super) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

pub(super) async fn wait(containers: &Containers, id: &ContainerId) -> Exit {
    patiently("the container", containers.wait(id)).await.expect("wait")
}

/// Polls `check`, which has nothing to be awaited by, until it holds.
pub(super) async fn until(what: &str, mut check: impl FnMut() -> bool) {
    patiently(what, async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(super) async fn all_output(containers: &Containers, id: &ContainerId) -> Vec<Record> {
    let mut output = containers.output(id, 0).expect("output");
    let mut records = Vec::new();
    while let Some(record) = patiently("output", output.next()).await.expect("read output") {
        records.push(record);
    }
    records
}

/// Waits for a line of output that contains `text`.
pub(super) async fn until_said(containers: &Containers, id: &ContainerId, text: &str) {
    let mut output = containers.output(id, 0).expect("output");
    while let Some(record) = patiently(text, output.next()).await.expect("read output") {
        if matches!(&record, Record::Line { bytes, .. } if String::from_utf8_lossy(bytes).contains(text)) {
            return;
        }
    }
    panic!("{id} ended without saying {text:?}");
}

/// What was said on standard output and on standard error, a line each.
pub(super) fn texts(records: &[Record]) -> (String, String) {
    let mut said = (String::new(), String::new());
    for record in records {
        let Record::Line { stream, bytes, partial, .. } = record else { panic!("output was dropped: {record:?}") };
        let text = if *stream == Stream::Out { &mut said.0 } else { &mut said.1 };
        text.push_str(&String::from_utf8_lossy(bytes));
        text.push_str(if *partial { "" } else { "\n" });
    }
    said
}

pub(super) fn running_pid(containers: &Containers, id: &ContainerId) -> Result<i32, Error> {
    match *containers.status(id)?.borrow() {
        Status::Running { pid, .. } => Ok(pid),
        _ => Err(Error::NotRunning(id.clone())),
    }
}

/// Runs a command of the test's host to its end.
pub(super) fn sh(script: &str) -> String {
    let output = Command::new("/bin/sh").args(["-ec", script]).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
