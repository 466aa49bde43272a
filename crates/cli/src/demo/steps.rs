//! A line for each step: a spinner while it lasts, a mark and its time when it is done.

use crate::say;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use oci::text::printable;
use std::time::{Duration, Instant};

const SPIN: Duration = Duration::from_millis(80);

pub struct Steps {
    bar: Option<(ProgressBar, Instant)>,
}

impl Steps {
    pub fn new() -> Self {
        Self { bar: None }
    }

    /// Begins a step.
    pub fn begin(&mut self, what: impl Into<String>) {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(what.into());
        bar.enable_steady_tick(SPIN);
        self.bar = Some((bar, Instant::now()));
    }

    /// Ends the step that runs, with what came of it.
    pub fn done(&mut self, what: impl AsRef<str>) -> Result<()> {
        let Some((bar, begun)) = self.bar.take() else { return Ok(()) };
        bar.finish_and_clear();
        say(format!("  \u{2713} {} ({} ms)", printable(what.as_ref()), begun.elapsed().as_millis()))
    }

    /// A line beneath the step that runs.
    pub fn line(&self, what: impl AsRef<str>) -> Result<()> {
        let line = format!("    {}", printable(what.as_ref()));
        match &self.bar {
            Some((bar, _)) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }
}
