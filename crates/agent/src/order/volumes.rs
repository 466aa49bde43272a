//! What a task's containers keep files in, and where each has it.
//!
//! Volumes are Docker's: of its driver `local`, with the options that this agent can mount
//! (docs.docker.com/reference/cli/docker/volume/create), or paths of the machine.

use super::read::refuse;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path};
use wire::acs;

/// What a task calls `name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A file or directory of the machine; a directory is made where there is nothing.
    Host(String),
    /// It goes with the task.
    Task(Backing),
    /// It stays, for whatever task names it next.
    Shared {
        name: String,
        backing: Backing,
        labels: BTreeMap<String, String>,
        /// Made where there is none of that name.
        made: bool,
    },
}

/// What Docker's driver has beneath a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backing {
    #[default]
    Directory,
    /// A directory of the machine, which must be there.
    Bind { path: String, read_only: bool },
    /// Mount options, separated by commas.
    Tmpfs(String),
}

/// Where a container has a volume of the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub volume: String,
    pub path: String,
    pub read_only: bool,
}

/// A container has all that another one has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    pub container: String,
    pub read_only: bool,
}

pub(super) fn volume(given: acs::Volume) -> Result<Volume, String> {
    let name = given.name.unwrap_or_default();
    if !is_name(&name) {
        return Err(format!("the volume name {name:?} is not one of letters, digits, '_', '.' and '-'"));
    }
    let source = match given.r#type.as_deref().unwrap_or("host") {
        "host" => host(given.host.and_then(|host| host.source_path).unwrap_or_default())?,
        "docker" => docker(&name, given.docker_volume_configuration.unwrap_or_default())?,
        other => return Err(unsupported(&format!("volume {name}'s type {other}"))),
    };
    Ok(Volume { name, source })
}

fn unsupported(what: &str) -> String {
    refuse(true, what).err().unwrap_or_default()
}

/// Docker takes a source that is no absolute path for the name of a volume, which it makes.
fn host(path: String) -> Result<Source, String> {
    let named =
        || Source::Shared { name: path.clone(), backing: Backing::Directory, labels: BTreeMap::new(), made: true };
    match path.as_str() {
        "" => Ok(Source::Task(Backing::Directory)),
        text if text.contains('\0') => Err(format!("the volume's sourcePath {text:?} has a zero byte")),
        text if text.starts_with('/') => Ok(Source::Host(path)),
        text if is_name(text) => Ok(named()),
        text => Err(format!("the volume's sourcePath {text:?} is neither an absolute path nor the name of a volume")),
    }
}

/// A volume's name is also its directory's.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    text.len() <= NAME_CHARS_MAX && text.bytes().all(plain) && !text.starts_with('.') && !text.is_empty()
}

/// Characters of a file's name (NAME_MAX of Linux), and of a volume's (Amazon ECS API reference, Volume).
const NAME_CHARS_MAX: usize = 255;

fn docker(name: &str, given: acs::DockerVolumeConfiguration) -> Result<Source, String> {
    match given.driver.as_deref().unwrap_or_default() {
        "" | "local" => {}
        other => return Err(unsupported(&format!("volume {name}'s driver {other}"))),
    }
    let backing = backing(name, &given.driver_opts.unwrap_or_default())?;
    match given.scope.as_deref().unwrap_or_default() {
        "" | "task" => Ok(Source::Task(backing)),
        "shared" => Ok(Source::Shared {
            name: name.to_owned(),
            backing,
            labels: given.labels.unwrap_or_default(),
            made: given.autoprovision.unwrap_or_default(),
        }),
        other => Err(unsupported(&format!("volume {name}'s scope {other}"))),
    }
}

fn backing(name: &str, options: &BTreeMap<String, String>) -> Result<Backing, String> {
    if options.is_empty() {
        return Ok(Backing::Directory);
    }
    if let Some((other, _)) = options.iter().find(|(option, _)| !["type", "o", "device"].contains(&option.as_str())) {
        return Err(unsupported(&format!("volume {name}'s driverOpts {other}")));
    }
    let option = |option: &str| options.get(option).map(String::as_str).unwrap_or_default();
    if option("type") == "tmpfs" {
        return Ok(Backing::Tmpfs(option("o").to_owned()));
    }
    let words: Vec<&str> = option("o").split(',').collect();
    if !words.iter().any(|word| ["bind", "rbind"].contains(word)) {
        return Err(unsupported(&format!("volume {name}'s driverOpts type={}", option("type"))));
    }
    if let Some(other) = words.iter().find(|word| !["bind", "rbind", "rw", "ro"].contains(word)) {
        return Err(unsupported(&format!("volume {name}'s driverOpts o={other}")));
    }
    let device = option("device");
    let climbs = Path::new(device).components().any(|part| part == Component::ParentDir);
    if !device.starts_with('/') || climbs || device.contains('\0') {
        return Err(format!("volume {name}'s device {device:?} is not an absolute path"));
    }
    Ok(Backing::Bind { path: device.to_owned(), read_only: words.contains(&"ro") })
}

/// Where a container has the task's `volumes`.
pub(super) fn mount_points(given: Option<Vec<acs::MountPoint>>) -> Vec<MountPoint> {
    let point = |point: acs::MountPoint| MountPoint {
        volume: point.source_volume.unwrap_or_default(),
        path: point.container_path.unwrap_or_default(),
        read_only: point.read_only.unwrap_or_default(),
    };
    given.into_iter().flatten().map(point).collect()
}

pub(super) fn volumes_from(given: Option<Vec<acs::VolumeFrom>>) -> Vec<VolumesFrom> {
    let from = |from: acs::VolumeFrom| VolumesFrom {
        container: from.source_container.unwrap_or_default(),
        read_only: from.read_only.unwrap_or_default(),
    };
    given.into_iter().flatten().map(from).collect()
}

/// # Errors
/// The first container that uses a name which the task does not have, and the ECS agent's words for that.
pub(super) fn check_known(containers: &[super::ContainerOrder], volumes: &[Volume]) -> Result<(), (String, String)> {
    for container in containers {
        let unknown = |point: &&MountPoint| !volumes.iter().any(|volume| volume.name == point.volume);
        if let Some(point) = container.mount_points.iter().find(unknown) {
            return Err((container.name.clone(), format!("Invalid volume referenced: {}", point.volume)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn source(given: Value) -> Result<Source, String> {
        let mut whole = given;
        whole["name"] = json!("v");
        volume(serde_json::from_value(whole).expect("a volume")).map(|volume| volume.source)
    }

    fn shared(name: &str, made: bool) -> Source {
        Source::Shared { name: name.to_owned(), backing: Backing::Directory, labels: BTreeMap::new(), made }
    }

    #[test]
    fn volumes_of_the_host_are_paths_names_or_the_tasks_own() {
        fn check(path: &str, expect: Result<Source, &str>) {
            let found = source(json!({ "type": "host", "host": { "sourcePath": path } }));
            match (found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect),
                (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
                (found, expect) => panic!("{found:?} is not {expect:?}"),
            }
        }
        check("", Ok(Source::Task(Backing::Directory)));
        check("/srv/a", Ok(Source::Host("/srv/a".to_owned())));
        check("web_data", Ok(shared("web_data", true)));
        check("../up", Err("neither an absolute path nor the name"));
        check("..", Err("neither an absolute path nor the name"));
        check("/a\0b", Err("zero byte"));
        assert_eq!(source(json!({})), Ok(Source::Task(Backing::Directory)));
    }

    #[test]
    fn volumes_of_docker_are_of_its_local_driver() {
        fn check(configuration: Value, expect: Result<Source, &str>) {
            let found = source(json!({ "type": "docker", "dockerVolumeConfiguration": configuration }));
            match (found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect),
                (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
                (found, expect) => panic!("{found:?} is not {expect:?}"),
            }
        }
        fn options(options: Value, expect: Result<Backing, &str>) {
            check(json!({ "scope": "task", "driverOpts": options }), expect.map(Source::Task));
        }
        check(json!({}), Ok(Source::Task(Backing::Directory)));
        check(json!({ "scope": "shared", "driver": "local" }), Ok(shared("v", false)));
        check(json!({ "scope": "shared", "autoprovision": true }), Ok(shared("v", true)));
        check(json!({ "driver": "rexray/ebs" }), Err("volume v's driver rexray/ebs is not supported"));
        let bound = |read_only| Backing::Bind { path: "/srv".to_owned(), read_only };
        options(json!({ "type": "none", "o": "bind", "device": "/srv" }), Ok(bound(false)));
        options(json!({ "type": "none", "o": "rbind,ro", "device": "/srv" }), Ok(bound(true)));
        options(json!({ "type": "none", "o": "bind,uid=1", "device": "/srv" }), Err("driverOpts o=uid=1"));
        options(json!({ "type": "none", "o": "bind", "device": "/a/../b" }), Err("is not an absolute path"));
        options(json!({ "type": "tmpfs", "o": "size=1m", "device": "x" }), Ok(Backing::Tmpfs("size=1m".to_owned())));
        options(json!({ "type": "nfs", "o": "addr=a", "device": ":/b" }), Err("driverOpts type=nfs"));
        options(json!({ "size": "1g" }), Err("driverOpts size"));
    }

    #[test]
    fn names_are_those_of_directories() {
        fn check(name: &str, expect: bool) {
            let volume = volume(acs::Volume { name: Some(name.to_owned()), ..acs::Volume::default() });
            assert_eq!(volume.is_ok(), expect, "{name}");
        }
        check("data_1.a-b", true);
        check(&"x".repeat(255), true);
        check(&"x".repeat(256), false);
        check("", false);
        check("..", false);
        check(".hidden", false);
        check("a/b", false);
    }
}
