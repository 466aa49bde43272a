//! Who is connected, and the fan-out of changes to them.

use crate::payload::OwnRegistry;
use crate::session::{Node, Session};
use crate::socket;
use auth::Check;
use base::{ApiError, Principal};
use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use request::{Caller, Requests};
use state::{CONTAINER_INSTANCES, InstanceStatus, TASKS};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{Key, key};
use tokio::sync::Notify;

/// The control loops of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    requests: Requests,
    sessions: Mutex<BTreeMap<Node, Link>>,
    /// False in a server that never did.
    stands_by: AtomicBool,
}

/// How the fan-out reaches one session.
#[derive(Clone, Default)]
pub(crate) struct Link {
    /// A task of the node may have changed.
    pub changed: Arc<Notify>,
    /// A newer session of the same node took over, or the server ends.
    pub ended: Arc<Notify>,
}

impl Control {
    pub fn new(requests: Requests) -> Self {
        Self(Arc::new(Inner { requests, sessions: Mutex::default(), stands_by: AtomicBool::new(false) }))
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// Runs the loops until the future is dropped, while this server leads.
    pub async fn run(&self) {
        let requests = self.requests();
        tokio::join!(
            self.fan_out(),
            crate::drain::run(requests),
            crate::sweep::run(requests),
            crate::collect::run(requests)
        );
    }

    /// Keeps the store going, whether this server leads or stands by, until the future is dropped.
    pub async fn keep_store(&self) {
        crate::recover::run(self.requests()).await;
    }

    /// Another server leads: ends every session, and opens none until [`Control::begin`].
    pub fn stand_by(&self) {
        self.0.stands_by.store(true, Ordering::SeqCst);
        std::mem::take(&mut *self.0.sessions.lock()).into_values().for_each(|link| link.ended.notify_one());
    }

    /// This server leads, from its start or from now on.
    ///
    /// No node can be connected before its session opens here, so rows that say so, from before a
    /// restart or from another server's lead, are corrected first: nothing is placed on such a node.
    pub async fn begin(&self) {
        self.forget_connections().await;
        self.0.stands_by.store(false, Ordering::SeqCst);
    }

    /// Refuses between [`Control::stand_by`] and [`Control::begin`].
    ///
    /// # Errors
    /// ServiceUnavailable, to be tried again.
    pub fn check_begun(&self) -> Result<(), ApiError> {
        match self.0.stands_by.load(Ordering::SeqCst) {
            false => Ok(()),
            true => {
                Err(ApiError::server("ServiceUnavailable", "this server is about to lead: try again").with_status(503))
            }
        }
    }

    async fn forget_connections(&self) {
        let stale: Vec<Key> = self
            .requests()
            .view()
            .scan(CONTAINER_INSTANCES, &key![])
            .filter(|row| row.agent_connected)
            .map(key_of)
            .collect();
        for key in stale {
            self.set_connected(key, false).await;
        }
    }

    /// Wakes the sessions whose tasks changed; after a lag, all of them.
    async fn fan_out(&self) {
        let mut feed = self.requests().feed();
        loop {
            match feed.next().await {
                Ok(commit) => {
                    let tasks = commit.changes.iter().filter_map(|change| change.of(TASKS)?.1);
                    let nodes = tasks.filter_map(|task| {
                        let (account, region, cluster) =
                            (task.account.clone(), task.region.clone(), task.cluster.clone());
                        Some(Node { account, region, cluster, instance: task.instance.clone()? })
                    });
                    let sessions = self.0.sessions.lock();
                    nodes.filter_map(|node| sessions.get(&node)).for_each(|link| link.changed.notify_one());
                }
                Err(_lagged) => self.0.sessions.lock().values().for_each(|link| link.changed.notify_one()),
            }
        }
    }

    /// Opens the agent session that `request` asks for, and answers the upgrade.
    ///
    /// # Errors
    /// The handshake refusals of the agent protocol: AccessDeniedException,
    /// InvalidClusterException, InvalidInstanceException, InactiveInstanceException,
    /// BadRequestException.
    pub fn open(&self, caller: Caller, request: Request<Incoming>) -> Result<Response<()>, ApiError> {
        let node = self.admit(&caller, request.uri().query().unwrap_or_default())?;
        let (response, upgrade) = socket::upgrade(request)?;
        let hosts = self.requests().installation().hosts.clone();
        let registry = OwnRegistry { endpoint: caller.endpoint.clone(), hosts };
        let (control, session) = (self.clone(), Session::new(node, registry));
        tokio::spawn(async move { socket::drive(control, session, upgrade).await });
        Ok(response)
    }

    /// Which node this is, once it may open a session for the instance it names.
    fn admit(&self, caller: &Caller, query: &str) -> Result<Node, ApiError> {
        let Principal::Node { account, region, cluster, instance: Some(instance), .. } = &caller.principal else {
            return Err(ApiError::client(
                "InvalidInstanceException",
                "register the container instance with a node's credentials first",
            ));
        };
        let node = Node {
            account: account.clone(),
            region: region.clone(),
            cluster: cluster.clone(),
            instance: instance.clone(),
        };
        let named = socket::parameter(query, "containerInstanceArn").unwrap_or_default();
        let view = self.requests().view();
        self.requests().authorise(&view, "ecs", caller, &[Check::new("ecs:Poll", named)])?;
        match view.get(CONTAINER_INSTANCES, &key![account, region, cluster, instance]) {
            None => Err(ApiError::client(
                "InvalidInstanceException",
                "this container instance is not registered; register it again",
            )),
            Some(row) if row.status == InstanceStatus::Inactive => {
                Err(ApiError::client("InactiveInstanceException", "this container instance was deregistered"))
            }
            Some(_) => Ok(node),
        }
    }

    /// Makes `link` the node's session, ending the one before.
    pub(crate) async fn connected(&self, node: &Node, link: &Link) {
        if let Some(older) = self.0.sessions.lock().insert(node.clone(), link.clone()) {
            older.ended.notify_one();
        }
        self.set_connected(key![&node.account, &node.region, &node.cluster, &node.instance], true).await;
    }

    /// Notes the end of a session, unless a newer one took over.
    pub(crate) async fn disconnected(&self, node: &Node, link: &Link) {
        {
            let mut sessions = self.0.sessions.lock();
            match sessions.get(node) {
                Some(current) if Arc::ptr_eq(&current.ended, &link.ended) => sessions.remove(node),
                _ => return,
            };
        }
        self.set_connected(key![&node.account, &node.region, &node.cluster, &node.instance], false).await;
    }

    async fn set_connected(&self, key: Key, connected: bool) {
        let stored = self
            .requests()
            .transact(move |tx| {
                tx.update(CONTAINER_INSTANCES, &key, |row| {
                    row.version += u64::from(row.agent_connected != connected);
                    row.agent_connected = connected;
                });
                Ok(())
            })
            .await;
        if let Err(error) = stored {
            tracing::error!(%error, connected, "an agent's connection could not be noted");
        }
    }
}

fn key_of(row: &state::ContainerInstance) -> Key {
    key![&row.account, &row.region, &row.cluster, &row.id]
}
