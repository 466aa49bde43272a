//! What is told of a task beside its states: the entries of its story.

use super::{Exit, Probe};
use crate::logs::Trouble;
use crate::order::Dependency;
use crate::task::HealthStatus;
use base::Timestamp;
use std::time::Duration;
use wire::acs::TaskEvent;

fn event(task: &str, container: Option<&str>, at: Timestamp, kind: &str, text: impl Into<String>) -> TaskEvent {
    TaskEvent {
        task_arn: Some(task.to_owned()),
        at: Some(at.as_millis()),
        kind: Some(kind.to_owned()),
        container: container.map(str::to_owned),
        text: Some(text.into()),
        ..TaskEvent::default()
    }
}

pub(super) fn taken(task: &str, at: Timestamp) -> TaskEvent {
    event(task, None, at, "ORDER_TAKEN", "the node took the order")
}

/// Whoever it was that wanted the end.
pub(super) fn ending(task: &str, at: Timestamp, why: &str) -> TaskEvent {
    event(task, None, at, "ENDING", why)
}

/// Tells of one container, at one time.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub task: &'a str,
    pub container: &'a str,
    pub at: Timestamp,
}

impl Teller<'_> {
    fn tell(self, kind: &str, text: impl Into<String>) -> TaskEvent {
        event(self.task, Some(self.container), self.at, kind, text)
    }

    pub fn pulling(self, image: &str) -> TaskEvent {
        self.tell("PULL_STARTED", image)
    }

    pub fn resolved(self, digest: &str, bytes: u64) -> TaskEvent {
        let text = format!("{digest}; fetching {bytes} bytes that are not here");
        TaskEvent { bytes: Some(bytes.cast_signed()), ..self.tell("PULL_RESOLVED", text) }
    }

    pub fn fetching(self, done: u64, total: u64) -> TaskEvent {
        let text = format!("{done} of {total} bytes");
        TaskEvent { bytes: Some(done.cast_signed()), ..self.tell("PULL_PROGRESS", text) }
    }

    pub fn retrying(self, attempt: u32, why: &str, pause: Duration) -> TaskEvent {
        let pause_s = pause.as_secs_f64();
        self.tell("PULL_RETRIED", format!("attempt {attempt} failed: {why}; the next follows in {pause_s:.2} s"))
    }

    pub fn pulled(self, digest: &str, fetched: Option<u64>) -> TaskEvent {
        let text = match fetched {
            None => format!("{digest}, all of it was here"),
            Some(bytes) => format!("{digest}, {bytes} bytes fetched"),
        };
        let bytes = Some(fetched.unwrap_or_default().cast_signed());
        TaskEvent { bytes, ..self.tell("PULLED", text) }
    }

    pub fn waiting(self, on: &[Dependency]) -> TaskEvent {
        let names: Vec<_> = on.iter().map(|it| format!("{} ({})", it.container, it.condition.as_str())).collect();
        self.tell("WAITING", format!("for {}", names.join(", ")))
    }

    pub fn created(self, runtime_id: &str) -> TaskEvent {
        self.tell("CREATED", format!("runtime id {runtime_id}"))
    }

    pub fn started(self) -> TaskEvent {
        self.tell("STARTED", "its process runs")
    }

    pub fn restarting(self, exit: &Exit) -> TaskEvent {
        self.ended("RESTARTING", exit, "; its restart policy starts it again")
    }

    pub fn restarted(self, times: u32) -> TaskEvent {
        self.tell("RESTARTED", format!("its process runs; restart {times}"))
    }

    pub fn failed(self, reason: &str) -> TaskEvent {
        self.tell("FAILED", reason)
    }

    pub fn exited(self, exit: &Exit) -> TaskEvent {
        self.ended("EXITED", exit, "")
    }

    fn ended(self, kind: &str, exit: &Exit, more: &str) -> TaskEvent {
        let how = match (exit.code, exit.signal) {
            (Some(code), None) => format!("exit code {code}"),
            (Some(code), Some(signal)) => format!("ended by signal {signal}, exit code {code}"),
            (None, _) => "nobody saw its exit code".to_owned(),
        };
        let reason = exit.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        TaskEvent {
            exit_code: exit.code.map(i64::from),
            signal: exit.signal.map(i64::from),
            out_of_memory: exit.out_of_memory.then_some(true),
            ..self.tell(kind, format!("{how}{reason}{more}"))
        }
    }

    /// Its output does not come where it should.
    pub fn output_trouble(self, trouble: &Trouble) -> TaskEvent {
        match trouble {
            Trouble::Dropped { lines, bytes } => {
                let text = format!(
                    "{lines} lines ({bytes} bytes) so far: the buffer (max-buffer-size), or the disk, was full"
                );
                TaskEvent { bytes: Some(bytes.cast_signed()), ..self.tell("OUTPUT_DROPPED", text) }
            }
            Trouble::Refused { events, why } => self.tell("OUTPUT_REFUSED", format!("{events} log events: {why}")),
            Trouble::Waiting { why } => self.tell("OUTPUT_WAITS", why),
        }
    }

    pub fn stopping(self, stop_timeout_s: i64) -> TaskEvent {
        self.tell("STOPPING", format!("asked to end, killed after {stop_timeout_s} s"))
    }

    pub fn killing(self) -> TaskEvent {
        self.tell("KILLING", "it did not end when asked to: SIGKILL")
    }

    /// A check that failed and did not change the container's health.
    pub fn check_failed(self, probe: &Probe) -> TaskEvent {
        TaskEvent { exit_code: probe.code.map(i64::from), ..self.tell("HEALTH_CHECK_FAILED", said(probe)) }
    }

    /// What the container's health became by a check.
    pub fn health(self, health: HealthStatus, probe: &Probe) -> TaskEvent {
        let exit_code = probe.code.map(i64::from);
        TaskEvent { exit_code, ..self.health_is(health, said(probe)) }
    }

    /// What the container's health is, and why it is told.
    pub fn health_is(self, health: HealthStatus, why: impl Into<String>) -> TaskEvent {
        TaskEvent { health: Some(health.as_str().to_owned()), ..self.tell("HEALTH", why) }
    }
}

fn said(probe: &Probe) -> String {
    let code = probe.code.map_or_else(|| "the check failed".to_owned(), |code| format!("the check ended with {code}"));
    match probe.output.trim() {
        "" => code,
        output => format!("{code}: {output}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_tells_what_failed_and_when_the_next_follows() {
        let teller = Teller { task: "t", container: "c", at: Timestamp::default() };
        let event = teller.retrying(2, "no route", Duration::from_millis(93));
        let text = "attempt 2 failed: no route; the next follows in 0.09 s";
        assert_eq!((event.kind.as_deref(), event.text.as_deref()), (Some("PULL_RETRIED"), Some(text)));
    }
}
