//! The measured tasks, through the API as any client would.

use crate::now_ns;
use anyhow::{Context, Result, bail};
use cli::{Paths, Session, text};
use oci::builder::{BuiltImage, ImageFile, build};
use oci::image_config::ContainerConfig;
use oci::{ImageReference, Platform};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Name of the repository, the log group, the stream prefix and the container.
const NAME: &str = "bench";
/// Where the program lies in the image.
pub const PROGRAM: &str = "/first";
/// Nothing is asked for so long after RunTask: a launch is over by then, and undisturbed.
const QUIET: Duration = Duration::from_millis(200);
/// How often is asked afterwards.
const POLL: Duration = Duration::from_millis(20);
/// How long the node may clear up after a task before the next one: its container is being removed.
const SETTLE: Duration = Duration::from_millis(150);
const TASK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the container that is looked at stays, in seconds, if nobody stops it.
pub const HOLD_SECS: &str = "600";

/// Times that DescribeTasks tells, in the order in which they come about.
pub const MOMENTS: [&str; 5] = ["createdAt", "connectivityAt", "pullStartedAt", "pullStoppedAt", "startedAt"];

/// What a task may use: room for hundreds of them on a small node.
const MEMORY_MIB: u32 = 32;

/// One launch: all times in milliseconds since right before RunTask was called.
pub struct Launch {
    pub answered: f64,
    pub first_instruction: f64,
    pub moments: [f64; MOMENTS.len()],
}

impl Launch {
    /// One of [`MOMENTS`]; NaN for another.
    pub fn moment(&self, name: &str) -> f64 {
        MOMENTS.iter().position(|moment| *moment == name).map_or(f64::NAN, |index| self.moments[index])
    }
}

pub struct Tasks {
    runtime: Runtime,
    session: Session,
}

impl Tasks {
    pub fn of(paths: &Paths) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, session: Session::open(paths)? })
    }

    fn call(&self, service: &str, operation: &str, input: &Value) -> Result<Value> {
        let answer = self.runtime.block_on(self.session.aws.call(service, operation, input));
        answer.with_context(|| format!("{service} {operation} failed"))
    }

    /// Pushes an image that holds `program` alone; answers how a task names it.
    pub fn push(&self, program: Vec<u8>) -> Result<String> {
        self.push_built(image_of(program, Vec::new())?, "first")
    }

    /// Pushes an image that [`image_of`] made.
    pub fn push_built(&self, image: BuiltImage, tag: &str) -> Result<String> {
        self.runtime.block_on(async {
            let reference: ImageReference = format!("{}:{tag}", self.session.repository(NAME).await?).parse()?;
            cli::send_image(&self.session.registry().await?, &reference, image).await?;
            Ok(reference.to_string())
        })
    }

    /// Registers the task definition of a network mode; answers its ARN.
    pub fn register(&self, network_mode: &str, image: &str) -> Result<String> {
        let container = json!({
            "name": NAME,
            "image": image,
            "memory": MEMORY_MIB,
            "stopTimeout": 2,
            "logConfiguration": { "logDriver": "awslogs", "options": {
                "awslogs-group": NAME,
                "awslogs-region": self.session.endpoint.region,
                "awslogs-stream-prefix": NAME,
                "awslogs-create-group": "true",
            } },
        });
        let family = format!("{NAME}-{network_mode}");
        let input = json!({ "family": family, "networkMode": network_mode, "containerDefinitions": [container] });
        let made = self.call("ecs", "RegisterTaskDefinition", &input)?;
        text(&made["taskDefinition"]["taskDefinitionArn"])
    }

    /// Runs a task to its end and reads when it began.
    pub fn launch(&self, definition: &str) -> Result<Launch> {
        let input = json!({ "cluster": self.session.endpoint.cluster, "taskDefinition": definition });
        let asked_ns = now_ns();
        let answer = self.call("ecs", "RunTask", &input)?;
        let answered_ns = now_ns();
        std::thread::sleep(QUIET);
        let task = placed(&answer)?;
        let ended = self.stopped(&task)?;
        let first_ns = self.printed(&task, &ended)?;
        std::thread::sleep(SETTLE);
        let since = |ns: i64| (ns - asked_ns) as f64 / 1e6;
        let at = |moment: &str| ended[moment].as_f64().map_or(f64::NAN, |secs| secs * 1e3 - asked_ns as f64 / 1e6);
        Ok(Launch { answered: since(answered_ns), first_instruction: since(first_ns), moments: MOMENTS.map(at) })
    }

    /// Starts `count` tasks, at most ten, that end at once or stay; answers their ARNs.
    pub fn start(&self, definition: &str, count: usize, stay: bool) -> Result<Vec<String>> {
        let mut input =
            json!({ "cluster": self.session.endpoint.cluster, "taskDefinition": definition, "count": count });
        if stay {
            input["overrides"] = staying();
        }
        let answer = self.call("ecs", "RunTask", &input)?;
        placed(&answer)?;
        answer["tasks"].as_array().into_iter().flatten().map(|task| text(&task["taskArn"])).collect()
    }

    /// The tasks as DescribeTasks tells them, at most a hundred.
    pub fn states(&self, tasks: &[String]) -> Result<Vec<Value>> {
        let mut answer =
            self.call("ecs", "DescribeTasks", &json!({ "cluster": self.session.endpoint.cluster, "tasks": tasks }))?;
        Ok(answer["tasks"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Runs a task that stays; answers its ARN once its program has begun.
    pub fn hold(&self, definition: &str) -> Result<String> {
        let input =
            json!({ "cluster": self.session.endpoint.cluster, "taskDefinition": definition, "overrides": staying() });
        let task = placed(&self.call("ecs", "RunTask", &input)?)?;
        self.until(&task, |state| state["lastStatus"] == "RUNNING")?;
        Ok(task)
    }

    pub fn stop(&self, task: &str) -> Result<()> {
        self.call("ecs", "StopTask", &json!({ "cluster": self.session.endpoint.cluster, "task": task }))?;
        self.stopped(task)?;
        std::thread::sleep(SETTLE);
        Ok(())
    }

    fn stopped(&self, task: &str) -> Result<Value> {
        self.until(task, |state| state["lastStatus"] == "STOPPED")
    }

    fn until(&self, task: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let input = json!({ "cluster": self.session.endpoint.cluster, "tasks": [task] });
            let mut answer = self.call("ecs", "DescribeTasks", &input)?;
            let state = answer["tasks"][0].take();
            if wanted(&state) {
                return Ok(state);
            }
            if state["lastStatus"] == "STOPPED" || begun.elapsed() > TASK_TIMEOUT {
                bail!("the task came to nothing: {state:#}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// The time that the task's program printed.
    fn printed(&self, task: &str, state: &Value) -> Result<i64> {
        let id = task.rsplit('/').next().unwrap_or(task);
        let stream = format!("{NAME}/{NAME}/{id}");
        let input = json!({ "logGroupName": NAME, "logStreamName": stream, "startFromHead": true });
        let begun = Instant::now();
        while begun.elapsed() < TASK_TIMEOUT {
            let page = self.runtime.block_on(self.session.aws.call("logs", "GetLogEvents", &input));
            if let Some(line) = page.as_ref().ok().and_then(|page| page["events"][0]["message"].as_str()) {
                return line.trim().parse().with_context(|| format!("the program printed {line:?}"));
            }
            std::thread::sleep(POLL);
        }
        bail!("nothing of the program's output arrived in {stream}; the task: {state:#}")
    }
}

/// An image of the program that containers run, and more beside it.
pub fn image_of(program: Vec<u8>, mut more: Vec<ImageFile>) -> Result<BuiltImage> {
    more.push(ImageFile { path: PROGRAM.trim_start_matches('/').to_owned(), content: program, mode: 0o755 });
    let config = ContainerConfig { cmd: vec![PROGRAM.to_owned()], ..ContainerConfig::default() };
    Ok(build(&more, config, &Platform::of_this_machine())?)
}

/// What makes a task stay.
fn staying() -> Value {
    json!({ "containerOverrides": [{ "name": NAME, "command": [PROGRAM, HOLD_SECS] }] })
}

fn placed(answer: &Value) -> Result<String> {
    if let Some(failure) = answer["failures"].get(0) {
        bail!("the task was not placed: {failure}");
    }
    text(&answer["tasks"][0]["taskArn"])
}
