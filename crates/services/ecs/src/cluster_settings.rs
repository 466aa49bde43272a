//! What a cluster is set to: Container Insights, its configuration and its Service Connect namespace. They are kept
//! and shown; what reads them says so where it is used.

use crate::errors::EcsError;
use crate::settings::{CONTAINER_INSIGHTS, CONTAINER_INSIGHTS_VALUES};
use state::Cluster;
use wire::types::ecs::{ClusterConfiguration, ClusterServiceConnectDefaultsRequest, ClusterSetting};

/// Characters of a namespace's name (Amazon ECS API reference, ClusterServiceConnectDefaultsRequest).
const NAMESPACE_CHARS_MAX: usize = 1024;

/// Characters that its name cannot have (the same); its ARN has slashes.
const NAMESPACE_FORBIDDEN: [char; 4] = ['<', '>', '"', '/'];

/// What a request sets.
pub(crate) struct Changes {
    pub settings: Option<Vec<ClusterSetting>>,
    pub configuration: Option<ClusterConfiguration>,
    pub service_connect: Option<ClusterServiceConnectDefaultsRequest>,
}

impl Changes {
    /// `row` with what is given in its place.
    pub fn apply(self, row: Cluster) -> Result<Cluster, EcsError> {
        let insights = self.settings.unwrap_or_default().into_iter().map(container_insights);
        let insights: Vec<String> = insights.collect::<Result<_, _>>()?;
        let namespace = match self.service_connect {
            None => row.service_connect_namespace,
            Some(given) => namespace(given.namespace)?,
        };
        Ok(Cluster {
            container_insights: insights.into_iter().next_back().unwrap_or(row.container_insights),
            configuration: self.configuration.map(configuration).transpose()?.or(row.configuration),
            service_connect_namespace: namespace,
            ..row
        })
    }
}

fn container_insights(setting: ClusterSetting) -> Result<String, EcsError> {
    let (name, value) = (setting.name.unwrap_or_default(), setting.value.unwrap_or_default());
    match name == CONTAINER_INSIGHTS && CONTAINER_INSIGHTS_VALUES.contains(&value.as_str()) {
        true => Ok(value),
        false => Err(EcsError::ClusterSetting { name, value }),
    }
}

/// Canonical JSON.
fn configuration(given: ClusterConfiguration) -> Result<String, EcsError> {
    if let Some(exec) = &given.execute_command_configuration {
        match (exec.logging.as_deref() == Some("OVERRIDE"), exec.log_configuration.is_some()) {
            (true, false) => return Err(EcsError::ExecLogConfigurationMissing),
            (false, true) => return Err(EcsError::ExecLogConfigurationAlone),
            _ => {}
        }
    }
    let canonical = serde_json::to_value(given).map_err(|error| EcsError::Stored(error.to_string()))?;
    Ok(canonical.to_string())
}

/// The namespace by name or ARN; an empty text takes it away.
fn namespace(given: String) -> Result<Option<String>, EcsError> {
    let is_arn = given.starts_with("arn:");
    let forbidden = !is_arn && given.contains(NAMESPACE_FORBIDDEN);
    match given.chars().count() {
        0 => Ok(None),
        long if long > NAMESPACE_CHARS_MAX || forbidden => Err(EcsError::Namespace),
        _ => Ok(Some(given)),
    }
}
