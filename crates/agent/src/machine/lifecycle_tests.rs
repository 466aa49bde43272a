//! Order of start and stop, health, restarts, and the story they make; orders that the disk has no room for.

use super::tests::{Script, show};
use super::*;
use crate::order::{Condition, ContainerOrder, Dependency, HealthCheck, RestartPolicy};
use crate::task::{HealthStatus, Stage};
use std::sync::Arc;

const TASK: &str = "arn:aws:ecs:r:1:task/c/t1";

fn container(name: &str, needs: &[(&str, Condition)]) -> ContainerOrder {
    let on =
        |(name, condition): &(&str, Condition)| Dependency { container: (*name).to_owned(), condition: *condition };
    ContainerOrder {
        name: name.to_owned(),
        essential: true,
        stop_timeout_s: 30,
        depends_on: needs.iter().map(on).collect(),
        ..ContainerOrder::default()
    }
}

fn side(order: ContainerOrder) -> ContainerOrder {
    ContainerOrder { essential: false, ..order }
}

fn checked(order: ContainerOrder) -> ContainerOrder {
    let check = HealthCheck {
        args: vec!["check".to_owned()],
        interval_ms: 10_000,
        timeout_ms: 5_000,
        retries: 2,
        start_period_ms: 0,
    };
    ContainerOrder { health_check: Some(check), ..order }
}

fn restarted(order: ContainerOrder) -> ContainerOrder {
    ContainerOrder { restart: Some(RestartPolicy { ignored_exit_codes: vec![0], attempt_period_s: 60 }), ..order }
}

/// A machine with one task; containers come as far as a test says.
struct Play {
    machine: Machine,
    now: Timestamp,
    story: Vec<String>,
}

impl Play {
    /// The task's images are here, and its order is on disk.
    fn new(containers: Vec<ContainerOrder>) -> Self {
        let order = TaskOrder { arn: TASK.to_owned(), cluster: "c".to_owned(), containers, ..TaskOrder::default() };
        let names: Vec<String> = order.containers.iter().map(|container| container.name.clone()).collect();
        let mut play =
            Self { machine: Machine::new(Names::new([1; 16])), now: Timestamp::from_secs(100), story: Vec::new() };
        play.step(Event::Payload { message: "m".to_owned(), orders: vec![(order, Desired::Running)] });
        play.step(Event::Noted { task: TASK.to_owned() });
        play.story.clear();
        for name in names {
            play.says(&name, Change::Pulled { digest: "sha256:1".to_owned(), fetched: None });
        }
        play
    }

    /// Feeds an event; answers what is done with containers, and when to wake.
    fn step(&mut self, event: Event) -> Vec<String> {
        let commands = self.machine.step(event, self.now);
        self.story.extend(self.machine.take_story().into_iter().map(|event| {
            format!("{} {}", event.container.unwrap_or_default(), event.kind.unwrap_or_default()).trim().to_owned()
        }));
        let shown = commands.iter().filter(|command| matches!(command, Command::Do { .. } | Command::WakeAt(_)));
        shown.map(show).collect()
    }

    fn says(&mut self, container: &str, change: Change) -> Vec<String> {
        let at = At { task: TASK.to_owned(), container: container.to_owned() };
        self.step(Event::Container { at, change })
    }

    fn starts(&mut self, container: &str) -> Vec<String> {
        self.says(container, Change::Created { bindings: Vec::new() });
        self.says(container, Change::Started)
    }

    fn exits(&mut self, container: &str, code: i32) -> Vec<String> {
        self.says(container, Change::Exited(Exit { code: Some(code), ..Exit::default() }))
    }

    fn probed(&mut self, container: &str, code: Option<i32>) -> Vec<String> {
        let probe = Probe { began: self.now, code, output: "out".to_owned() };
        self.says(container, Change::Probed(probe))
    }

    fn wait(&mut self, seconds: i64) -> Vec<String> {
        self.now = self.now.plus_secs(seconds);
        self.step(Event::Tick)
    }

    fn task(&self) -> &Task {
        self.machine.task(TASK).expect("a task")
    }

    fn reason(&self, container: &str) -> (Stage, Option<i32>, Option<&str>) {
        let container = self.task().container(container).expect("a container");
        (container.stage, container.exit_code, container.reason.as_deref())
    }
}

#[test]
fn containers_are_made_in_the_order_of_their_dependencies() {
    let mut play = Play::new(vec![
        container("web", &[("db", Condition::Start), ("migrate", Condition::Success)]),
        side(container("migrate", &[("db", Condition::Healthy)])),
        checked(container("db", &[])),
    ]);
    assert_eq!(play.starts("db"), ["wake 110"], "nobody else yet");
    assert_eq!(play.wait(10), ["probe db"]);
    assert_eq!(play.probed("db", Some(1)), ["wake 120"]);
    assert_eq!(play.wait(10), ["probe db"]);
    assert_eq!(play.probed("db", Some(0)), ["create migrate", "wake 130"]);
    assert_eq!(play.starts("migrate"), [""; 0]);
    assert_eq!(play.exits("migrate", 0), ["create web", "drain migrate"]);
    assert_eq!(
        play.story,
        [
            "web PULLED",
            "web WAITING",
            "migrate PULLED",
            "migrate WAITING",
            "db PULLED",
            "db CREATED",
            "db STARTED",
            "db HEALTH_CHECK_FAILED",
            "db HEALTH",
            "migrate CREATED",
            "migrate STARTED",
            "migrate EXITED",
        ]
    );
}

#[test]
fn what_others_need_is_stopped_after_them() {
    let mut play = Play::new(vec![container("db", &[]), container("web", &[("db", Condition::Start)])]);
    play.starts("db");
    play.starts("web");
    assert_eq!(play.step(Event::Stop { task: TASK.to_owned() }), ["terminate web", "wake 130"]);
    let stopping = play.task().stopping(play.now).expect("stopping");
    assert_eq!((stopping.containers.len(), stopping.kill_in_s), (2, 60), "one after the other");
    assert_eq!(play.wait(30), ["kill web"]);
    assert_eq!(play.exits("web", 137), ["terminate db", "wake 160", "drain web"]);
    assert_eq!(play.exits("db", 0), ["drain db"]);
}

#[test]
fn a_dependency_that_can_no_longer_be_met_ends_who_waits_for_it() {
    fn check(condition: Condition, end: impl FnOnce(&mut Play), expect: Option<&str>) {
        let mut play = Play::new(vec![container("web", &[("job", condition)]), side(checked(container("job", &[])))]);
        end(&mut play);
        let (stage, code, reason) = play.reason("web");
        assert_eq!(
            reason.map(|reason| reason.trim_start_matches("CannotStartContainerError: dependency graph: ")),
            expect
        );
        let ended = (stage == Stage::Stopped, code, play.task().desired == Desired::Stopped);
        assert_eq!(ended, if expect.is_some() { (true, Some(143), true) } else { (false, None, false) });
    }
    fn exit(code: i32) -> impl FnOnce(&mut Play) {
        move |play| {
            play.starts("job");
            play.exits("job", code);
        }
    }
    fn fail(play: &mut Play) {
        play.says("job", Change::Failed { reason: "CannotCreateContainerError: x".to_owned() });
    }
    let text =
        |why: &str| Some(format!("failed to resolve container ordering dependency [job] for target [web] {why}."));
    let (unsuccessful, never) =
        (text("as dependency did not exit successfully"), text("because dependency will never start"));
    check(Condition::Start, exit(1), None);
    check(Condition::Complete, exit(1), None);
    check(Condition::Success, exit(0), None);
    check(Condition::Success, exit(1), unsuccessful.as_deref());
    check(Condition::Start, fail, never.as_deref());
    check(Condition::Complete, fail, never.as_deref());
    check(Condition::Healthy, exit(0), text("because dependency ended before it was healthy").as_deref());
}

#[test]
fn a_wait_for_health_or_end_lasts_as_long_as_the_start_timeout_says() {
    let slow = ContainerOrder { start_timeout_s: Some(15), ..side(container("job", &[])) };
    let mut play = Play::new(vec![container("web", &[("job", Condition::Complete)]), slow]);
    assert_eq!(play.starts("job"), ["wake 115"]);
    assert_eq!(play.wait(14), [""; 0]);
    assert_eq!(play.wait(1), ["terminate job", "wake 145"]);
    let text = "CannotStartContainerError: dependency graph: container ordering dependency [job] for target [web] has timed out.";
    assert_eq!(play.reason("web"), (Stage::Stopped, Some(143), Some(text)));
}

#[test]
fn a_container_becomes_unhealthy_and_healthy_again() {
    let mut play = Play::new(vec![checked(container("web", &[]))]);
    play.starts("web");
    let health = |play: &Play| play.task().containers[0].health.status;
    play.wait(10);
    play.probed("web", Some(0));
    assert_eq!(health(&play), HealthStatus::Healthy);
    for expect in [HealthStatus::Healthy, HealthStatus::Unhealthy] {
        assert_eq!(play.wait(10), ["probe web"]);
        assert_eq!(play.wait(1), [""; 0], "one check at a time");
        play.probed("web", None);
        assert_eq!(health(&play), expect);
    }
    let revision = play.machine.snapshot(TASK).map(|(_, revision)| revision);
    play.wait(10);
    play.probed("web", Some(1));
    assert_eq!(play.machine.snapshot(TASK).map(|(_, revision)| revision), revision, "the same health is not written");
    play.wait(10);
    play.probed("web", Some(0));
    assert_eq!(health(&play), HealthStatus::Healthy);
    assert_eq!(play.story[3..], ["web HEALTH", "web HEALTH_CHECK_FAILED", "web HEALTH", "web HEALTH"]);
    let order = Arc::clone(&play.task().order);
    let (saved, now) = (vec![Task { order, ..play.task().clone() }], play.now);
    let mut next = Machine::new(Names::new([2; 16]));
    next.restore(saved, now);
    let told: Vec<_> = next.take_story().into_iter().filter_map(|event| event.health).collect();
    assert_eq!(told, ["HEALTHY"], "who takes over tells it again");
}

#[test]
fn a_container_with_a_restart_policy_is_started_again_in_place() {
    let mut play = Play::new(vec![restarted(checked(container("web", &[])))]);
    play.starts("web");
    play.wait(10);
    play.probed("web", Some(0));
    play.wait(50);
    assert_eq!(play.exits("web", 3), ["restart web"]);
    let web = &play.task().containers[0];
    assert_eq!(
        (web.stage, web.health.status, play.task().desired),
        (Stage::Running, HealthStatus::Unknown, Desired::Running)
    );
    assert_eq!(play.says("web", Change::Started), ["wake 170"], "checks begin anew");
    assert_eq!((play.task().containers[0].restarts, play.task().containers[0].exit_code), (1, None));
    play.wait(59);
    assert_eq!(play.exits("web", 4), ["drain web"], "too soon after the last start");
    assert_eq!(play.reason("web"), (Stage::Stopped, Some(4), None));
    assert_eq!(
        play.story[3..],
        ["web HEALTH", "web RESTARTING", "web HEALTH", "web RESTARTED", "web EXITED", "ENDING"]
    );
}

#[test]
fn a_container_is_not_started_again_when_its_policy_or_the_task_says_no() {
    let play = || {
        let mut play = Play::new(vec![restarted(side(container("web", &[]))), container("db", &[])]);
        play.starts("web");
        play.starts("db");
        play.wait(60);
        play
    };
    assert_eq!(play().exits("web", 0), ["drain web"], "an ignored code");
    assert_eq!(play().exits("web", 1), ["restart web"]);
    let mut stopped = play();
    stopped.step(Event::Stop { task: TASK.to_owned() });
    assert_eq!(stopped.exits("web", 1), ["drain web"]);
    let mut failed = play();
    failed.exits("web", 1);
    failed.says("web", Change::Failed { reason: "CannotStartContainerError: x".to_owned() });
    assert_eq!(failed.reason("web"), (Stage::Stopped, Some(1), Some("CannotStartContainerError: x")));
    let mut meanwhile = play();
    meanwhile.exits("web", 1);
    assert_eq!(meanwhile.step(Event::Stop { task: TASK.to_owned() }), ["terminate db", "wake 190"]);
    assert_eq!(meanwhile.says("web", Change::Started), ["terminate web", "wake 190"], "it starts first");
}

#[test]
fn an_order_that_the_disk_has_no_room_for_is_given_up_unless_it_was_noted() {
    let told = "submit Stopped [web Stopped 'ResourceInitializationError: the node's disk has no room to keep the \
                task: full'] because ResourceInitializationError: the node's disk has no room to keep the task: full";
    Script::new()
        .check("payload m1 web", &["persist", "pull web"])
        .check("no-room", &["persist", told])
        .check("web pulled", &[])
        .check("submitted", &["forget", "ack m1"]);
    Script::new()
        .after(&["payload m1 web", "web pulled"])
        .check("no-room", &["persist"])
        .check("web created", &["persist", "release web"])
        .check("web released", &[told])
        .check("submitted", &["forget", "ack m1"]);
    Script::new()
        .after(&["payload m1 web", "web pulled", "web created", "noted"])
        .check("no-room", &[])
        .check("web started", &["submit Running [web Running]"]);
}
