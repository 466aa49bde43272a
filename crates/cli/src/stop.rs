//! `longshore stop`: ends tasks.

use crate::say;
use crate::session::{Session, last, text};
use anyhow::Result;
use serde_json::json;

pub async fn run(session: &Session, cluster: &str, tasks: &[String], reason: Option<&str>) -> Result<()> {
    for task in tasks {
        let mut input = json!({ "cluster": cluster, "task": task });
        if let Some(reason) = reason {
            input["reason"] = reason.into();
        }
        let stopped = session.ecs("StopTask", &input).await?;
        say(format!("{} is being stopped", last(&text(&stopped["task"]["taskArn"])?)))?;
    }
    Ok(())
}
