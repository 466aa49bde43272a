//! From the agent protocol's task to an order.

use super::{AwsLogs, ContainerOrder, Network, Port, STOP_TIMEOUT_DEFAULT_S, TaskOrder, Tmpfs, Ulimit};
use crate::task::Desired;
use std::net::Ipv4Addr;
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

/// Reads orders for a node of this region.
#[derive(Clone, Debug)]
pub struct Reader {
    pub region: String,
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
        let refused = |refusal| {
            let containers = names.into_iter().map(|name| ContainerOrder { name, ..ContainerOrder::default() });
            TaskOrder { containers: containers.collect(), refusal: Some(refusal), ..order.clone() }
        };
        Ok((self.task(task, &order).unwrap_or_else(refused), desired))
    }

    fn task(&self, task: acs::Task, order: &TaskOrder) -> Result<TaskOrder, String> {
        refuse(present(&task.volumes), "volumes")?;
        refuse(task.role_credentials.is_some(), "taskRoleArn")?;
        refuse(named(&task.pid_mode), "pidMode")?;
        refuse(named(&task.ipc_mode), "ipcMode")?;
        refuse(task.enable_fault_injection == Some(true), "enableFaultInjection")?;
        let containers = task.containers.into_iter().flatten();
        let containers: Vec<(ContainerOrder, Option<String>)> =
            containers.map(|container| self.container(container)).collect::<Result<_, _>>()?;
        let told = task.network_mode.filter(|mode| !mode.is_empty());
        let network = told.or_else(|| containers.iter().find_map(|(_, mode)| mode.clone()));
        Ok(TaskOrder {
            network: network_mode(network.as_deref().unwrap_or("bridge"))?,
            cpu_units: task.cpu.map(units).filter(|units| *units > 0),
            memory_mib: positive(task.memory),
            containers: containers.into_iter().map(|(container, _)| container).collect(),
            ..order.clone()
        })
    }

    /// The container, and the network mode that its Docker configuration names.
    fn container(&self, container: acs::Container) -> Result<(ContainerOrder, Option<String>), String> {
        let name = container.name.clone().unwrap_or_default();
        let outcome = self.named_container(container);
        outcome.map_err(|problem| format!("container {name}: {problem}"))
    }

    fn named_container(&self, container: acs::Container) -> Result<(ContainerOrder, Option<String>), String> {
        refuse_unsupported(&container)?;
        let docker = container.docker_config.unwrap_or_default();
        let config: docker::Config = laid_over("config", docker.config.as_deref())?;
        let host: docker::HostConfig = laid_over("hostConfig", docker.host_config.as_deref())?;
        let linux = container.linux_parameters.unwrap_or_default();
        let capabilities = linux.capabilities.unwrap_or_default();
        let mut order = ContainerOrder {
            name: container.name.unwrap_or_default(),
            image: container.image.unwrap_or_default(),
            essential: container.essential.unwrap_or(true),
            entry_point: container.entry_point,
            command: container.command,
            environment: container.environment.unwrap_or_default(),
            cpu_shares: positive(container.cpu),
            memory_mib: positive(container.memory),
            ports: container.port_mappings.iter().flatten().map(port).collect::<Result<_, _>>()?,
            cap_add: both(capabilities.add, host.cap_add.clone()),
            cap_drop: both(capabilities.drop, host.cap_drop.clone()),
            shm_bytes: positive(linux.shared_memory_size).map(|mib| mib << 20).or_else(|| positive(host.shm_size)),
            stop_timeout_s: container.stop_timeout.filter(|seconds| *seconds > 0).unwrap_or(STOP_TIMEOUT_DEFAULT_S),
            ..ContainerOrder::default()
        };
        lay_config(&mut order, config)?;
        let network = host.network_mode.clone().filter(|mode| !mode.is_empty());
        self.lay_host_config(&mut order, host)?;
        Ok((order, network))
    }

    fn lay_host_config(&self, order: &mut ContainerOrder, host: docker::HostConfig) -> Result<(), String> {
        refuse(host.privileged == Some(true), "privileged")?;
        refuse(present(&host.security_opt), "dockerSecurityOptions")?;
        refuse(present(&host.devices), "devices")?;
        refuse(host.init == Some(true), "initProcessEnabled")?;
        refuse(host.memory_swap.is_some_and(|bytes| bytes != 0), "maxSwap")?;
        refuse(host.memory_swappiness.is_some(), "swappiness")?;
        order.memory_reservation_bytes = positive(host.memory_reservation);
        order.readonly_rootfs = host.readonly_rootfs.unwrap_or_default();
        order.dns =
            host.dns.into_iter().flatten().map(|text| address("dnsServers", &text)).collect::<Result<_, _>>()?;
        order.dns_search = host.dns_search.unwrap_or_default();
        order.extra_hosts = host.extra_hosts.iter().flatten().map(|text| extra_host(text)).collect::<Result<_, _>>()?;
        order.ulimits = host.ulimits.into_iter().flatten().map(ulimit).collect::<Result<_, _>>()?;
        order.tmpfs = host.tmpfs.into_iter().flatten().map(tmpfs).collect::<Result<_, _>>()?;
        order.sysctls = host.sysctls.unwrap_or_default();
        order.logs = self.logs(host.log_config)?;
        Ok(())
    }

    /// Without a log driver the output stays on the machine, as Docker's own default has it.
    fn logs(&self, config: Option<docker::LogConfig>) -> Result<Option<AwsLogs>, String> {
        let Some(config) = config else { return Ok(None) };
        match config.r#type.as_deref().unwrap_or_default() {
            "" => Ok(None),
            "awslogs" => AwsLogs::read(&config.config.unwrap_or_default(), &self.region).map(Some),
            other => Err(format!("the log driver {other} is not supported; use awslogs")),
        }
    }
}

/// `startTimeout` bounds the wait for dependencies, which are refused: there is nothing to do for it.
fn refuse_unsupported(container: &acs::Container) -> Result<(), String> {
    let linux = container.linux_parameters.as_ref();
    let asm = |auth: &acs::RegistryAuthenticationData| auth.r#type.as_deref() == Some("asm");
    for (asked, what) in [
        (present(&container.environment_files), "environmentFiles"),
        (present(&container.secrets), "secrets"),
        (present(&container.links), "links"),
        (present(&container.mount_points), "mountPoints"),
        (present(&container.volumes_from), "volumesFrom"),
        (present(&container.depends_on), "dependsOn"),
        (named(&container.health_check_type), "healthCheck"),
        (container.registry_authentication.as_ref().is_some_and(asm), "repositoryCredentials"),
        (linux.is_some_and(|linux| present(&linux.devices)), "devices"),
        (linux.is_some_and(|linux| linux.init_process_enabled == Some(true)), "initProcessEnabled"),
        (container.restart_policy.as_ref().is_some_and(|policy| policy.enabled == Some(true)), "restartPolicy"),
    ] {
        refuse(asked, what)?;
    }
    Ok(())
}

fn lay_config(order: &mut ContainerOrder, config: docker::Config) -> Result<(), String> {
    refuse(config.tty == Some(true), "pseudoTerminal")?;
    refuse(config.open_stdin == Some(true), "interactive")?;
    refuse(config.healthcheck.is_some(), "healthCheck")?;
    order.user = config.user.unwrap_or_default();
    order.working_dir = config.working_dir.unwrap_or_default();
    order.hostname = config.hostname.unwrap_or_default();
    order.labels = config.labels.unwrap_or_default();
    order.network_disabled = config.network_disabled.unwrap_or_default();
    Ok(())
}

fn refuse(asked: bool, what: &str) -> Result<(), String> {
    if asked {
        Err(format!("{what} is not supported by this agent; remove it from the task definition"))
    } else {
        Ok(())
    }
}

fn present<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn named(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

fn laid_over<T: serde::de::DeserializeOwned + Default>(what: &str, text: Option<&str>) -> Result<T, String> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| format!("its Docker {what} cannot be read: {error}")),
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

fn port(mapping: &acs::PortMapping) -> Result<Port, String> {
    refuse(named(&mapping.container_port_range), "containerPortRange")?;
    let number = |number: Option<i64>| u16::try_from(number.unwrap_or_default());
    let (Ok(container_port), Ok(host_port)) = (number(mapping.container_port), number(mapping.host_port)) else {
        return Err("a port of its portMappings is not between 0 and 65535".to_owned());
    };
    let udp = mapping.protocol.as_deref() == Some("udp");
    Ok(Port { container_port, host_port: Some(host_port).filter(|port| *port > 0), udp })
}

fn address(what: &str, text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("{text} of its {what} is not an IPv4 address"))
}

fn extra_host(text: &str) -> Result<(String, Ipv4Addr), String> {
    let (name, ip) = text.split_once(':').ok_or_else(|| format!("{text} of its extraHosts is not name:address"))?;
    Ok((name.to_owned(), address("extraHosts", ip)?))
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
    let size_bytes = sizes.last().and_then(|option| super::size(option.trim_start_matches("size=")));
    let size_bytes = size_bytes.ok_or_else(|| format!("its tmpfs {path} needs a size, such as size=64m"))?;
    Ok(Tmpfs { path, size_bytes, options: options.into_iter().map(str::to_owned).collect() })
}
