//! From the agent protocol's task to an order.

use super::size::binary_size;
use super::{
    ContainerOrder, Logs, Network, Port, STOP_TIMEOUT_DEFAULT_S, TaskOrder, Tmpfs, Ulimit, given, lifecycle, volumes,
};
use crate::task::Desired;
use wire::acs::{self, docker};

/// Why a payload cannot be taken at all: it is refused with a NackRequest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("a task without ARN or cluster cannot be accepted; send both")]
    NoArn,
    #[error("'{0}' is not the ARN of a task; send arn:aws:ecs:<region>:<account>:task/<cluster>/<id>")]
    Arn(String),
    #[error("a container of task {0} has no name; send one")]
    NoName(String),
}

/// What cannot be done, in the form of a container's reason: an ECS error name first.
struct Refusal {
    /// The one at fault; none: all of them.
    container: Option<String>,
    reason: String,
}

/// The ECS agent's names for what it cannot make of a container's configuration.
const HOST_CONFIG: &str = "HostConfigError";
const DOCKER_CONFIG: &str = "DockerClientConfigError";

/// What is wrong with a container, after the name of its error.
struct Problem {
    error: &'static str,
    text: String,
}

impl Problem {
    fn of(error: &'static str) -> impl Fn(String) -> Self {
        move |text| Self { error, text }
    }
}

/// What Docker would find.
impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { error: "CannotCreateContainerError", text }
    }
}

/// Reads orders for a node of this region.
#[derive(Clone, Debug)]
pub struct Reader {
    pub region: String,
    /// Host and port of the control plane, as the node knows it.
    pub host: String,
}

impl Reader {
    /// The order, and what is wanted of it. What cannot be done is told in `refusal`.
    pub fn read(&self, task: acs::Task) -> Result<(TaskOrder, Desired), OrderError> {
        let (Some(arn), Some(cluster)) = (task.arn.clone(), task.task_cluster_arn.clone()) else {
            return Err(OrderError::NoArn);
        };
        let sound = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !arn.contains(":task/") || !sound(super::id_of(&arn)) {
            return Err(OrderError::Arn(arn));
        }
        let desired = match task.desired_status.as_deref() {
            Some("STOPPED") => Desired::Stopped,
            _ => Desired::Running,
        };
        let names = task.containers.iter().flatten().map(|container| container.name.clone());
        let names: Vec<String> = names.collect::<Option<_>>().ok_or_else(|| OrderError::NoName(arn.clone()))?;
        let order = TaskOrder { arn, cluster, ..TaskOrder::default() };
        let refused = |Refusal { container, reason }| {
            let containers = names.into_iter().map(|name| {
                let at_fault = container.as_ref().is_none_or(|container| *container == name);
                ContainerOrder { refusal: at_fault.then(|| reason.clone()), name, ..ContainerOrder::default() }
            });
            TaskOrder { containers: containers.collect(), refusal: Some(reason.clone()), ..order.clone() }
        };
        Ok((self.task(task, &order).unwrap_or_else(refused), desired))
    }

    fn task(&self, task: acs::Task, order: &TaskOrder) -> Result<TaskOrder, Refusal> {
        let whole = |problem| Refusal { container: None, reason: format!("ResourceInitializationError: {problem}") };
        for (asked, what) in [
            (task.role_credentials.is_some(), "taskRoleArn"),
            (task.enable_fault_injection == Some(true), "enableFaultInjection"),
        ] {
            refuse(asked, what).map_err(whole)?;
        }
        let volumes = task.volumes.into_iter().flatten().map(volumes::volume).collect::<Result<Vec<_>, _>>();
        let volumes = volumes.map_err(whole)?;
        let containers = task.containers.into_iter().flatten();
        let containers: Vec<(ContainerOrder, Option<String>)> =
            containers.map(|container| self.container(container)).collect::<Result<_, _>>()?;
        let (containers, modes): (Vec<_>, Vec<_>) = containers.into_iter().unzip();
        volumes::check_known(&containers, &volumes).map_err(|(container, problem)| Refusal {
            container: Some(container),
            reason: format!("{HOST_CONFIG}: {problem}"),
        })?;
        if lifecycle::is_unresolvable(&containers) {
            let reason = format!("TaskDependencyError: Task dependencies cannot be resolved, taskArn: {}", order.arn);
            return Err(Refusal { container: None, reason });
        }
        let told = task.network_mode.filter(|mode| !mode.is_empty());
        let network = told.or_else(|| modes.into_iter().flatten().next());
        Ok(TaskOrder {
            network: network_mode(network.as_deref().unwrap_or("bridge")).map_err(whole)?,
            pid: given::sharing("pidMode", task.pid_mode.as_deref()).map_err(whole)?,
            ipc: given::sharing("ipcMode", task.ipc_mode.as_deref()).map_err(whole)?,
            cpu_units: task.cpu.map(units).filter(|units| *units > 0),
            memory_mib: positive(task.memory),
            volumes,
            containers,
            ..order.clone()
        })
    }

    /// The container, and the network mode that its Docker configuration names.
    fn container(&self, container: acs::Container) -> Result<(ContainerOrder, Option<String>), Refusal> {
        let name = container.name.clone().unwrap_or_default();
        let outcome = self.named_container(container);
        outcome.map_err(|Problem { error, text }| {
            let reason = format!("{error}: container {name}: {text}");
            Refusal { container: Some(name), reason }
        })
    }

    fn named_container(&self, container: acs::Container) -> Result<(ContainerOrder, Option<String>), Problem> {
        refuse_unsupported(&container)?;
        let depends_on = lifecycle::dependencies(&container)?;
        let own_registry = self.is_own_registry(container.registry_authentication.as_ref())?;
        let docker = container.docker_config.unwrap_or_default();
        let config: docker::Config =
            laid_over("docker config", docker.config.as_deref()).map_err(Problem::of(DOCKER_CONFIG))?;
        let host: docker::HostConfig =
            laid_over("host config", docker.host_config.as_deref()).map_err(Problem::of(HOST_CONFIG))?;
        let linux = container.linux_parameters.unwrap_or_default();
        let capabilities = linux.capabilities.unwrap_or_default();
        let mut order = ContainerOrder {
            name: container.name.unwrap_or_default(),
            image: container.image.unwrap_or_default(),
            own_registry,
            essential: container.essential.unwrap_or(true),
            entry_point: container.entry_point,
            command: container.command,
            environment: container.environment.unwrap_or_default(),
            cpu_shares: positive(container.cpu),
            memory_mib: positive(container.memory),
            ports: ports(container.port_mappings.as_deref().unwrap_or_default())?,
            cap_add: both(capabilities.add, host.cap_add.clone()),
            cap_drop: both(capabilities.drop, host.cap_drop.clone()),
            shm_bytes: positive(linux.shared_memory_size).map(|mib| mib << 20).or_else(|| positive(host.shm_size)),
            mount_points: volumes::mount_points(container.mount_points),
            volumes_from: volumes::volumes_from(container.volumes_from),
            links: container.links.iter().flatten().map(|text| given::link(text)).collect(),
            devices: linux.devices.iter().flatten().map(given::device).collect(),
            init: linux.init_process_enabled.unwrap_or_default(),
            stop_timeout_s: container.stop_timeout.filter(|seconds| *seconds > 0).unwrap_or(STOP_TIMEOUT_DEFAULT_S),
            depends_on,
            start_timeout_s: container.start_timeout.filter(|seconds| *seconds > 0),
            restart: lifecycle::restart_policy(container.restart_policy.as_ref()),
            ..ContainerOrder::default()
        };
        lay_config(&mut order, config, container.health_check_type.as_deref())?;
        let network = host.network_mode.clone().filter(|mode| !mode.is_empty());
        self.lay_host_config(&mut order, host)?;
        Ok((order, network))
    }

    /// The control plane names its own endpoint for images that it has itself; another's tokens are not asked for.
    fn is_own_registry(&self, auth: Option<&acs::RegistryAuthenticationData>) -> Result<bool, String> {
        let ecr =
            auth.filter(|auth| auth.r#type.as_deref() == Some("ecr")).and_then(|auth| auth.ecr_auth_data.as_ref());
        let named = ecr.and_then(|ecr| ecr.endpoint_override.as_deref()).filter(|endpoint| !endpoint.is_empty());
        match named.map(|endpoint| endpoint.split_once("://").map_or(endpoint, |(_, host)| host)) {
            None => Ok(false),
            Some(host) if host.trim_end_matches('/') == self.host => Ok(true),
            Some(host) => Err(format!("the registry's endpoint {host} is not the node's control plane, {}", self.host)),
        }
    }

    fn lay_host_config(&self, order: &mut ContainerOrder, host: docker::HostConfig) -> Result<(), String> {
        given::lay(order, &host)?;
        order.memory_reservation_bytes = positive(host.memory_reservation);
        order.readonly_rootfs = host.readonly_rootfs.unwrap_or_default();
        order.dns =
            host.dns.iter().flatten().map(|text| given::address("dnsServers", text)).collect::<Result<_, _>>()?;
        order.dns_search = host.dns_search.unwrap_or_default();
        let hosts = host.extra_hosts.iter().flatten();
        order.extra_hosts = hosts.map(|text| given::extra_host(text)).collect::<Result<_, _>>()?;
        order.ulimits = host.ulimits.into_iter().flatten().map(ulimit).collect::<Result<_, _>>()?;
        order.tmpfs = host.tmpfs.into_iter().flatten().map(tmpfs).collect::<Result<_, _>>()?;
        order.sysctls = host.sysctls.unwrap_or_default();
        order.logs = host.log_config.map_or_else(|| Ok(Logs::default()), |config| Logs::read(config, &self.region))?;
        Ok(())
    }
}

fn refuse_unsupported(container: &acs::Container) -> Result<(), String> {
    let asm = |auth: &acs::RegistryAuthenticationData| auth.r#type.as_deref() == Some("asm");
    for (asked, what) in [
        (present(&container.environment_files), "environmentFiles"),
        (present(&container.secrets), "secrets"),
        (container.registry_authentication.as_ref().is_some_and(asm), "repositoryCredentials"),
    ] {
        refuse(asked, what)?;
    }
    Ok(())
}

fn lay_config(order: &mut ContainerOrder, config: docker::Config, check_type: Option<&str>) -> Result<(), String> {
    order.health_check = lifecycle::health_check(check_type, config.healthcheck.as_ref())?;
    order.terminal = config.tty.unwrap_or_default();
    order.stdin_open = config.open_stdin.unwrap_or_default();
    order.user = config.user.unwrap_or_default();
    order.working_dir = config.working_dir.unwrap_or_default();
    order.hostname = config.hostname.unwrap_or_default();
    order.labels = config.labels.unwrap_or_default();
    order.network_disabled = config.network_disabled.unwrap_or_default();
    Ok(())
}

pub(super) fn refuse(asked: bool, what: &str) -> Result<(), String> {
    if asked {
        Err(format!("{what} is not supported by this agent; remove it from the task definition"))
    } else {
        Ok(())
    }
}

fn present<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn laid_over<T: serde::de::DeserializeOwned + Default>(what: &str, text: Option<&str>) -> Result<T, String> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| format!("Unable to decode given {what}: {error}")),
    }
}

fn positive(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

/// A task's vCPUs, 1,024 for each; none of what is no positive number.
fn units(cpus: f64) -> u64 {
    (cpus * 1024.0) as u64
}

fn both(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Vec<String> {
    one.into_iter().chain(other).flatten().collect()
}

fn network_mode(name: &str) -> Result<Network, String> {
    match name {
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        "bridge" | "default" => Ok(Network::Bridge),
        other => Err(format!("network mode {other} is not supported by this agent; use bridge, host or none")),
    }
}

fn ports(mappings: &[acs::PortMapping]) -> Result<Vec<Port>, Problem> {
    let ports = mappings.iter().map(port).collect::<Result<_, _>>();
    ports.map_err(Problem::of(HOST_CONFIG))
}

fn port(mapping: &acs::PortMapping) -> Result<Port, String> {
    let udp = mapping.protocol.as_deref() == Some("udp");
    if let Some(range) = mapping.container_port_range.as_deref().filter(|range| !range.is_empty()) {
        let (container_port, last) = given::port_range(range)?;
        return Ok(Port { container_port, host_port: None, udp, range_end: Some(last) });
    }
    let number = |number: Option<i64>| u16::try_from(number.unwrap_or_default());
    let (Ok(container_port), Ok(host_port)) = (number(mapping.container_port), number(mapping.host_port)) else {
        return Err("a port of its portMappings is not between 0 and 65535".to_owned());
    };
    Ok(Port { container_port, host_port: Some(host_port).filter(|port| *port > 0), udp, range_end: None })
}

/// Docker takes −1 for "no limit".
fn ulimit(limit: docker::Ulimit) -> Result<Ulimit, String> {
    let name = limit.name.ok_or("a limit of its ulimits has no name")?;
    let value = |number: Option<i64>| u64::try_from(number.unwrap_or(-1)).unwrap_or(u64::MAX);
    Ok(Ulimit { name, soft: value(limit.soft), hard: value(limit.hard) })
}

fn tmpfs((path, options): (String, String)) -> Result<Tmpfs, String> {
    let (sizes, options): (Vec<&str>, Vec<&str>) =
        options.split(',').filter(|option| !option.is_empty()).partition(|option| option.starts_with("size="));
    let size_bytes = sizes.last().and_then(|option| binary_size(option.trim_start_matches("size=")));
    let size_bytes = size_bytes.ok_or_else(|| format!("its tmpfs {path} needs a size, such as size=64m"))?;
    Ok(Tmpfs { path, size_bytes, options: options.into_iter().map(str::to_owned).collect() })
}
