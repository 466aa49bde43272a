//! `longshore stop`: ends tasks.

use crate::say;
use crate::session::{Session, last, text};
use crate::task;
use anyhow::Result;
use serde_json::json;

/// None is stopped where one of them is not there.
pub async fn run(session: &Session, cluster: &str, tasks: &[String], reason: Option<&str>) -> Result<()> {
    let mut arns = Vec::new();
    for task in tasks {
        arns.push(text(&task::describe(session, cluster, task).await?["taskArn"])?);
    }
    for arn in arns {
        let mut input = json!({ "cluster": cluster, "task": arn });
        if let Some(reason) = reason {
            input["reason"] = reason.into();
        }
        let stopped = session.ecs("StopTask", &input).await?;
        say(format!("{} is being stopped", last(&text(&stopped["task"]["taskArn"])?)))?;
    }
    Ok(())
}
