//! Which nodes new tasks go to, or why none does.
//!
//! A node fits when it is ACTIVE, its agent is connected, and it has the attributes,
//! is what the constraints say, and has the cpu, memory and host ports. Of those that fit, the one with the least of its
//! scarcer resource taken gets the task, then the one with fewer tasks, then
//! the one whose id sorts first: the same rows always give the same answer.

use crate::query::{Facts, Query};
use crate::reservation::{add, remaining};
use state::{ContainerInstance, Held, InstanceStatus, Resources};

/// Reserved host ports of one container instance (Amazon ECS API reference, PortMapping).
pub const RESERVED_PORTS_MAX: usize = 100;

/// A container instance and what the tasks on it hold.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub instance: &'a ContainerInstance,
    pub held: Held,
}

/// `count` tasks, each in need of `demand`.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub count: usize,
    pub demand: Resources,
    pub wants: Wants<'a>,
}

/// What an instance must be, beside large enough.
#[derive(Clone, Debug, Default)]
pub struct Wants<'a> {
    /// Attributes by name, and by value where it matters.
    pub attributes: &'a [(String, Option<String>)],
    /// Constraints that must hold before a task is placed.
    pub constraints: Vec<Query>,
    /// The group that the tasks join.
    pub group: &'a str,
}

/// The ids of the instances that take a task, one entry a task; fewer than
/// asked for only together with one refusal for each instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    pub placed: Vec<String>,
    /// Why each went where it did: what its instance was like before it.
    pub because: Vec<String>,
    pub refusals: Vec<Refusal>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The container instance's ARN.
    pub instance: String,
    pub reason: Reason,
    /// What is missing, where the reason does not say.
    pub detail: Option<String>,
}

/// What an instance lacks; the first of these that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Agent,
    Attribute,
    MemberOf,
    Cpu,
    Memory,
    Ports,
}

impl Reason {
    /// The `reason` of RunTask's failures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "AGENT",
            Self::Attribute => "ATTRIBUTE",
            Self::MemberOf => "MemberOf placement constraint unsatisfied.",
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
            Self::Ports => "RESOURCE:PORTS",
        }
    }
}

/// Nothing to choose from: RunTask's own error rather than a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("No Container Instances were found in your cluster.")]
pub struct NoInstances;

/// Chooses an instance for each task.
///
/// # Errors
/// [`NoInstances`] when no candidate is ACTIVE.
pub fn place<'a>(candidates: &'a [Candidate<'a>], request: &Request<'a>) -> Result<Placement, NoInstances> {
    let active = candidates.iter().filter(|candidate| candidate.instance.status == InstanceStatus::Active);
    let mut nodes: Vec<Node> = active.map(|candidate| Node::new(candidate, &request.wants)).collect();
    if nodes.is_empty() {
        return Err(NoInstances);
    }
    let mut placement = Placement::default();
    for _ in 0..request.count {
        let fits = |node: &Node| node.lacks(request).is_none();
        let (fit, all) = (nodes.iter().filter(|node| fits(node)).count(), nodes.len());
        match nodes.iter_mut().filter(|node| fits(node)).min_by_key(|node| node.load()) {
            Some(node) => {
                placement.because.push(node.because(fit, all));
                node.take(request);
                placement.placed.push(node.instance.id.clone());
            }
            None => {
                placement.refusals = nodes.iter().filter_map(|node| node.refusal(request)).collect();
                break;
            }
        }
    }
    Ok(placement)
}

/// Why `candidate` cannot take one task, wherever it would be placed otherwise.
pub fn refusal<'a>(candidate: &'a Candidate<'a>, request: &Request<'a>) -> Option<Refusal> {
    Node::new(candidate, &request.wants).refusal(request)
}

/// A candidate as the placement fills it.
struct Node<'a> {
    instance: &'a ContainerInstance,
    /// Attributes that are wanted and that it has not, or with another value.
    missing: Vec<&'a (String, Option<String>)>,
    /// What constraints ask about, if there are any.
    facts: Option<Facts<'a>>,
    used: Resources,
    reserved_ports: usize,
    tasks: usize,
}

impl<'a> Node<'a> {
    fn new(candidate: &'a Candidate<'a>, wants: &Wants<'a>) -> Self {
        let Candidate { instance, held } = candidate;
        let own_ports = instance.registered.ports_tcp.len() + instance.registered.ports_udp.len();
        let missing = wants.attributes.iter().filter(|(name, value)| !instance.has_attribute(name, value.as_deref()));
        Self {
            instance,
            missing: missing.collect(),
            facts: (!wants.constraints.is_empty()).then(|| Facts::of(instance, held)),
            used: held.resources(),
            reserved_ports: own_ports + held.fixed_ports(),
            tasks: held.tasks(),
        }
    }

    fn lacks(&self, request: &Request) -> Option<Reason> {
        let Request { demand, wants, .. } = request;
        let holds = |facts: &Facts| wants.constraints.iter().all(|constraint| constraint.holds(facts));
        let left = remaining(self.instance, &self.used);
        let ports = demand.ports_tcp.len() + demand.ports_udp.len();
        let port_taken =
            !left.ports_tcp.is_disjoint(&demand.ports_tcp) || !left.ports_udp.is_disjoint(&demand.ports_udp);
        let too_many_ports = ports > 0 && self.reserved_ports + ports > RESERVED_PORTS_MAX;
        let lacks = [
            (Reason::Agent, !self.instance.agent_connected),
            (Reason::Attribute, !self.missing.is_empty()),
            (Reason::MemberOf, !self.facts.as_ref().is_none_or(holds)),
            (Reason::Cpu, demand.cpu > left.cpu),
            (Reason::Memory, demand.memory_mib > left.memory_mib),
            (Reason::Ports, port_taken || too_many_ports),
        ];
        lacks.into_iter().find_map(|(reason, applies)| applies.then_some(reason))
    }

    fn take(&mut self, request: &Request<'a>) {
        let demand = &request.demand;
        if let Some(facts) = &mut self.facts {
            facts.groups.insert(request.wants.group);
        }
        add(&mut self.used, demand);
        self.reserved_ports += demand.ports_tcp.len() + demand.ports_udp.len();
        self.tasks += 1;
    }

    /// Millionths of the scarcer resource taken, then tasks, then the id.
    fn load(&self) -> (u64, usize, &'a str) {
        let share = |used: u32, whole: u32| u64::from(used) * 1_000_000 / u64::from(whole.max(1));
        let cpu = share(self.used.cpu, self.instance.registered.cpu);
        let memory = share(self.used.memory_mib, self.instance.registered.memory_mib);
        (cpu.max(memory), self.tasks, &self.instance.id)
    }

    fn because(&self, fit: usize, all: usize) -> String {
        let percent = |used: u32, whole: u32| u64::from(used) * 100 / u64::from(whole.max(1));
        let cpu = percent(self.used.cpu, self.instance.registered.cpu);
        let memory = percent(self.used.memory_mib, self.instance.registered.memory_mib);
        let least =
            if fit == 1 { "it alone has room".to_owned() } else { format!("the least loaded of {fit} with room") };
        let tasks = if self.tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", self.tasks) };
        format!("{least}, of {all} active: {cpu} % of its cpu and {memory} % of its memory were taken by {tasks}")
    }

    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let instance = self.instance.arn().to_string();
        self.lacks(request).map(|reason| {
            let missing = || self.missing.iter().map(|wanted| self.missed(wanted)).collect::<Vec<_>>().join(", ");
            let named = (reason == Reason::Attribute).then(|| format!("It has not: {}", missing()));
            Refusal { instance, reason, detail: named }
        })
    }

    /// What is wanted of an attribute, and what it is instead.
    fn missed(&self, (name, wanted): &(String, Option<String>)) -> String {
        let is = self.instance.attribute(name);
        match (wanted, is) {
            (None, _) => name.clone(),
            (Some(wanted), None) => format!("{name} {wanted}"),
            (Some(wanted), Some(is)) => format!("{name} {wanted} (it is {is})"),
        }
    }
}

#[cfg(test)]
mod tests;
