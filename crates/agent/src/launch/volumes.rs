//! Where a container has which volumes, merged as Docker does: first those of other containers, over them its own
//! mount points, and where the image wants a volume and nothing is yet, one for that alone.

use super::Launch;
use crate::drivers::{Backing, BindMount, Volume, VolumeMount, VolumeScope};
use crate::order::{self, ContainerOrder, Source, TaskOrder};
use oci::Digest;
use oci::image_config::ContainerConfig;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// By kind, in the order of their targets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    pub mounts: Vec<BindMount>,
    pub volumes: Vec<VolumeMount>,
}

#[derive(Clone)]
enum Mount {
    Host(BindMount),
    Kept(VolumeMount),
}

impl Launch<'_> {
    pub(super) fn placed(&self) -> Placed {
        let mut placed = Placed::default();
        for mount in self.mounts_of(self.container, &self.image.config).into_values() {
            match mount {
                Mount::Host(bind) => placed.mounts.push(bind),
                Mount::Kept(kept) => placed.volumes.push(kept),
            }
        }
        placed
    }

    /// By target.
    fn mounts_of(&self, container: &ContainerOrder, image: &ContainerConfig) -> BTreeMap<String, Mount> {
        let is_tmpfs = |target: &str| container.tmpfs.iter().any(|tmpfs| clean(&tmpfs.path) == target);
        let mut mounts = BTreeMap::new();
        for from in &container.volumes_from {
            let source = self.sources.iter().find(|(order, _)| order.name == from.container);
            let theirs = source.map(|(order, image)| self.mounts_of(order, image)).unwrap_or_default();
            let theirs = theirs.into_iter().filter(|(target, _)| !is_tmpfs(target));
            mounts.extend(theirs.map(|(target, mount)| (target, mount.taken(from.read_only))));
        }
        for point in &container.mount_points {
            let target = clean(&point.path);
            let volume = self.task.volumes.iter().find(|volume| volume.name == point.volume);
            if let Some(volume) = volume {
                mounts.insert(target.clone(), mount(self.task, volume, target, point.read_only));
            }
        }
        for target in image.volumes.iter().map(|path| clean(path)).filter(|target| !is_tmpfs(target)) {
            let own = Mount::Kept(VolumeMount {
                volume: anonymous(self.task, container, &target),
                target: target.clone(),
                read_only: false,
                filled: true,
            });
            mounts.entry(target).or_insert(own);
        }
        mounts
    }
}

impl Mount {
    /// As another container has it: what it holds is its owner's affair.
    fn taken(self, read_only: bool) -> Self {
        match self {
            Self::Host(bind) => Self::Host(BindMount { read_only: bind.read_only || read_only, ..bind }),
            Self::Kept(kept) => {
                Self::Kept(VolumeMount { read_only: kept.read_only || read_only, filled: false, ..kept })
            }
        }
    }
}

fn mount(task: &TaskOrder, volume: &order::Volume, target: String, read_only: bool) -> Mount {
    let kept = |name: &String, scope, ordered: &order::Backing, labels: &BTreeMap<String, String>| {
        let volume = Volume { name: name.clone(), scope, backing: backing(ordered), labels: labels.clone() };
        Mount::Kept(VolumeMount { volume, target: target.clone(), read_only, filled: true })
    };
    match &volume.source {
        Source::Host(path) => {
            Mount::Host(BindMount { source: PathBuf::from(clean(path)), target: target.clone(), read_only })
        }
        Source::Task(backing) => kept(&volume.name, of_task(task), backing, &BTreeMap::new()),
        Source::Shared { name, backing, labels, made } => {
            kept(name, VolumeScope::Shared { made: *made }, backing, labels)
        }
    }
}

fn of_task(task: &TaskOrder) -> VolumeScope {
    VolumeScope::Task(task.id().to_owned())
}

fn backing(ordered: &order::Backing) -> Backing {
    match ordered.clone() {
        order::Backing::Directory => Backing::Directory,
        order::Backing::Bind { path, read_only } => Backing::Bind { path: path.into(), read_only },
        order::Backing::Tmpfs(options) => Backing::Tmpfs(options),
    }
}

/// What an image wants for itself; the leading dot sets its name apart from those of definitions.
fn anonymous(task: &TaskOrder, container: &ContainerOrder, target: &str) -> Volume {
    let digest = Digest::of(format!("{}\0{target}", container.name).as_bytes());
    let name = format!(".{}", digest.hex());
    Volume { name, scope: of_task(task), backing: Backing::Directory, labels: BTreeMap::new() }
}

/// A path without what says nothing, and without `..`, which leads no higher than the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => _ = parts.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let whole: PathBuf = [Path::new("/").as_os_str()].into_iter().chain(parts).collect();
    whole.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::image;
    use super::*;
    use crate::order::{MountPoint, VolumesFrom};

    fn volume(name: &str, source: Source) -> order::Volume {
        order::Volume { name: name.to_owned(), source }
    }

    fn point(volume: &str, path: &str, read_only: bool) -> MountPoint {
        MountPoint { volume: volume.to_owned(), path: path.to_owned(), read_only }
    }

    fn wants(volumes: &[&str]) -> ContainerConfig {
        ContainerConfig { volumes: volumes.iter().map(ToString::to_string).collect(), ..ContainerConfig::default() }
    }

    /// What the first container has, a mount a line.
    fn shown(task: &TaskOrder, images: &[ContainerConfig]) -> String {
        let image = crate::images::Image { config: images[0].clone(), ..image() };
        let sources = task.containers.iter().zip(images).skip(1).collect();
        let container = &task.containers[0];
        let launch = Launch { task, container, runtime_id: "r", image: &image, host_name: "h", linked: &[], sources };
        let access = |read_only: bool| if read_only { "ro" } else { "rw" };
        let Placed { mounts, volumes } = launch.placed();
        let binds = mounts.iter().map(|it| format!("{} = {} {}", it.target, it.source.display(), access(it.read_only)));
        let kept = volumes.iter().map(|it| {
            let name = if it.volume.name.starts_with('.') { "its own" } else { &it.volume.name };
            let filled = if it.filled { " filled" } else { "" };
            format!("{} = {:?} {name} {}{filled}", it.target, it.volume.scope, access(it.read_only))
        });
        binds.chain(kept).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn mounts_are_merged_as_docker_does() {
        let shared = Source::Shared {
            name: "v".to_owned(),
            backing: order::Backing::Directory,
            labels: BTreeMap::new(),
            made: true,
        };
        let tmpfs = |path: &str| order::Tmpfs { path: path.to_owned(), size_bytes: 1, options: Vec::new() };
        let from = |container: &str, read_only| VolumesFrom { container: container.to_owned(), read_only };
        let first = ContainerOrder {
            name: "first".to_owned(),
            mount_points: vec![point("host", "/etc//app/", true), point("own", "/data", false)],
            volumes_from: vec![from("second", true)],
            tmpfs: ["/tmp", "/hidden/"].map(tmpfs).into(),
            ..ContainerOrder::default()
        };
        let second = ContainerOrder {
            name: "second".to_owned(),
            mount_points: vec![point("shared", "/data", false), point("shared", "/theirs", false)],
            volumes_from: vec![from("third", false)],
            ..ContainerOrder::default()
        };
        let third = ContainerOrder {
            name: "third".to_owned(),
            mount_points: vec![point("host", "/deep", false), point("host", "/hidden", false)],
            ..ContainerOrder::default()
        };
        let task = TaskOrder {
            arn: "task/c/t".to_owned(),
            volumes: vec![
                volume("host", Source::Host("/srv/../opt".to_owned())),
                volume("own", Source::Task(order::Backing::Directory)),
                volume("shared", shared),
            ],
            containers: vec![first, second, third],
            ..TaskOrder::default()
        };
        let images = [wants(&["/tmp", "/data", "/cache/"]), wants(&["/var/lib/second"]), wants(&[])];
        insta::assert_snapshot!(shown(&task, &images), @r#"
        /deep = /opt ro
        /etc/app = /opt ro
        /cache = Task("t") its own rw filled
        /data = Task("t") own rw filled
        /theirs = Shared { made: true } v ro
        /var/lib/second = Task("t") its own ro
        "#);
    }

    #[test]
    fn paths_are_cleaned() {
        fn check(path: &str, expect: &str) {
            assert_eq!(clean(path), expect, "{path}");
        }
        check("/a//b/./c/", "/a/b/c");
        check("/a/../../b", "/b");
        check("a", "/a");
        check("/", "/");
    }
}
