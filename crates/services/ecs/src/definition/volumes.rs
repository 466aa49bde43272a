//! Volumes: what a task's containers keep files in, and where each of them has it.
//!
//! Amazon ECS API reference, Volume, MountPoint and VolumeFrom; the options are those of Docker's driver `local`
//! (docs.docker.com/reference/cli/docker/volume/create, "Driver-specific options").

use crate::errors::{DefinitionError, EcsError};
use crate::names::{NAME_CHARS_MAX, is_plain};
use crate::supported;
use std::collections::{BTreeMap, BTreeSet};
use wire::types::ecs::{ContainerDefinition, DockerVolumeConfiguration, Volume};

/// Members of a volume that mean something here.
const SUPPORTED: [&str; 3] = ["name", "host", "dockerVolumeConfiguration"];
/// Docker's driver that keeps files on the machine: the only one here.
pub(super) const DRIVER: &str = "local";
/// What ECS fills in.
const SCOPE_DEFAULT: &str = "task";
/// Options of that driver which mean something here.
const OPTIONS: [&str; 3] = ["type", "o", "device"];

/// Checks `given` and fills in its defaults.
pub(super) fn normalise(given: Vec<Volume>) -> Result<Vec<Volume>, EcsError> {
    let mut names = BTreeSet::new();
    let mut filled = Vec::new();
    for (at, volume) in given.into_iter().enumerate() {
        let path = format!("volumes[{at}].");
        check_kind(&volume)?;
        supported::only(&volume, &SUPPORTED, &path)?;
        let name = name(volume.name.as_deref())?;
        if !names.insert(name.clone()) {
            return Err(DefinitionError::VolumeTwice(name).into());
        }
        let docker = volume.docker_volume_configuration.map(|docker| docker_volume(docker, &path)).transpose()?;
        filled.push(Volume { docker_volume_configuration: docker, ..volume });
    }
    Ok(filled)
}

/// A volume is of one kind.
fn check_kind(volume: &Volume) -> Result<(), DefinitionError> {
    let kinds = [
        host_path(volume).is_some(),
        volume.docker_volume_configuration.is_some(),
        volume.efs_volume_configuration.is_some(),
        volume.s3files_volume_configuration.is_some(),
        volume.fsx_windows_file_server_volume_configuration.is_some(),
    ];
    match kinds.into_iter().filter(|is| *is).count() {
        0 | 1 => Ok(()),
        _ => Err(DefinitionError::VolumeKinds),
    }
}

/// The path on the host; without one a volume is the task's own.
pub(super) fn host_path(volume: &Volume) -> Option<&str> {
    volume.host.as_ref()?.source_path.as_deref().filter(|path| !path.is_empty())
}

fn name(given: Option<&str>) -> Result<String, DefinitionError> {
    match given.unwrap_or_default() {
        "" => Err(DefinitionError::VolumeNameEmpty),
        name if name.len() > NAME_CHARS_MAX || !is_plain(name) => Err(DefinitionError::VolumeName(name.to_owned())),
        name => Ok(name.to_owned()),
    }
}

fn docker_volume(given: DockerVolumeConfiguration, path: &str) -> Result<DockerVolumeConfiguration, EcsError> {
    let path = format!("{path}dockerVolumeConfiguration.");
    let scope = given.scope.unwrap_or_else(|| SCOPE_DEFAULT.to_owned());
    if scope == SCOPE_DEFAULT && given.autoprovision == Some(false) {
        return Err(DefinitionError::TaskVolumeNotMade.into());
    }
    let driver = given.driver.filter(|driver| !driver.is_empty()).unwrap_or_else(|| DRIVER.to_owned());
    if driver != DRIVER {
        return Err(EcsError::FieldNotSupported(format!("{path}driver: {driver}")));
    }
    check_options(given.driver_opts.as_ref(), &format!("{path}driverOpts."))?;
    Ok(DockerVolumeConfiguration { scope: Some(scope), driver: Some(driver), ..given })
}

/// A directory of the host under another name, or memory: what else Docker's driver mounts is not made here.
fn check_options(options: Option<&BTreeMap<String, String>>, path: &str) -> Result<(), EcsError> {
    let Some(options) = options.filter(|options| !options.is_empty()) else { return Ok(()) };
    let unsupported = |what: String| EcsError::FieldNotSupported(format!("{path}{what}"));
    if let Some(other) = options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(unsupported(other.clone()));
    }
    let option = |name: &str| options.get(name).map(String::as_str).unwrap_or_default();
    if let Some(missing) = ["type", "device"].into_iter().find(|name| option(name).is_empty()) {
        return Err(DefinitionError::VolumeOption(missing).into());
    }
    let binds = option("o").split(',').any(|word| word == "bind" || word == "rbind");
    match option("type") {
        // The kernel would take this for a directory of the host.
        "tmpfs" if binds => Err(unsupported(format!("o: {}", option("o")))),
        "tmpfs" => Ok(()),
        _ if binds && option("device").starts_with('/') => Ok(()),
        _ if binds => Err(unsupported(format!("device: {}", option("device")))),
        other => Err(unsupported(format!("type: {other}"))),
    }
}

/// Checks where the containers have the volumes, and whose they have beside their own.
pub(super) fn check_uses(containers: &[ContainerDefinition], volumes: &[Volume]) -> Result<(), DefinitionError> {
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in containers {
        let name = container.name.as_deref().unwrap_or_default();
        check_mounts(name, container, volumes)?;
        let sources = container.volumes_from.iter().flatten();
        let sources: Vec<&str> = sources.map(|from| from.source_container.as_deref().unwrap_or_default()).collect();
        if let Some(gone) =
            sources.iter().find(|gone| !containers.iter().any(|other| other.name.as_deref() == Some(gone)))
        {
            return Err(invalid(name, "volumesFrom", format!("Container '{gone}' is not in the task definition.")));
        }
        graph.insert(name, sources);
    }
    // Whoever takes from none of those left can be made; what is then still left goes round.
    while let Some(name) =
        graph.iter().find(|(_, from)| !from.iter().any(|from| graph.contains_key(from))).map(|(name, _)| *name)
    {
        graph.remove(name);
    }
    match graph.keys().next() {
        Some(name) => Err(invalid(name, "volumesFrom", "The containers lead round in a circle.".to_owned())),
        None => Ok(()),
    }
}

fn check_mounts(name: &str, container: &ContainerDefinition, volumes: &[Volume]) -> Result<(), DefinitionError> {
    let mut targets = BTreeSet::new();
    for mount in container.mount_points.iter().flatten() {
        // An absent name is written like this, too.
        let source = mount.source_volume.as_deref().unwrap_or("null");
        if !volumes.iter().any(|volume| volume.name.as_deref() == Some(source)) {
            return Err(DefinitionError::VolumeUnknown(source.to_owned()));
        }
        let target = mount.container_path.as_deref().unwrap_or_default();
        let parts: Vec<&str> = target.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if !target.starts_with('/') || parts.is_empty() || parts.contains(&"..") || target.contains('\0') {
            let problem = format!("containerPath '{target}' is not an absolute path beneath the root.");
            return Err(invalid(name, "mountPoints", problem));
        }
        if !targets.insert(parts) {
            return Err(DefinitionError::MountTwice);
        }
    }
    Ok(())
}

fn invalid(container: &str, member: &'static str, problem: String) -> DefinitionError {
    DefinitionError::Setting { container: container.to_owned(), member, problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn normalised(volumes: Value) -> Result<Vec<Volume>, EcsError> {
        normalise(serde_json::from_value(volumes).expect("volumes"))
    }

    #[test]
    fn volumes_are_of_one_kind_and_what_is_not_made_here_is_named() {
        fn check(volume: Value, expect: &str) {
            let error = normalised(json!([volume])).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expect) && expect.is_empty() == error.is_empty(), "{volume}: {error}");
        }
        fn docker(configuration: Value, expect: &str) {
            check(json!({ "name": "v", "dockerVolumeConfiguration": configuration }), expect);
        }
        check(json!({ "name": "v" }), "");
        check(json!({ "name": "v", "host": {} }), "");
        check(json!({ "name": "v", "host": { "sourcePath": "" } }), "");
        check(json!({ "name": "v", "host": { "sourcePath": "/srv" } }), "");
        check(json!({}), "Volume.name should not be null or empty.");
        check(json!({ "name": "../v" }), "'../v'");
        let both = json!({ "name": "v", "host": { "sourcePath": "/srv" }, "dockerVolumeConfiguration": {} });
        check(both, "only one volume configuration type should be used.");
        check(
            json!({ "name": "v", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }),
            "'volumes[0].efsVolumeConfiguration'",
        );
        check(
            json!({ "name": "v", "s3filesVolumeConfiguration": { "fileSystemArn": "arn" } }),
            "'volumes[0].s3filesVolumeConfiguration'",
        );
        check(
            json!({ "name": "v", "fsxWindowsFileServerVolumeConfiguration": {
                "fileSystemId": "fs-1", "rootDirectory": "d",
                "authorizationConfig": { "credentialsParameter": "arn", "domain": "d" },
            } }),
            "'volumes[0].fsxWindowsFileServerVolumeConfiguration'",
        );
        check(json!({ "name": "v", "configuredAtLaunch": true }), "'volumes[0].configuredAtLaunch'");
        check(json!({ "name": "v", "configuredAtLaunch": false }), "");
        docker(json!({}), "");
        docker(json!({ "scope": "shared", "autoprovision": false, "labels": { "a": "b" } }), "");
        docker(json!({ "scope": "task", "autoprovision": false }), "When 'scope' parameter is 'task'");
        docker(json!({ "driver": "rexray/ebs" }), "'volumes[0].dockerVolumeConfiguration.driver: rexray/ebs'");
    }

    #[test]
    fn options_are_those_of_dockers_own_driver() {
        fn check(options: Value, expect: &str) {
            let volume = json!({ "name": "v", "dockerVolumeConfiguration": { "driverOpts": options } });
            let error = normalised(json!([volume])).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expect) && expect.is_empty() == error.is_empty(), "{options}: {error}");
        }
        check(json!({}), "");
        check(json!({ "type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=700" }), "");
        check(json!({ "type": "tmpfs", "device": "/", "o": "bind" }), "driverOpts.o: bind'");
        check(json!({ "type": "none", "device": "/srv", "o": "bind,ro" }), "");
        check(json!({ "type": "none", "device": "srv", "o": "bind" }), "driverOpts.device: srv'");
        check(json!({ "type": "none", "o": "bind" }), "missing required option: \"device\"");
        check(json!({ "device": "/srv" }), "missing required option: \"type\"");
        check(json!({ "type": "nfs", "device": ":/srv", "o": "addr=192.0.2.1" }), "driverOpts.type: nfs'");
        check(json!({ "size": "1g" }), "driverOpts.size'");
    }

    #[test]
    fn names_are_used_once_and_defaults_filled_in() {
        let error = normalised(json!([{ "name": "v" }, { "name": "v" }])).expect_err("refused").to_string();
        assert_eq!(error, "Volume names must be unique in a task definition, and 'v' is there twice.");
        let filled = normalised(json!([{ "name": "v", "dockerVolumeConfiguration": {} }])).expect("sound");
        let expected = json!([{ "name": "v", "dockerVolumeConfiguration": { "scope": "task", "driver": "local" } }]);
        assert_eq!(serde_json::to_value(filled).expect("JSON"), expected);
    }

    #[test]
    fn uses_lead_to_volumes_and_containers_of_the_definition() {
        fn check(containers: Value, expect: &str) {
            let containers: Vec<ContainerDefinition> = serde_json::from_value(containers).expect("containers");
            let volumes = normalised(json!([{ "name": "v" }])).expect("sound");
            let error = check_uses(&containers, &volumes).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expect) && expect.is_empty() == error.is_empty(), "{error}");
        }
        let mounts = |mounts: Value| json!([{ "name": "a", "mountPoints": mounts }]);
        let from = |name: &str, source: &str| json!({ "name": name, "volumesFrom": [{ "sourceContainer": source }] });
        check(mounts(json!([{ "sourceVolume": "v", "containerPath": "/data", "readOnly": true }])), "");
        check(mounts(json!([{ "sourceVolume": "w", "containerPath": "/data" }])), "Unknown volume 'w'.");
        check(mounts(json!([{ "containerPath": "/data" }])), "Unknown volume 'null'.");
        check(mounts(json!([{ "sourceVolume": "v" }])), "containerPath '' is not an absolute path");
        check(mounts(json!([{ "sourceVolume": "v", "containerPath": "/" }])), "'/' is not an absolute path");
        check(mounts(json!([{ "sourceVolume": "v", "containerPath": "/a/../b" }])), "is not an absolute path");
        let twice =
            json!([{ "sourceVolume": "v", "containerPath": "/d" }, { "sourceVolume": "v", "containerPath": "//d/" }]);
        check(mounts(twice), "containerPath values aren't unique across mountPoints.");
        check(json!([{ "name": "a" }, from("b", "a"), from("c", "b")]), "");
        check(json!([from("a", "gone")]), "Container 'gone' is not in the task definition.");
        check(json!([from("a", "a")]), "lead round in a circle");
        check(json!([from("a", "b"), from("b", "a")]), "lead round in a circle");
    }
}
