//! What a cluster is set to: Container Insights and its configuration. They are kept and shown; what reads them says so
//! where it is used.

use crate::errors::EcsError;
use crate::settings::{CONTAINER_INSIGHTS, CONTAINER_INSIGHTS_VALUES};
use state::Cluster;
use wire::types::ecs::{ClusterConfiguration, ClusterSetting};

/// What a request sets.
pub(crate) struct Changes {
    pub settings: Option<Vec<ClusterSetting>>,
    pub configuration: Option<ClusterConfiguration>,
}

impl Changes {
    /// `row` with what is given in its place.
    pub fn apply(self, row: Cluster) -> Result<Cluster, EcsError> {
        let insights = self.settings.unwrap_or_default().into_iter().map(container_insights);
        let insights: Vec<String> = insights.collect::<Result<_, _>>()?;
        Ok(Cluster {
            container_insights: insights.into_iter().next_back().unwrap_or(row.container_insights),
            configuration: self.configuration.map(configuration).transpose()?.or(row.configuration),
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
