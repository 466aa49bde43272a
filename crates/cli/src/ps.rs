//! `longshore ps`: tasks and their containers.

use crate::session::{Session, items, last, taken};
use crate::table::{Column, Output, ago};
use anyhow::Result;
use serde_json::{Value, json};

/// Tasks of one DescribeTasks call (Amazon ECS API reference).
const DESCRIBED_MAX: usize = 100;

const COLUMNS: [Column; 6] = [
    ("TASK", |task| last(task["taskArn"].as_str().unwrap_or_default()).to_owned()),
    ("DEFINITION", |task| last(task["taskDefinitionArn"].as_str().unwrap_or_default()).to_owned()),
    ("STATUS", |task| task["lastStatus"].as_str().unwrap_or_default().to_owned()),
    ("AGE", |task| ago(&task["createdAt"])),
    ("CONTAINERS", |task| items(&task["containers"]).iter().map(container).collect::<Vec<_>>().join(", ")),
    ("PORTS", |task| items(&task["containers"]).iter().flat_map(ports).collect::<Vec<_>>().join(", ")),
];

/// Which tasks are shown.
pub struct Which<'a> {
    pub cluster: &'a str,
    /// Stopped ones too.
    pub all: bool,
}

pub async fn run(session: &Session, which: &Which<'_>, output: Output) -> Result<()> {
    let mut arns = Vec::new();
    for status in if which.all { &["RUNNING", "STOPPED"][..] } else { &["RUNNING"] } {
        let input = json!({ "cluster": which.cluster, "desiredStatus": status });
        arns.extend(session.every("ecs", "ListTasks", input, "taskArns").await?);
    }
    let mut tasks = Vec::new();
    for page in arns.chunks(DESCRIBED_MAX) {
        let mut found = session.ecs("DescribeTasks", &json!({ "cluster": which.cluster, "tasks": page })).await?;
        tasks.append(&mut taken(&mut found, "tasks"));
    }
    let created = |task: &Value| task["createdAt"].as_f64().unwrap_or_default();
    tasks.sort_by(|a, b| created(b).total_cmp(&created(a)));
    output.print(&tasks, &COLUMNS)
}

/// `web`, or `web (exit 1)` once it has ended.
fn container(container: &Value) -> String {
    let name = container["name"].as_str().unwrap_or_default();
    match (container["exitCode"].as_i64(), container["lastStatus"].as_str()) {
        (Some(code), _) => format!("{name} (exit {code})"),
        (None, Some("STOPPED")) => format!("{name} (failed)"),
        _ => name.to_owned(),
    }
}

/// `0.0.0.0:8080->80/tcp`, as Docker shows them.
fn ports(container: &Value) -> impl Iterator<Item = String> {
    items(&container["networkBindings"]).iter().map(|binding| {
        let (ip, protocol) = (&binding["bindIP"], &binding["protocol"]);
        format!(
            "{}:{}->{}/{}",
            ip.as_str().unwrap_or_default(),
            binding["hostPort"],
            binding["containerPort"],
            protocol.as_str().unwrap_or_default()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_tells_how_it_ended() {
        fn check(state: &Value, expect: &str) {
            assert_eq!(container(state), expect);
        }
        check(&json!({ "name": "web", "lastStatus": "RUNNING" }), "web");
        check(&json!({ "name": "web", "lastStatus": "STOPPED", "exitCode": 3 }), "web (exit 3)");
        check(&json!({ "name": "web", "lastStatus": "STOPPED", "reason": "CannotPullContainerError" }), "web (failed)");
    }

    #[test]
    fn ports_are_shown_as_docker_does() {
        let binding = json!({ "bindIP": "0.0.0.0", "hostPort": 8080, "containerPort": 80, "protocol": "tcp" });
        let shown: Vec<_> = ports(&json!({ "networkBindings": [binding] })).collect();
        assert_eq!(shown, ["0.0.0.0:8080->80/tcp"]);
    }
}
