//! Rows by the names that callers gave.

use crate::errors::EcsError;
use crate::names::{DefinitionName, Kind, Member, Scope};
use state::{
    CLUSTERS, CONTAINER_INSTANCES, Cluster, ClusterStatus, ContainerInstance, Held, TASK_DEFINITIONS, TASKS, Task,
    TaskDefinition,
};
use store::{Tx, View, key};

/// A cluster, INACTIVE ones too.
pub(crate) fn cluster<'a>(view: &'a View, scope: Scope, name: &str) -> Result<&'a Cluster, EcsError> {
    view.get(CLUSTERS, &key![scope.account, scope.region, name]).ok_or(EcsError::ClusterNotFound)
}

/// A cluster that takes new tasks and instances.
pub(crate) fn active_cluster<'a>(view: &'a View, scope: Scope, name: &str) -> Result<&'a Cluster, EcsError> {
    let cluster = cluster(view, scope, name)?;
    match cluster.status {
        ClusterStatus::Active => Ok(cluster),
        ClusterStatus::Inactive => Err(EcsError::ClusterNotActive),
    }
}

pub(crate) fn task<'a>(view: &'a View, scope: Scope, cluster: &str, member: &Member) -> Option<&'a Task> {
    let row = view.get(TASKS, &key![scope.account, scope.region, cluster, member.id]);
    row.filter(|row| row.arn().to_string() == member.arn)
}

/// The task that an operation is about.
pub(crate) fn one_task<'a>(view: &'a View, scope: Scope, cluster: &str, given: &str) -> Result<&'a Task, EcsError> {
    self::cluster(view, scope, cluster)?;
    let member = scope.member(Kind::Task, cluster, given)?;
    task(view, scope, cluster, &member).ok_or(EcsError::TaskNotFound)
}

pub(crate) fn instance<'a>(
    view: &'a View,
    scope: Scope,
    cluster: &str,
    member: &Member,
) -> Option<&'a ContainerInstance> {
    let row = view.get(CONTAINER_INSTANCES, &key![scope.account, scope.region, cluster, member.id]);
    row.filter(|row| row.arn().to_string() == member.arn)
}

/// Counts a change of what is left of the task's instance.
pub(crate) fn touch_instance(tx: &mut Tx, task: &Task) {
    let Some(instance) = &task.instance else { return };
    let key = key![task.account, task.region, task.cluster, instance];
    tx.update(CONTAINER_INSTANCES, &key, |row| row.version += 1);
}

/// The tasks that hold room on `instance`.
pub(crate) fn tasks_on<'a>(view: &'a View, instance: &ContainerInstance) -> impl Iterator<Item = &'a Task> + use<'a> {
    let ContainerInstance { account, region, cluster, id, .. } = instance;
    view.by(TASKS::HOLDING_BY_INSTANCE, &key![account, region, cluster, id])
}

/// What the tasks on `instance` hold of it.
pub(crate) fn held(view: &View, instance: &ContainerInstance) -> Held {
    let ContainerInstance { account, region, cluster, id, .. } = instance;
    view.sum(TASKS::HELD_BY_INSTANCE, &key![account, region, cluster, id]).cloned().unwrap_or_default()
}

/// The revision named, or the latest ACTIVE one of the family.
pub(crate) fn definition<'a>(view: &'a View, scope: Scope, name: &DefinitionName) -> Option<&'a TaskDefinition> {
    let family = key![scope.account, scope.region, name.family];
    match name.revision {
        Some(revision) => view.get(TASK_DEFINITIONS, &family.push(revision)),
        None => view.scan(TASK_DEFINITIONS, &family).rev().find(|row| row.is_active()),
    }
}
