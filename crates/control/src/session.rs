//! One node's session: what it should hear, and what its answers mean. Pure.
//!
//! ```text
//!            connect                 every change, every tick
//!   (closed) -------> payloads not acknowledged, manifest ----> what is new
//!                          |  ack            | stop verification
//!                          v                 v
//!                    note delivery     confirm what must stop
//! ```

use crate::payload::{self, OwnRegistry};
use base::{Names, Timestamp};
use state::{CONTAINER_INSTANCES, ContainerInstance, DesiredStatus, TASKS, Task};
use std::collections::{BTreeMap, BTreeSet};
use store::{View, key};
use wire::acs::{self, Frame};

/// Milliseconds between heartbeats: an agent gives up after 60 s of silence.
pub const HEARTBEAT_INTERVAL_MS: i64 = 20_000;

/// Tasks in one payload message, so that a frame stays small.
pub const PAYLOAD_TASKS_MAX: usize = 10;

/// The node that a session speaks with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    pub account: String,
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The container instance's id.
    pub instance: String,
}

impl Node {
    pub fn cluster_arn(&self) -> String {
        state::Cluster::arn_of(&self.account, &self.region, &self.cluster).to_string()
    }

    pub fn arn(&self) -> String {
        ContainerInstance::arn_of(&self.account, &self.region, &self.cluster, &self.instance).to_string()
    }
}

/// An order to the node about one task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    pub task: String,
    pub desired: DesiredStatus,
}

/// An order that the node took, and when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub order: Order,
    pub sent: Timestamp,
}

/// What wakes a session.
#[derive(Debug)]
pub enum Input {
    Connected,
    /// Some task of this node may have changed, or a timer went off.
    Look,
    Frame(Box<Frame>),
}

/// What the shell does for a session.
#[derive(Debug, PartialEq)]
pub enum Effect {
    Send(Box<Frame>),
    /// The node has these orders: note it in the tasks' rows.
    Delivered(Vec<Delivered>),
    /// The node tells what happened to its tasks: keep it, and say so.
    Told(Box<acs::TaskEventsMessage>),
    /// A task that cannot be made into an order: it ends with this reason.
    Undeliverable {
        task: String,
        reason: String,
    },
}

#[derive(Debug)]
pub struct Session {
    node: Node,
    registry: OwnRegistry,
    sequence: i64,
    /// Sent in this session, acknowledged or not: sent once a session.
    sent: BTreeMap<Order, Timestamp>,
    /// Message id to the orders in it.
    unacknowledged: BTreeMap<String, Vec<Order>>,
    heartbeat_at: Timestamp,
}

impl Session {
    pub fn new(node: Node, registry: OwnRegistry) -> Self {
        Self {
            node,
            registry,
            sequence: 0,
            sent: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            heartbeat_at: Timestamp::default(),
        }
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn turn(&mut self, view: &View, input: Input, now: Timestamp, names: &mut Names) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Connected => {
                self.orders(view, now, names, &mut effects);
                // Before the manifest, which every control plane sends: by then the node knows whether we want it.
                if self.is_ours(view) {
                    effects.push(send(acs::TaskEventsRequest { message_id: Some(names.uuid()) }));
                }
                effects.push(send(self.manifest(view, now, names)));
                self.heartbeat_at = now;
            }
            Input::Look => {
                self.orders(view, now, names, &mut effects);
                self.heartbeat(now, names, &mut effects);
            }
            Input::Frame(frame) => self.answer(view, *frame, now, &mut effects),
        }
        effects
    }

    fn orders(&mut self, view: &View, now: Timestamp, names: &mut Names, effects: &mut Vec<Effect>) {
        let (mut orders, mut tasks) = (Vec::new(), Vec::new());
        let Node { account, region, cluster, instance } = &self.node;
        for task in view.by(TASKS::ORDERED_BY_INSTANCE, &key![account, region, cluster, instance]) {
            let order = Order { task: task.id.clone(), desired: task.desired };
            if self.sent.contains_key(&order) {
                continue;
            }
            match payload::task(view, task, order.desired, &self.registry) {
                Ok(message) => {
                    tasks.push(message);
                    self.sent.insert(order.clone(), now);
                    orders.push(order);
                }
                Err(reason) => effects.push(Effect::Undeliverable { task: task.id.clone(), reason }),
            }
        }
        let mut tasks = tasks.into_iter();
        for orders in orders.chunks(PAYLOAD_TASKS_MAX) {
            let tasks = tasks.by_ref().take(orders.len()).collect();
            effects.push(send(self.payload(tasks, orders, now, names)));
        }
    }

    fn delivered(&self, orders: Vec<Order>, now: Timestamp) -> Vec<Delivered> {
        let sent = |order: &Order| self.sent.get(order).copied().unwrap_or(now);
        orders.into_iter().map(|order| Delivered { sent: sent(&order), order }).collect()
    }

    /// True for a node that understands our extensions.
    fn is_ours(&self, view: &View) -> bool {
        let Node { account, region, cluster, instance } = &self.node;
        let row = view.get(CONTAINER_INSTANCES, &key![account, region, cluster, instance]);
        row.is_some_and(ContainerInstance::is_ours)
    }

    fn tasks<'a>(&self, view: &'a View) -> impl Iterator<Item = &'a Task> + use<'a> {
        let Node { account, region, cluster, instance } = &self.node;
        view.by(TASKS::BY_INSTANCE, &key![account, region, cluster, instance])
    }

    fn payload(
        &mut self,
        tasks: Vec<acs::Task>,
        orders: &[Order],
        now: Timestamp,
        names: &mut Names,
    ) -> acs::PayloadMessage {
        self.sequence += 1;
        let message_id = names.uuid();
        self.unacknowledged.insert(message_id.clone(), orders.to_vec());
        acs::PayloadMessage {
            cluster_arn: Some(self.node.cluster_arn()),
            container_instance_arn: Some(self.node.arn()),
            tasks: Some(tasks),
            generated_at: Some(now.as_millis()),
            message_id: Some(message_id),
            seq_num: Some(self.sequence),
            timeline: None,
        }
    }

    /// Everything that should run here: what the node runs beside it, it asks to stop.
    fn manifest(&self, view: &View, now: Timestamp, names: &mut Names) -> acs::TaskManifestMessage {
        let running = self.tasks(view).filter(|task| task.desired == DesiredStatus::Running);
        acs::TaskManifestMessage {
            cluster_arn: Some(self.node.cluster_arn()),
            container_instance_arn: Some(self.node.arn()),
            tasks: Some(running.map(|task| self.identifier(task)).collect()),
            generated_at: Some(now.as_millis()),
            message_id: Some(names.uuid()),
            timeline: Some(now.as_millis()),
        }
    }

    fn identifier(&self, task: &Task) -> acs::TaskIdentifier {
        acs::TaskIdentifier {
            task_arn: Some(task.arn().to_string()),
            task_cluster_arn: Some(self.node.cluster_arn()),
            desired_status: Some(task.desired.as_str().to_owned()),
        }
    }

    fn heartbeat(&mut self, now: Timestamp, names: &mut Names, effects: &mut Vec<Effect>) {
        if now.millis_since(self.heartbeat_at) >= HEARTBEAT_INTERVAL_MS {
            self.heartbeat_at = now;
            effects.push(send(acs::HeartbeatMessage { healthy: Some(true), message_id: Some(names.uuid()) }));
        }
    }

    fn answer(&mut self, view: &View, frame: Frame, now: Timestamp, effects: &mut Vec<Effect>) {
        match frame {
            Frame::AckRequest(acs::AckRequest { message_id: Some(id), .. }) => {
                let orders = self.unacknowledged.remove(&id);
                effects.extend(orders.map(|orders| Effect::Delivered(self.delivered(orders, now))));
            }
            Frame::NackRequest(acs::NackRequest { message_id: Some(id), reason, .. }) => {
                let reason = reason.unwrap_or_else(|| "the agent refused the task".to_owned());
                let orders = self.unacknowledged.remove(&id).into_iter().flatten();
                effects.extend(orders.map(|order| Effect::Undeliverable { task: order.task, reason: reason.clone() }));
            }
            Frame::TaskEventsMessage(message) => effects.push(Effect::Told(Box::new(message))),
            Frame::TaskStopVerificationMessage(message) => effects.push(send(self.verify(view, message, now))),
            _ => {}
        }
    }

    /// Of the candidates, those that indeed must not run: ended, unknown, or placed elsewhere.
    fn verify(
        &self,
        view: &View,
        message: acs::TaskStopVerificationMessage,
        now: Timestamp,
    ) -> acs::TaskStopVerificationAck {
        let running: BTreeSet<String> = self
            .tasks(view)
            .filter(|task| task.desired == DesiredStatus::Running)
            .map(|task| task.arn().to_string())
            .collect();
        let candidates = message.stop_candidates.unwrap_or_default().into_iter();
        let stop = candidates.filter(|task| task.task_arn.as_ref().is_some_and(|arn| !running.contains(arn)));
        acs::TaskStopVerificationAck {
            generated_at: Some(now.as_millis()),
            message_id: message.message_id,
            stop_tasks: Some(
                stop.map(|task| acs::TaskIdentifier { desired_status: Some("STOPPED".to_owned()), ..task }).collect(),
            ),
        }
    }
}

/// The same effects with all that was delivered at once, in the place of the first of it.
pub fn gathered(effects: Vec<Effect>) -> Vec<Effect> {
    let (mut all, mut first): (Vec<Effect>, Option<usize>) = (Vec::with_capacity(effects.len()), None);
    for effect in effects {
        match (effect, first.and_then(|first| all.get_mut(first))) {
            (Effect::Delivered(more), Some(Effect::Delivered(orders))) => orders.extend(more),
            (effect, _) => {
                if matches!(effect, Effect::Delivered(_)) {
                    first = Some(all.len());
                }
                all.push(effect);
            }
        }
    }
    all
}

fn send(message: impl Into<Frame>) -> Effect {
    Effect::Send(Box::new(message.into()))
}
