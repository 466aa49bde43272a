//! What the README promises, by the clients that it names.

mod cli;
mod control_plane;
mod ephemeral;
mod errors;
mod full;
mod given;
mod images;
mod layouts;
mod leftovers;
mod life;
mod lifecycle;
mod log_drivers;
mod logs;
mod pulls;
mod registry;
mod sdk;
mod standby;
mod story;
mod tasks;
mod trust;
mod volumes;

use crate::{Client, HostImage, Longshore};
use anyhow::Result;
use serde_json::{Value, json};

/// A server with one pushed image, which most tests begin with.
struct Stage {
    server: Longshore,
    /// `host:port/web:1`.
    image: String,
}

impl Stage {
    fn new() -> Result<Self> {
        Self::of(Longshore::start()?)
    }

    fn of(server: Longshore) -> Result<Self> {
        let client = Client::of(&server);
        client.aws(&["ecr", "create-repository", "--repository-name", "web"])?;
        let image = format!("{}/web:1", server.registry()?);
        push(&client, &HostImage::busybox(&["sh", "-c", "echo from the image"])?.source(), &image, &[])?;
        Ok(Self { server, image })
    }

    fn client(&self) -> Client<'_> {
        Client::of(&self.server)
    }

    /// Registers a definition of one container and answers its ARN.
    fn register(&self, mode: &str, container: Value) -> Result<String> {
        let mut container = container;
        let defaults = json!({ "name": "app", "image": self.image, "memory": 64, "stopTimeout": 2, "logConfiguration": log_configuration() });
        if let (Value::Object(container), Value::Object(defaults)) = (&mut container, defaults) {
            for (name, value) in defaults {
                container.entry(name).or_insert(value);
            }
        }
        let input = json!({ "family": "web", "networkMode": mode, "containerDefinitions": [container] });
        let answer = self.client().aws(&["ecs", "register-task-definition", "--cli-input-json", &input.to_string()])?;
        Ok(text(&answer["taskDefinition"]["taskDefinitionArn"]).to_owned())
    }

    /// Runs a definition and answers the task's ARN.
    fn run(&self, definition: &str, more: &[&str]) -> Result<String> {
        let args = [&["ecs", "run-task", "--task-definition", definition], more].concat();
        let answer = self.client().aws(&args)?;
        anyhow::ensure!(answer["failures"] == json!([]), "not placed: {answer}");
        Ok(text(&answer["tasks"][0]["taskArn"]).to_owned())
    }

    /// Registers and runs a container that ends by itself; answers the stopped task.
    fn run_to_end(&self, mode: &str, container: Value) -> Result<Value> {
        let task = self.run(&self.register(mode, container)?, &[])?;
        self.until(&task, "STOPPED")
    }

    fn until(&self, task: &str, status: &str) -> Result<Value> {
        let answer = self.client().aws_until(&["ecs", "describe-tasks", "--tasks", task], |answer| {
            answer["tasks"][0]["lastStatus"] == status
        })?;
        Ok(answer["tasks"][0].clone())
    }

    /// The messages that a task's container has logged.
    fn log(&self, task: &Value) -> Result<Vec<String>> {
        let stream = format!("test/app/{}", id(text(&task["taskArn"])));
        let page = self.client().aws(&[
            "logs",
            "get-log-events",
            "--log-group-name",
            "/test",
            "--log-stream-name",
            &stream,
            "--start-from-head",
        ])?;
        Ok(page["events"].as_array().into_iter().flatten().map(|event| text(&event["message"]).to_owned()).collect())
    }
}

fn log_configuration() -> Value {
    json!({ "logDriver": "awslogs", "options": {
        "awslogs-group": "/test", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "test", "awslogs-create-group": "true",
    } })
}

/// Pushes with skopeo; `more` are further options of `skopeo copy`.
fn push(client: &Client, from: &str, to: &str, more: &[&str]) -> Result<()> {
    let login = client.registry_login()?;
    let to = format!("docker://{to}");
    let args = [&["copy", "--dest-tls-verify=false", "--dest-creds", &login], more, &[from, &to]].concat();
    let answer = client.skopeo(&args)?;
    anyhow::ensure!(answer.ok, "skopeo {args:?} failed: {}", answer.stderr);
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The id at the end of an ARN.
fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
