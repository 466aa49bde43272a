//! `longshore run`: an image, or a registered task definition, as a task before one's eyes.

use crate::logs::{self, Tail, Wanted, message};
use crate::pauses::Pauses;
use crate::session::{Session, items, last, text};
use crate::{definition, events, say, task};
use anyhow::{Context, Result, bail};
use oci::ImageReference;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

/// The log group of tasks that were run so, below which each family has a prefix.
const LOG_GROUP: &str = "/longshore/run";

/// How often is said what a task waits for.
const TELL_INTERVAL: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct RunArgs {
    /// Image (NAME:TAG as `longshore push` had it, or of any registry), or FAMILY[:REVISION] with --definition
    image: String,
    /// What the container runs instead of the image's own command
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
    /// The first argument is a registered task definition, not an image
    #[arg(long, short = 'D')]
    definition: bool,
    /// Name of family and container [default: the repository's last part]
    #[arg(long, conflicts_with = "definition")]
    name: Option<String>,
    /// Environment variable, NAME=VALUE; may be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Published port, HOST:CONTAINER or CONTAINER for a free host port; may be given several times
    #[arg(long, short, value_name = "PORTS", value_parser = port, conflicts_with = "definition")]
    publish: Vec<(u16, u16)>,
    /// Memory limit, MiB
    #[arg(long, default_value_t = 256, conflicts_with = "definition")]
    memory: u32,
    /// CPU units, 1024 a core
    #[arg(long, default_value_t = 0, conflicts_with = "definition")]
    cpu: u32,
    /// Network mode: bridge, host or none
    #[arg(long, default_value = "bridge", value_parser = ["bridge", "host", "none"], conflicts_with = "definition")]
    network: String,
    /// Print the task's id and leave it running
    #[arg(long, short)]
    detach: bool,
}

/// `NAME=VALUE`.
pub fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() { Err("it has no name".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// Host port, 0 for a free one, and container port.
fn port(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("'{text}' is no port"));
    match text.split_once(':') {
        Some((host, container)) => Ok((number(host)?, number(container)?)),
        None => Ok((0, number(text)?)),
    }
}

/// Ends as the container did.
pub async fn run(session: &Session, cluster: &str, args: &RunArgs) -> Result<ExitCode> {
    let (definition, container) = match args.definition {
        true => existing(session, &args.image).await?,
        false => register(session, args).await?,
    };
    let input = request(cluster, &definition, &container, args);
    let answer = session.ecs("RunTask", &input).await?;
    if let Some(failure) = answer["failures"].get(0) {
        bail!("the task was not placed: {}", failure["reason"].as_str().unwrap_or("no reason given"));
    }
    let arn = text(&answer["tasks"][0]["taskArn"])?;
    let id = last(&arn);
    if args.detach {
        say(id)?;
        return Ok(ExitCode::SUCCESS);
    }
    let state = until_begun(session, cluster, &arn).await?;
    if let Ok(streams) = task::streams(session, &state, None).await {
        let mut tails: Vec<_> = streams.into_iter().map(|stream| Tail { stream, token: None }).collect();
        let wanted = Wanted { cluster, task: id, container: None, follow: true };
        logs::follow(session, &wanted, &mut tails, |_, event| say(message(event))).await?;
    }
    let code = task::exit_code(&until(session, cluster, id, |status| status == "STOPPED").await?)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn request(cluster: &str, definition: &str, container: &str, args: &RunArgs) -> Value {
    let mut input = json!({ "cluster": cluster, "taskDefinition": definition });
    if args.definition && !(args.command.is_empty() && args.env.is_empty()) {
        let mut changes = json!({ "name": container, "environment": environment(args) });
        if !args.command.is_empty() {
            changes["command"] = json!(args.command);
        }
        input["overrides"] = json!({ "containerOverrides": [changes] });
    }
    input
}

fn environment(args: &RunArgs) -> Value {
    args.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A registered definition's ARN, and the name of its first container.
async fn existing(session: &Session, name: &str) -> Result<(String, String)> {
    let found = session.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": name })).await?;
    let definition = &found["taskDefinition"];
    Ok((text(&definition["taskDefinitionArn"])?, text(&definition["containerDefinitions"][0]["name"])?))
}

/// Registers what the options say, unless it is registered already; answers ARN and container.
async fn register(session: &Session, args: &RunArgs) -> Result<(String, String)> {
    let image = own_or_given(session, &args.image).await?;
    let repository = image.parse::<ImageReference>()?.repository;
    let name = args.name.clone().unwrap_or_else(|| last(&repository).replace('.', "-"));
    let input = json!({ "family": name, "networkMode": args.network, "containerDefinitions": [container(session, args, &name, &image)] });
    Ok((definition::register(session, &input).await?.arn, name))
}

fn container(session: &Session, args: &RunArgs, name: &str, image: &str) -> Value {
    let ports: Vec<_> = args
        .publish
        .iter()
        .map(|(host, container)| json!({ "hostPort": host, "containerPort": container, "protocol": "tcp" }))
        .collect();
    let mut container = json!({
        "name": name,
        "image": image,
        "memory": args.memory,
        "cpu": args.cpu,
        "essential": true,
        "environment": environment(args),
        "portMappings": ports,
        "logConfiguration": { "logDriver": "awslogs", "options": {
            "awslogs-group": LOG_GROUP,
            "awslogs-region": session.endpoint.region,
            "awslogs-stream-prefix": name,
            "awslogs-create-group": "true",
        } },
    });
    if !args.command.is_empty() {
        container["command"] = json!(args.command);
    }
    container
}

/// A short name is an image of ours where we have its repository; else it is as Docker has it.
async fn own_or_given(session: &Session, image: &str) -> Result<String> {
    let reference: ImageReference = image.parse()?;
    if reference.registry.is_some() {
        return Ok(image.to_owned());
    }
    let found = session.ecr("DescribeRepositories", &json!({ "repositoryNames": [reference.repository] })).await;
    let Ok(found) = found else {
        refuse_revision(session, &reference).await?;
        return Ok(image.to_owned());
    };
    let uri = text(&found["repositories"][0]["repositoryUri"])?;
    Ok(format!("{uri}{}", &image[reference.repository.len()..]))
}

/// # Errors
/// When `reference`, an image of no repository of ours, reads like the revision of a task definition of that family,
/// which runs another image: to ask Docker Hub for it would take long, and be in vain.
async fn refuse_revision(session: &Session, reference: &ImageReference) -> Result<()> {
    let Some(revision) = reference.tag.as_deref().filter(|tag| tag.parse::<u32>().is_ok()) else { return Ok(()) };
    let describe = |name: String| async move {
        session.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": name })).await.ok()
    };
    let family = &reference.repository;
    match describe(family.clone()).await {
        Some(newest) if !runs(&newest["taskDefinition"], reference) => {
            let is_there = describe(format!("{family}:{revision}")).await.is_some();
            bail!(ambiguous(reference, family, revision, is_there))
        }
        _ => Ok(()),
    }
}

/// True for a definition of which a container has an image of this repository, whatever its tag.
fn runs(definition: &Value, reference: &ImageReference) -> bool {
    let place = |image: &ImageReference| {
        let ImageReference { registry, repository, .. } = image.normalized();
        (registry, repository)
    };
    let images = items(&definition["containerDefinitions"]).iter().filter_map(|container| container["image"].as_str());
    images.filter_map(|image| image.parse().ok()).any(|image| place(&image) == place(reference))
}

fn ambiguous(reference: &ImageReference, family: &str, revision: &str, is_there: bool) -> String {
    let image = reference.normalized();
    let first = match is_there {
        true => format!("{family}:{revision} is a task definition; run it with --definition"),
        false => format!("task definition family {family} exists but has no revision {revision}"),
    };
    format!("{first}; give the full image name, {image}, to mean the image")
}

async fn until_begun(session: &Session, cluster: &str, arn: &str) -> Result<Value> {
    tokio::select! {
        begun = until(session, cluster, last(arn), |status| matches!(status, "RUNNING" | "STOPPED")) => begun,
        never = tell_waits(session, cluster, arn) => match never {},
    }
}

/// Says beside the output what a task waits for that takes its time, whenever that is something new.
async fn tell_waits(session: &Session, cluster: &str, arn: &str) -> Infallible {
    let mut before = None;
    loop {
        tokio::time::sleep(TELL_INTERVAL).await;
        // A server that does not answer is told of by whoever asks for the task.
        let story = events::story(session, cluster, arn).await.unwrap_or_default();
        let said = Some(waits(last(arn), story.last()));
        if said != before {
            eprintln!("{}", said.as_deref().unwrap_or_default());
            before = said;
        }
    }
}

fn waits(id: &str, newest: Option<&Value>) -> String {
    let newest = newest.map_or_else(
        || "nothing is known of it yet".to_owned(),
        |event| format!("{}: {}", events::what(event), event["text"].as_str().unwrap_or_default()),
    );
    format!("task {id} does not run yet; {newest} (`longshore events {id}` tells all)")
}

async fn until(session: &Session, cluster: &str, task: &str, reached: impl Fn(&str) -> bool) -> Result<Value> {
    let mut pauses = Pauses::default();
    loop {
        let state = task::describe(session, cluster, task).await?;
        if reached(state["lastStatus"].as_str().context("the task has no status")?) {
            return Ok(state);
        }
        pauses.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_like_a_revision_is_said_to() {
        let reference: ImageReference = "base:77".parse().expect("a reference");
        let absent = "task definition family base exists but has no revision 77; give the full image name, docker.io/library/base:77, to mean the image";
        assert_eq!(ambiguous(&reference, "base", "77", false), absent);
        assert!(ambiguous(&reference, "base", "77", true).starts_with("base:77 is a task definition; run it with -"));
        let definition = |image: &str| json!({ "containerDefinitions": [{ "image": image }] });
        assert!(runs(&definition("docker.io/library/base:3"), &reference), "what `run` itself registered");
        assert!(!runs(&definition("127.0.0.1:4566/base:3"), &reference));
        assert!(!runs(&definition("other"), &reference) && !runs(&Value::Null, &reference));
    }

    #[test]
    fn what_a_task_waits_for_is_said() {
        let event = json!({ "kind": "ORDER_SENT", "text": "to the node" });
        let said = "task 1 does not run yet; ORDER_SENT: to the node (`longshore events 1` tells all)";
        assert_eq!(waits("1", Some(&event)), said);
        assert!(waits("1", None).contains("nothing is known of it yet"));
    }

    #[test]
    fn ports_and_variables_are_read_as_docker_run_has_them() {
        assert_eq!(port("8080:80"), Ok((8080, 80)));
        assert_eq!(port("80"), Ok((0, 80)));
        assert!(port("80:http").is_err());
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
