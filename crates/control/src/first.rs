//! A server's first second, and the way back to it: for test suites, on rows that are in memory alone.

use base::ApiError;
use request::Requests;
use state::{ACCESS_KEYS, AccessKey, CLUSTERS, CONTAINER_INSTANCES, Cluster, ContainerInstance, LOG_GROUPS, TASKS};
use store::{Tx, key};
use telemetry::GroupId;

/// What there was before anybody asked for anything: keys, the nodes that joined, and their clusters.
#[derive(Clone, Debug)]
pub struct FirstSecond {
    keys: Vec<AccessKey>,
    nodes: Vec<ContainerInstance>,
    clusters: Vec<Cluster>,
}

impl FirstSecond {
    /// Taken once the local node has joined. What others made meanwhile is no part of it.
    pub fn of(requests: &Requests) -> Self {
        let view = requests.view();
        let nodes: Vec<_> = view.scan(CONTAINER_INSTANCES, &key![]).cloned().collect();
        let is_joined = |cluster: &&Cluster| {
            nodes.iter().any(|node| {
                (&node.account, &node.region, &node.cluster) == (&cluster.account, &cluster.region, &cluster.name)
            })
        };
        let clusters = view.scan(CLUSTERS, &key![]).filter(is_joined).cloned().collect();
        Self { keys: view.scan(ACCESS_KEYS, &key![]).cloned().collect(), clusters, nodes }
    }

    /// Brings the rows back to it, unless there are tasks, whose containers have to go first: then it answers false.
    ///
    /// # Errors
    /// When the store does not write.
    pub async fn restore_without_tasks(&self, requests: &Requests) -> Result<bool, ApiError> {
        self.restore_if(requests, |tx| tx.count(TASKS, &key![]) == 0).await
    }

    /// Brings the rows back to it.
    ///
    /// # Errors
    /// When the store does not write.
    pub async fn restore(&self, requests: &Requests) -> Result<(), ApiError> {
        self.restore_if(requests, |_| true).await.map(|_| ())
    }

    async fn restore_if(&self, requests: &Requests, may: fn(&Tx) -> bool) -> Result<bool, ApiError> {
        let first = self.clone();
        let restored = requests.transact(move |tx| {
            let groups: Vec<GroupId> = tx.scan(LOG_GROUPS, &key![]).map(group_id).collect();
            let restores = may(tx);
            if restores {
                first.put(tx);
            }
            Ok(restores.then_some(groups))
        });
        let gone = restored.await?;
        let is_restored = gone.is_some();
        tokio::spawn(forget_events(requests.clone(), gone.unwrap_or_default()));
        Ok(is_restored)
    }

    fn put(self, tx: &mut Tx) {
        tx.clear();
        self.keys.into_iter().for_each(|row| tx.put(ACCESS_KEYS, row));
        self.clusters.into_iter().for_each(|row| tx.put(CLUSTERS, row));
        self.nodes.into_iter().for_each(|row| tx.put(CONTAINER_INSTANCES, row));
    }
}

fn group_id(row: &state::LogGroup) -> GroupId {
    let (account, region, name) = (row.account.clone(), row.region.clone(), row.name.clone());
    GroupId { account, region, name, generation: row.generation }
}

/// Frees the space of events that no row leads to any more. Nobody can see them meanwhile.
async fn forget_events(requests: Requests, groups: Vec<GroupId>) {
    for group in groups {
        if let Err(error) = requests.telemetry().delete_group(&group).await {
            tracing::warn!(group = group.name, %error, "the events of a group that is gone stay on the disk");
        }
    }
}
