//! The resources that carry tags: clusters, task definitions, tasks and container instances.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Scope};
use base::Arn;
use state::{
    CLUSTERS, CONTAINER_INSTANCES, Cluster, ContainerInstance, TASK_DEFINITIONS, TASKS, Tags, Task, TaskDefinition,
};
use store::{Tx, View};

/// A row that carries tags.
pub(crate) enum Tagged<'a> {
    Cluster(&'a Cluster),
    Definition(&'a TaskDefinition),
    Task(&'a Task),
    Instance(&'a ContainerInstance),
}

impl<'a> Tagged<'a> {
    /// The resource of `arn`, which has to be a full one.
    ///
    /// # Errors
    /// For what is no ARN of this service, carries no tags, or is not there any more.
    pub fn find(view: &'a View, scope: Scope, arn: &str) -> Result<Self, EcsError> {
        let resource = parsed(arn)?.resource;
        let (kind, rest) = resource.split_once('/').ok_or(EcsError::Identifier("Resource"))?;
        let cluster = rest.split('/').next().unwrap_or_default();
        let found = match kind {
            "cluster" => return active_cluster(view, scope, arn).map(Self::Cluster),
            "task-definition" => find::definition(view, scope, &scope.definition(arn)?).map(Self::Definition),
            "task" => {
                let member = scope.member(Kind::Task, cluster, arn)?;
                find::task(view, scope, cluster, &member).map(running).transpose()?.map(Self::Task)
            }
            "container-instance" => {
                let member = scope.member(Kind::ContainerInstance, cluster, arn)?;
                find::instance(view, scope, cluster, &member).map(Self::Instance)
            }
            _ => None,
        };
        found.ok_or(EcsError::ResourceNotFound)
    }

    pub fn tags(&self) -> &'a Tags {
        match self {
            Self::Cluster(row) => &row.tags,
            Self::Definition(row) => &row.tags,
            Self::Task(row) => &row.tags,
            Self::Instance(row) => &row.tags,
        }
    }
}

fn active_cluster<'a>(view: &'a View, scope: Scope, arn: &str) -> Result<&'a Cluster, EcsError> {
    find::active_cluster(view, scope, scope.cluster(Some(arn))?).map_err(|error| match error {
        EcsError::ClusterNotActive => EcsError::TaggedClusterInactive,
        error => error,
    })
}

/// A stopped task has lost its tags.
fn running(task: &Task) -> Result<&Task, EcsError> {
    if task.holds_resources() { Ok(task) } else { Err(EcsError::TaggedTaskStopped) }
}

/// The ARN given, if it is one of this service.
pub(crate) fn parsed(arn: &str) -> Result<Arn, EcsError> {
    let parsed: Option<Arn> = arn.parse().ok();
    parsed.filter(|arn| arn.service == "ecs").ok_or(EcsError::Identifier("Resource"))
}

/// Gives the resource of `arn` what `change` makes of its tags.
pub(crate) fn retag(
    tx: &mut Tx,
    scope: Scope,
    arn: &str,
    change: impl FnOnce(Tags) -> Result<Tags, EcsError>,
) -> Result<(), EcsError> {
    match Tagged::find(tx, scope, arn)? {
        Tagged::Cluster(row) => {
            let row = Cluster { tags: change(row.tags.clone())?, ..row.clone() };
            tx.put(CLUSTERS, row);
        }
        Tagged::Definition(row) => {
            let row = TaskDefinition { tags: change(row.tags.clone())?, ..row.clone() };
            tx.put(TASK_DEFINITIONS, row);
        }
        Tagged::Task(row) => {
            let row = Task { tags: change(row.tags.clone())?, ..row.clone() };
            tx.put(TASKS, row);
        }
        Tagged::Instance(row) => {
            let row = ContainerInstance { tags: change(row.tags.clone())?, ..row.clone() };
            tx.put(CONTAINER_INSTANCES, row);
        }
    }
    Ok(())
}
