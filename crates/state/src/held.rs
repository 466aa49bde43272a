//! What tasks hold of a container instance, kept with every change of a task.

use crate::{LastStatus, PortProtocol, Resources, Task};
use imbl::OrdMap;
use store::Sum;

/// The sum of the tasks on an instance that are not stopped. Several tasks may name one port or group: these are
/// counted, so that one of them may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// CPU units and MiB.
    cpu: u64,
    memory_mib: u64,
    tasks: usize,
    running: usize,
    /// Tasks whose last status comes before RUNNING.
    pending: usize,
    /// Mappings of host ports that definitions fix; the node's own choices are not among them.
    fixed_ports: usize,
    tcp: Counted<u16>,
    udp: Counted<u16>,
    groups: Counted<String>,
}

type Counted<T> = OrdMap<T, usize>;

impl Held {
    /// Cpu, memory and host ports that are taken, those that the node chose among them.
    pub fn resources(&self) -> Resources {
        let number = |sum: u64| u32::try_from(sum).unwrap_or(u32::MAX);
        Resources {
            cpu: number(self.cpu),
            memory_mib: number(self.memory_mib),
            ports_tcp: self.tcp.keys().copied().collect(),
            ports_udp: self.udp.keys().copied().collect(),
        }
    }

    pub fn tasks(&self) -> usize {
        self.tasks
    }

    pub fn running(&self) -> usize {
        self.running
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn fixed_ports(&self) -> usize {
        self.fixed_ports
    }

    /// The tasks' groups, each once.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    fn count(&mut self, task: &Task, count: impl Fn(usize, usize) -> usize) {
        let is = |truth: bool| usize::from(truth);
        self.tasks = count(self.tasks, 1);
        self.running = count(self.running, is(task.last == LastStatus::Running));
        self.pending = count(self.pending, is(task.last < LastStatus::Running));
        tally(&mut self.groups, task.group.clone(), &count);
        for container in &task.containers {
            for port in container.ports.iter().filter(|port| port.host_port != 0) {
                self.fixed_ports = count(self.fixed_ports, 1);
                tally(self.ports(port.protocol), port.host_port, &count);
            }
            for binding in &container.bindings {
                binding.host_ports().for_each(|port| tally(self.ports(binding.protocol), port, &count));
            }
        }
    }

    fn ports(&mut self, protocol: PortProtocol) -> &mut Counted<u16> {
        match protocol {
            PortProtocol::Tcp => &mut self.tcp,
            PortProtocol::Udp => &mut self.udp,
        }
    }
}

fn tally<T: Ord + Clone>(counted: &mut Counted<T>, what: T, count: impl Fn(usize, usize) -> usize) {
    match count(counted.get(&what).copied().unwrap_or_default(), 1) {
        0 => counted.remove(&what),
        times => counted.insert(what, times),
    };
}

/// A task that holds nothing counts for nothing.
impl Sum<Task> for Held {
    fn add(&mut self, task: &Task) {
        if task.holds_resources() {
            self.cpu += u64::from(task.cpu);
            self.memory_mib += u64::from(task.memory_mib);
            self.count(task, |sum, one| sum + one);
        }
    }

    fn subtract(&mut self, task: &Task) {
        if task.holds_resources() {
            self.cpu -= u64::from(task.cpu);
            self.memory_mib -= u64::from(task.memory_mib);
            self.count(task, |sum, one| sum - one);
        }
    }
}

impl<'a> FromIterator<&'a Task> for Held {
    fn from_iter<T: IntoIterator<Item = &'a Task>>(tasks: T) -> Self {
        let mut held = Self::default();
        tasks.into_iter().for_each(|task| held.add(task));
        held
    }
}
