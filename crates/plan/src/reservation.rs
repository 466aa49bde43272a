//! What a task takes of its node, and what is left there.
//!
//! Amazon ECS developer guide, "Task definition parameters": the task level's
//! cpu and memory if given, otherwise the sum of the containers'; of a
//! container's memory its soft limit if given, otherwise the hard one.

use state::{ContainerInstance, PortProtocol, Resources, Task, TaskContainer};
use std::collections::BTreeSet;

/// CPU units that a task reserves.
pub fn cpu(task_level: Option<u32>, containers: &[TaskContainer]) -> u32 {
    task_level.unwrap_or_else(|| sum(containers, |container| Some(container.cpu)))
}

/// MiB that a task reserves.
pub fn memory_mib(task_level: Option<u32>, containers: &[TaskContainer]) -> u32 {
    task_level.unwrap_or_else(|| sum(containers, |container| container.memory_reservation_mib.or(container.memory_mib)))
}

fn sum(containers: &[TaskContainer], part: impl Fn(&TaskContainer) -> Option<u32>) -> u32 {
    containers.iter().filter_map(part).fold(0, u32::saturating_add)
}

/// What `task` needs of a node before it is there: cpu, memory and the host ports that its definition fixes.
pub fn demand(task: &Task) -> Resources {
    let mut demand = Resources { cpu: task.cpu, memory_mib: task.memory_mib, ..Resources::default() };
    for port in task.containers.iter().flat_map(|container| &container.ports).filter(|port| port.host_port != 0) {
        ports(&mut demand, port.protocol).insert(port.host_port);
    }
    demand
}

/// What `instance` has left, as DescribeContainerInstances shows it: cpu and memory shrink, ports grow.
pub fn remaining(instance: &ContainerInstance, used: &Resources) -> Resources {
    let Resources { cpu, memory_mib, ports_tcp, ports_udp } = &instance.registered;
    Resources {
        cpu: cpu.saturating_sub(used.cpu),
        memory_mib: memory_mib.saturating_sub(used.memory_mib),
        ports_tcp: ports_tcp | &used.ports_tcp,
        ports_udp: ports_udp | &used.ports_udp,
    }
}

/// Adds what one more task takes.
pub(crate) fn add(used: &mut Resources, more: &Resources) {
    used.cpu = used.cpu.saturating_add(more.cpu);
    used.memory_mib = used.memory_mib.saturating_add(more.memory_mib);
    used.ports_tcp.extend(&more.ports_tcp);
    used.ports_udp.extend(&more.ports_udp);
}

fn ports(of: &mut Resources, protocol: PortProtocol) -> &mut BTreeSet<u16> {
    match protocol {
        PortProtocol::Tcp => &mut of.ports_tcp,
        PortProtocol::Udp => &mut of.ports_udp,
    }
}

#[cfg(test)]
mod kept;

#[cfg(test)]
mod tests {
    use super::{cpu, demand, memory_mib, remaining};
    use crate::testing::{container, instance, ports, task};
    use state::{Held, LastStatus, NetworkBinding, PortProtocol, Resources};

    #[test]
    fn the_task_level_wins_over_the_sum_of_containers_and_the_soft_limit_over_the_hard_one() {
        let mut web = container("web", true);
        (web.cpu, web.memory_mib, web.memory_reservation_mib) = (256, Some(512), Some(128));
        let mut log = container("log", false);
        (log.cpu, log.memory_mib) = (64, Some(32));
        let containers = [web, log];
        assert_eq!((cpu(None, &containers), memory_mib(None, &containers)), (320, 160));
        assert_eq!((cpu(Some(1024), &containers), memory_mib(Some(2048), &containers)), (1024, 2048));
    }

    #[test]
    fn a_task_takes_its_fixed_ports_and_those_that_its_node_chose_until_it_is_stopped() {
        let mut task = task("a", 100, 64, ports("tcp:80 udp:53 tcp:0"));
        task.containers[0].bindings = vec![NetworkBinding {
            bind_ip: "0.0.0.0".into(),
            container_port: 9000,
            host_port: 32768,
            protocol: PortProtocol::Tcp,
            range_ends: Some((9001, 32769)),
        }];
        assert_eq!(demand(&task).ports_tcp, [80].into());
        let taken = Held::from_iter([&task]).resources();
        assert_eq!((&taken.ports_tcp, &taken.ports_udp), (&[80, 32768, 32769].into(), &[53].into()));
        let node = instance("n", 1024, 512);
        assert_eq!(
            remaining(&node, &taken),
            Resources { cpu: 924, memory_mib: 448, ports_tcp: [22, 80, 32768, 32769].into(), ports_udp: [53].into() }
        );
        task.last = LastStatus::Stopped;
        assert_eq!(Held::from_iter([&task]), Held::default());
    }
}
