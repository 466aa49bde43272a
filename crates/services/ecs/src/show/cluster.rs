use super::int;
use crate::errors::EcsError;
use crate::settings::CONTAINER_INSIGHTS;
use crate::tags;
use state::{CONTAINER_INSTANCES, Cluster, InstanceStatus, LastStatus, TASKS};
use store::{View, key};
use wire::types::ecs::{Cluster as Shown, ClusterConfiguration, ClusterSetting, KeyValuePair};

/// What `include` asks for beyond the plain cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClusterParts {
    pub attachments: bool,
    pub configurations: bool,
    pub settings: bool,
    pub statistics: bool,
    pub tags: bool,
}

/// Statistics of launch types and services that no cluster here has yet.
const ZERO_STATISTICS: [&str; 10] = [
    "runningFargateTasksCount",
    "pendingFargateTasksCount",
    "runningExternalTasksCount",
    "pendingExternalTasksCount",
    "activeEC2ServiceCount",
    "activeFargateServiceCount",
    "activeExternalServiceCount",
    "drainingEC2ServiceCount",
    "drainingFargateServiceCount",
    "drainingExternalServiceCount",
];

pub(crate) fn cluster(view: &View, row: &Cluster, parts: ClusterParts) -> Result<Shown, EcsError> {
    let (running, pending) = tasks(view, row);
    let configuration = row.configuration.as_deref().filter(|_| parts.configurations);
    let configuration = configuration.map(serde_json::from_str::<ClusterConfiguration>).transpose();
    Ok(Shown {
        cluster_arn: Some(row.arn().to_string()),
        cluster_name: Some(row.name.clone()),
        configuration: configuration.map_err(|error| EcsError::Stored(error.to_string()))?,
        status: Some(row.status.as_str().to_owned()),
        registered_container_instances_count: Some(int(instances(view, row))),
        running_tasks_count: Some(int(running)),
        pending_tasks_count: Some(int(pending)),
        active_services_count: Some(0),
        statistics: Some(if parts.statistics { statistics(running, pending) } else { Vec::new() }),
        tags: Some(if parts.tags { tags::show(&row.tags) } else { Vec::new() }),
        settings: Some(if parts.settings { settings(row) } else { Vec::new() }),
        capacity_providers: Some(Vec::new()),
        default_capacity_provider_strategy: Some(Vec::new()),
        attachments: parts.attachments.then(Vec::new),
        ..Shown::default()
    })
}

/// Running and pending tasks.
fn tasks(view: &View, row: &Cluster) -> (usize, usize) {
    let (mut running, mut pending) = (0, 0);
    for task in view.scan(TASKS, &key![row.account, row.region, row.name]) {
        running += usize::from(task.last == LastStatus::Running);
        pending += usize::from(task.last < LastStatus::Running);
    }
    (running, pending)
}

fn instances(view: &View, row: &Cluster) -> usize {
    let all = view.scan(CONTAINER_INSTANCES, &key![row.account, row.region, row.name]);
    all.filter(|instance| instance.status != InstanceStatus::Inactive).count()
}

fn statistics(running: usize, pending: usize) -> Vec<KeyValuePair> {
    let pair = |name: &str, value: usize| KeyValuePair { name: Some(name.to_owned()), value: Some(value.to_string()) };
    let counted = [pair("runningEC2TasksCount", running), pair("pendingEC2TasksCount", pending)];
    counted.into_iter().chain(ZERO_STATISTICS.map(|name| pair(name, 0))).collect()
}

fn settings(row: &Cluster) -> Vec<ClusterSetting> {
    vec![ClusterSetting { name: Some(CONTAINER_INSIGHTS.to_owned()), value: Some(row.container_insights.clone()) }]
}
