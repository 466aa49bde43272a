//! A task as the agent protocol tells it: definition, overrides and placement in one. Pure.
//!
//! What the container shape itself carries stays there; what Docker's API has
//! another place for goes into the two JSON texts of `dockerConfig`.

mod lifecycle;
mod machine;
mod volumes;

use base::Arn;
use request::Hosts;
use state::{DesiredStatus, TASK_DEFINITIONS, Task, TaskContainer, TaskDefinition};
use std::collections::BTreeMap;
use store::{View, key};
use wire::acs::{self, docker};
use wire::types::ecs::{ContainerDefinition, ContainerOverride, TaskDefinition as Document, TaskOverride};

/// Docker Engine API version of the configurations that we send.
const DOCKER_API_VERSION: &str = "1.25";

/// This installation's registry, as a node reaches it.
#[derive(Clone, Debug)]
pub struct OwnRegistry {
    /// The control plane's endpoint by the name that the node has for it, without a slash at its end.
    pub endpoint: String,
    /// What else it is called.
    pub hosts: Hosts,
}

impl OwnRegistry {
    /// Whether an image lies there, whatever name of ours was written; AWS's for the account and region is one.
    fn has(&self, image: &str, task: &Task) -> bool {
        let aws_name = format!("{}.dkr.ecr.{}.amazonaws.com/", task.account, task.region);
        image.starts_with(&aws_name) || self.hosts.has_image(image)
    }
}

/// The order for `task`.
///
/// # Errors
/// A text for the task's stoppedReason when the rows do not make an order.
pub fn task(view: &View, task: &Task, desired: DesiredStatus, own: &OwnRegistry) -> Result<acs::Task, String> {
    let key = key![&task.account, &task.region, &task.family, task.revision];
    let definition =
        view.get(TASK_DEFINITIONS, &key).ok_or("InternalError: the task definition is gone; register it again")?;
    let document: Document = read("the task definition", &definition.document)?;
    let overrides: TaskOverride = read("the overrides", &task.overrides)?;
    Ok(acs::Task {
        arn: Some(task.arn().to_string()),
        task_cluster_arn: Some(state::Cluster::arn_of(&task.account, &task.region, &task.cluster).to_string()),
        containers: Some(containers(task, definition, &document, &overrides, own)?),
        desired_status: Some(desired.as_str().to_owned()),
        family: Some(task.family.clone()),
        overrides: Some(task.overrides.clone()),
        version: Some(task.revision.to_string()),
        task_definition_account_id: Some(task.account.clone()),
        volumes: Some(document.volumes.iter().flatten().map(volumes::volume).collect()),
        cpu: number(overrides.cpu).or(definition.spec.cpu).map(|units| f64::from(units) / 1024.0),
        memory: number(overrides.memory).or(definition.spec.memory_mib).map(i64::from),
        launch_type: Some(task.launch_type.clone()),
        network_mode: Some(definition.spec.network_mode.as_str().to_owned()),
        pid_mode: document.pid_mode,
        ipc_mode: document.ipc_mode,
        group: Some(task.group.clone()),
        ..acs::Task::default()
    })
}

/// A task-level size of the overrides, which are kept as plain numbers.
fn number(text: Option<String>) -> Option<u32> {
    text.and_then(|text| text.parse().ok())
}

fn read<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("InternalError: {what} cannot be read: {error}"))
}

fn containers(
    task: &Task,
    definition: &TaskDefinition,
    document: &Document,
    overrides: &TaskOverride,
    own: &OwnRegistry,
) -> Result<Vec<acs::Container>, String> {
    let written = document.container_definitions.as_deref().unwrap_or_default();
    let overrides = overrides.container_overrides.as_deref().unwrap_or_default();
    let nothing = ContainerOverride::default();
    task.containers
        .iter()
        .map(|placed| {
            let named = |name: &Option<String>| name.as_deref() == Some(&placed.name);
            let container = written
                .iter()
                .find(|container| named(&container.name))
                .ok_or_else(|| format!("InternalError: container {} is not in the definition", placed.name))?;
            let changed = overrides.iter().find(|change| named(&change.name)).unwrap_or(&nothing);
            Merge { task, definition, placed, container, changed, own }.container()
        })
        .collect()
}

/// One container, and all that says how it should be.
struct Merge<'a> {
    task: &'a Task,
    definition: &'a TaskDefinition,
    placed: &'a TaskContainer,
    container: &'a ContainerDefinition,
    changed: &'a ContainerOverride,
    own: &'a OwnRegistry,
}

impl Merge<'_> {
    fn container(&self) -> Result<acs::Container, String> {
        let Self { container, changed, placed, task, .. } = self;
        let arn = Arn::new(
            "ecs",
            &task.region,
            &task.account,
            format!("container/{}/{}/{}", task.cluster, task.id, placed.uuid),
        );
        Ok(acs::Container {
            name: container.name.clone(),
            image: container.image.clone(),
            container_arn: Some(arn.to_string()),
            essential: Some(placed.essential),
            command: changed.command.clone().or_else(|| container.command.clone()),
            entry_point: container.entry_point.clone(),
            environment: Some(self.environment()),
            cpu: Some(i64::from(placed.cpu)),
            memory: placed.memory_mib.map(i64::from),
            port_mappings: Some(placed.ports.iter().map(port_mapping).collect()),
            overrides: Some(serde_json::to_string(changed).map_err(|error| error.to_string())?),
            docker_config: Some(self.docker_config()?),
            links: container.links.clone().filter(|links| !links.is_empty()),
            mount_points: volumes::mount_points(container),
            volumes_from: volumes::volumes_from(container),
            linux_parameters: machine::linux_parameters(container),
            registry_authentication: self.registry(),
            stop_timeout: container.stop_timeout.map(i64::from),
            start_timeout: container.start_timeout.map(i64::from),
            depends_on: lifecycle::depends_on(container),
            health_check_type: container.health_check.as_ref().map(|_| "docker".to_owned()),
            restart_policy: container.restart_policy.as_ref().map(lifecycle::restart_policy),
            ..acs::Container::default()
        })
    }

    /// How to sign in where the image lies: in our registry, by the endpoint; an ECR host names account and region.
    fn registry(&self) -> Option<acs::RegistryAuthenticationData> {
        let image = self.container.image.as_deref().unwrap_or_default();
        let (account, region) = (self.task.account.as_str(), self.task.region.as_str());
        match self.own.has(image, self.task) {
            true => Some(ecr(account, region, Some(self.own.endpoint.clone()))),
            false => foreign(image),
        }
    }

    /// The definition's variables, overridden by the run's.
    fn environment(&self) -> BTreeMap<String, String> {
        let written = self.container.environment.iter().flat_map(|pairs| pairs.iter());
        let changed = self.changed.environment.iter().flat_map(|pairs| pairs.iter());
        written
            .chain(changed)
            .filter_map(|pair| Some((pair.name.clone()?, pair.value.clone().unwrap_or_default())))
            .collect()
    }

    fn docker_config(&self) -> Result<acs::DockerConfig, String> {
        let config = docker::Config {
            user: self.container.user.clone(),
            working_dir: self.container.working_directory.clone(),
            healthcheck: self.container.health_check.as_ref().map(lifecycle::healthcheck),
            ..machine::config(self.container)
        };
        let host_config = docker::HostConfig {
            network_mode: Some(self.definition.spec.network_mode.as_str().to_owned()),
            memory_reservation: self.placed.memory_reservation_mib.map(|mib| i64::from(mib) * machine::BYTES_PER_MIB),
            log_config: self.log_config(),
            ..machine::host_config(self.container, self.placed.memory_mib)
        };
        let text = |value: serde_json::Result<String>| value.map_err(|error| error.to_string());
        Ok(acs::DockerConfig {
            version: Some(DOCKER_API_VERSION.to_owned()),
            config: Some(text(serde_json::to_string(&config))?),
            host_config: Some(text(serde_json::to_string(&host_config))?),
        })
    }

    /// The log driver's options; the stream is decided here, where the prefix and the task's id are known, and the
    /// mode where the definition leaves it open.
    fn log_config(&self) -> Option<docker::LogConfig> {
        let written = self.container.log_configuration.as_ref()?;
        let mut config = written.options.clone().unwrap_or_default();
        if let Some(prefix) = config.remove("awslogs-stream-prefix") {
            config.insert("awslogs-stream".to_owned(), format!("{prefix}/{}/{}", self.placed.name, self.task.id));
        }
        config.retain(|_, value| !value.is_empty());
        if written.log_driver != "none" {
            config.entry("mode".to_owned()).or_insert_with(|| self.task.log_mode.as_str().to_owned());
        }
        Some(docker::LogConfig { r#type: Some(written.log_driver.clone()), config: Some(config) })
    }
}

fn port_mapping(port: &state::PortMapping) -> acs::PortMapping {
    let single = port.range_end.is_none();
    acs::PortMapping {
        container_port: single.then_some(port.container_port.into()),
        host_port: single.then_some(port.host_port.into()),
        container_port_range: port.range(),
        protocol: Some(port.protocol.as_str().to_owned()),
    }
}

fn foreign(image: &str) -> Option<acs::RegistryAuthenticationData> {
    let host = image.split('/').next()?;
    let (account, rest) = host.split_once(".dkr.ecr.")?;
    let (region, _) = rest.split_once('.')?;
    Some(ecr(account, region, None))
}

/// `endpoint` is where to ask for a token, if not at AWS.
fn ecr(account: &str, region: &str, endpoint: Option<String>) -> acs::RegistryAuthenticationData {
    acs::RegistryAuthenticationData {
        r#type: Some("ecr".to_owned()),
        ecr_auth_data: Some(acs::EcrAuthData {
            registry_id: Some(account.to_owned()),
            region: Some(region.to_owned()),
            endpoint_override: endpoint,
            ..acs::EcrAuthData::default()
        }),
        asm_auth_data: None,
    }
}
