//! Volumes, in the words of the agent protocol. Pure.

use wire::acs;
use wire::types::ecs::{ContainerDefinition, DockerVolumeConfiguration, Volume};

/// A volume of Docker's, or one of the host; that one without a path is the task's own.
pub(super) fn volume(given: &Volume) -> acs::Volume {
    let docker = given.docker_volume_configuration.as_ref();
    let source_path = given.host.as_ref().and_then(|host| host.source_path.clone()).filter(|path| !path.is_empty());
    acs::Volume {
        name: given.name.clone(),
        r#type: Some(if docker.is_some() { "docker" } else { "host" }.to_owned()),
        host: docker.is_none().then_some(acs::HostVolumeProperties { source_path }),
        docker_volume_configuration: docker.map(docker_volume),
    }
}

fn docker_volume(given: &DockerVolumeConfiguration) -> acs::DockerVolumeConfiguration {
    let is_shared = given.scope.as_deref() == Some("shared");
    acs::DockerVolumeConfiguration {
        scope: given.scope.clone(),
        // Agents refuse it of a volume that is the task's own, which they always make.
        autoprovision: given.autoprovision.filter(|_| is_shared),
        driver: given.driver.clone(),
        driver_opts: given.driver_opts.clone(),
        labels: given.labels.clone(),
    }
}

pub(super) fn mount_points(container: &ContainerDefinition) -> Option<Vec<acs::MountPoint>> {
    let mounts = container.mount_points.as_ref().filter(|mounts| !mounts.is_empty())?;
    let mount = |mount: &wire::types::ecs::MountPoint| acs::MountPoint {
        source_volume: mount.source_volume.clone(),
        container_path: mount.container_path.clone(),
        read_only: mount.read_only,
    };
    Some(mounts.iter().map(mount).collect())
}

pub(super) fn volumes_from(container: &ContainerDefinition) -> Option<Vec<acs::VolumeFrom>> {
    let sources = container.volumes_from.as_ref().filter(|sources| !sources.is_empty())?;
    let source = |from: &wire::types::ecs::VolumeFrom| acs::VolumeFrom {
        source_container: from.source_container.clone(),
        read_only: from.read_only,
    };
    Some(sources.iter().map(source).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn volumes_are_told_as_the_agent_reads_them() {
        fn check(given: Value, expect: Value) {
            let given: Volume = serde_json::from_value(given).expect("a volume");
            assert_eq!(serde_json::to_value(volume(&given)).expect("JSON"), expect);
        }
        check(json!({ "name": "v" }), json!({ "name": "v", "type": "host", "host": {} }));
        let host = json!({ "sourcePath": "/srv" });
        check(json!({ "name": "v", "host": host }), json!({ "name": "v", "type": "host", "host": host }));
        let shared = json!({ "scope": "shared", "autoprovision": true, "driver": "local", "driverOpts": { "o": "a" }, "labels": { "b": "c" } });
        check(
            json!({ "name": "v", "dockerVolumeConfiguration": shared }),
            json!({ "name": "v", "type": "docker", "dockerVolumeConfiguration": shared }),
        );
        check(
            json!({ "name": "v", "dockerVolumeConfiguration": { "scope": "task", "autoprovision": true, "driver": "local" } }),
            json!({ "name": "v", "type": "docker", "dockerVolumeConfiguration": { "scope": "task", "driver": "local" } }),
        );
    }
}
