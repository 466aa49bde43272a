//! `longshore demo`: the main job before a person's eyes.
//!
//! A small image of busybox is pushed, a task definition registered, a task
//! run, its states, exit code and log shown. What is there already is used as
//! it is, so a second run only runs the task.

mod image;
mod steps;
mod task;

use crate::paths::Paths;
use crate::session::Session;
use anyhow::Result;
use steps::Steps;

/// Name of the repository, the task definition's family and the container.
const NAME: &str = "hello";

/// Where the container's output goes.
const LOG_GROUP: &str = "/longshore/hello";

/// What everything of the demo needs.
struct Demo {
    session: Session,
}

pub fn run(paths: &Paths) -> Result<()> {
    let demo = Demo { session: Session::open(paths)? };
    Session::block_on(demo.play())?;
    crate::say(format!("\nPoint the AWS CLI, SDKs and Terraform at it:\n  {}", crate::env_line(&paths.data)?))
}

impl Demo {
    async fn play(&self) -> Result<()> {
        let mut steps = Steps::new();
        let image = self.push(&mut steps).await?;
        let definition = self.register(&mut steps, &image).await?;
        let task = self.run_task(&mut steps, &definition).await?;
        self.follow(&mut steps, &task).await?;
        self.show_log(&mut steps, &task).await
    }
}
