use super::*;
use crate::order::ContainerOrder;
use crate::task::Reported;
use proptest::prelude::*;
use std::collections::BTreeSet;

const TASK: &str = "arn:aws:ecs:r:1:task/c/t1";
const STOP_TIMEOUT_S: i64 = 30;

/// A machine with one task, driven and shown in short words.
pub(super) struct Script {
    machine: Machine,
    now: Timestamp,
}

fn at(task: &str, container: &str) -> At {
    At { task: task.to_owned(), container: container.to_owned() }
}

/// An order for containers `name` (essential) or `name?` (not).
fn order(arn: &str, containers: &[&str]) -> TaskOrder {
    let container = |text: &&str| ContainerOrder {
        name: text.trim_end_matches('?').to_owned(),
        essential: !text.ends_with('?'),
        stop_timeout_s: STOP_TIMEOUT_S,
        ..ContainerOrder::default()
    };
    TaskOrder {
        arn: arn.to_owned(),
        cluster: "c".to_owned(),
        containers: containers.iter().map(container).collect(),
        ..TaskOrder::default()
    }
}

pub(super) fn show(command: &Command) -> String {
    match command {
        Command::Persist { .. } => "persist".to_owned(),
        Command::Acknowledge { message } => format!("ack {message}"),
        Command::Do { at, action } => format!("{} {}", format!("{action:?}").to_lowercase(), at.container),
        Command::Submit { report, .. } => format!("submit {}", show_report(report)),
        Command::Forget { .. } => "forget".to_owned(),
        Command::WakeAt(at) => format!("wake {}", at.as_secs()),
    }
}

fn show_report(report: &Report) -> String {
    match report {
        Report::Task(report) => {
            let containers: Vec<_> = report.containers.iter().map(show_container).collect();
            let reason = report.reason.as_ref().map(|reason| format!(" because {reason}")).unwrap_or_default();
            format!("{:?} [{}]{reason}", report.status, containers.join(", "))
        }
        Report::Container(report) => format!("container {}", show_container(report)),
    }
}

fn show_container(report: &ContainerReport) -> String {
    let code = report.exit_code.map(|code| format!(" {code}")).unwrap_or_default();
    let reason = report.reason.as_ref().map(|reason| format!(" '{reason}'")).unwrap_or_default();
    format!("{} {:?}{code}{reason}", report.name, report.status)
}

impl Script {
    pub(super) fn new() -> Self {
        Self { machine: Machine::new(Names::new([1; 16])), now: Timestamp::from_secs(100) }
    }

    /// `payload M name name?`, `stop M name`, `noted`, `persisted`, `submitted`, `wait S`, or `name change`.
    fn event(&mut self, text: &str) -> Event {
        let words: Vec<&str> = text.split(' ').collect();
        let task = TASK.to_owned();
        match words[..] {
            ["payload", message, ref containers @ ..] => Event::Payload {
                message: message.to_owned(),
                orders: vec![(order(TASK, containers), Desired::Running)],
            },
            ["stop", message, ref containers @ ..] => Event::Payload {
                message: message.to_owned(),
                orders: vec![(order(TASK, containers), Desired::Stopped)],
            },
            ["taken-down"] => Event::HostStop { task },
            ["killed"] => Event::HostKill { task },
            ["must-stop"] => Event::Stop { task },
            ["noted"] => Event::Noted { task },
            ["persisted"] => {
                let revision = self.machine.snapshot(TASK).map(|(_, revision)| revision).expect("a task");
                Event::Persisted { task, revision }
            }
            ["no-room"] => Event::Unwritable { task, why: "full".to_owned() },
            ["submitted"] => Event::Submitted { task },
            ["wait", seconds] => {
                self.now = self.now.plus_secs(seconds.parse().expect("seconds"));
                Event::Tick
            }
            [container, ref change @ ..] => Event::Container { at: at(TASK, container), change: change_of(change) },
            [] => unreachable!("split gives at least one word"),
        }
    }

    /// Feeds one event and compares the commands, one a line.
    pub(super) fn check(&mut self, event: &str, expect: &[&str]) -> &mut Self {
        let input = self.event(event);
        let commands: Vec<String> = self.machine.step(input, self.now).iter().map(show).collect();
        assert_eq!(commands, expect, "after '{event}'");
        self
    }

    /// Feeds events whose commands another test shows.
    pub(super) fn after(&mut self, events: &[&str]) -> &mut Self {
        for event in events {
            let input = self.event(event);
            self.machine.step(input, self.now);
        }
        self
    }

    /// Another process takes over what is on disk.
    fn restart(&mut self, expect: &[&str]) -> &mut Self {
        let saved: Vec<Task> = self.machine.tasks().cloned().collect();
        self.machine = Machine::new(Names::new([2; 16]));
        let commands: Vec<String> = self.machine.restore(saved, self.now).iter().map(show).collect();
        assert_eq!(commands, expect, "after a restart");
        self
    }
}

fn change_of(words: &[&str]) -> Change {
    let exit = |code: &str| Exit { code: code.parse().ok(), ..Exit::default() };
    match words {
        ["resolved"] => Change::Resolved { digest: "sha256:1".to_owned(), bytes: 5 },
        ["pulled"] => Change::Pulled { digest: "sha256:1".to_owned(), fetched: None },
        ["created"] => Change::Created { bindings: Vec::new() },
        ["started"] => Change::Started,
        ["exited", code] => Change::Exited(exit(code)),
        ["oom"] => {
            Change::Exited(Exit { code: Some(137), reason: Some("OutOfMemoryError: x".to_owned()), ..Exit::default() })
        }
        ["overdue"] => Change::LogsOverdue,
        ["shipped"] => Change::LogsShipped,
        ["released"] => Change::Released,
        ["found", "nothing"] => Change::Found(Found::Nothing),
        ["found", "running"] => Change::Found(Found::Running),
        ["found", "exited", code] => Change::Found(Found::Exited(exit(code))),
        ["failed", reason @ ..] => Change::Failed { reason: reason.join(" ") },
        _ => panic!("no change {words:?}"),
    }
}

#[test]
fn a_task_runs_and_ends() {
    Script::new()
        .check("payload m1 web", &["persist", "pull web"])
        .check("web pulled", &["create web"])
        .check("web created", &[])
        .check("persisted", &["ack m1", "start web"])
        .check("web started", &["submit Running [web Running]"])
        .check("submitted", &["persist"])
        .check("web exited 3", &["persist", "drain web"])
        .check("persisted", &[])
        .check("web shipped", &["release web", "submit Stopped [web Stopped 3]"])
        .check("submitted", &["persist"])
        .check("web released", &["forget"])
        .check("payload m2 web", &["ack m2"]);
}

#[test]
fn nothing_starts_before_its_order_is_noted_or_is_acknowledged_before_it_is_durable() {
    Script::new()
        .check("payload m1 web", &["persist", "pull web"])
        .check("web pulled", &["create web"])
        .check("web created", &[])
        .check("wait 1", &[])
        .check("payload m2 web", &[])
        .check("noted", &["start web"])
        .check("persisted", &["ack m1", "ack m2"]);
}

#[test]
fn a_slow_pull_is_reported_pending() {
    Script::new()
        .after(&["payload m1 web", "persisted"])
        .check("web resolved", &["submit Pending [web Pending]"])
        .check("submitted", &["persist"])
        .check("web pulled", &["create web"]);
}

#[test]
fn running_is_told_before_stopped_however_short_it_was() {
    Script::new()
        .after(&["payload m1 web", "persisted", "web pulled", "web created"])
        .check("web exited 0", &["persist", "drain web", "submit Running [web Running]"])
        .check("web started", &[])
        .check("web shipped", &[])
        .check("persisted", &["release web"])
        .check("submitted", &["persist"])
        .check("persisted", &["submit Stopped [web Stopped 0]"]);
}

#[test]
fn an_essential_exit_stops_the_rest() {
    Script::new()
        .after(&["payload m1 web side? log?", "persisted", "web pulled", "side pulled", "web created", "side created"])
        .after(&["web started", "side started"])
        .check("web exited 1", &["persist", "drain web", "terminate side", "wake 130"])
        .check("log pulled", &[])
        .check("persisted", &[])
        .check("wait 29", &[])
        .check("wait 1", &["kill side"])
        .check("wait 1", &[])
        .check("side exited 137", &["persist", "drain side"])
        .after(&["persisted", "web shipped"])
        .check("side overdue", &["submit Stopped [web Stopped 1, side Stopped 137, log Stopped]"])
        .check("submitted", &["persist"])
        .check("side shipped", &["release side"]);
}

#[test]
fn a_container_that_is_not_essential_ends_alone() {
    Script::new()
        .after(&["payload m1 web side?", "persisted", "web pulled", "side pulled", "web created", "side created"])
        .after(&["web started"])
        .check("side started", &["submit Running [web Running, side Running]"])
        .after(&["submitted", "side exited 0", "persisted"])
        .check("side shipped", &["release side", "submit container side Stopped 0"])
        .check("submitted", &["persist"])
        .check("wait 1", &[])
        .check("web exited 0", &["persist", "drain web"]);
}

#[test]
fn a_stop_order_ends_what_is_at_any_stage() {
    fn check(before: &[&str], expect: &[&str]) {
        Script::new().after(&["payload m1 web"]).after(before).check("stop m2 web", expect);
    }
    check(&[], &["persist"]);
    check(&["persisted"], &["persist"]);
    check(&["persisted", "web pulled"], &["persist"]);
    check(&["persisted", "web pulled", "web created"], &["persist"]);
    check(&["persisted", "web pulled", "web created", "web started"], &["persist", "terminate web", "wake 130"]);
}

#[test]
fn work_that_is_out_when_a_stop_comes_is_seen_to_its_end() {
    Script::new()
        .after(&["payload m1 web", "persisted", "web pulled", "stop m2 web"])
        .check("web created", &["persist"])
        .check("persisted", &["ack m2", "release web"])
        .check("web released", &["submit Stopped [web Stopped]"]);
    Script::new()
        .after(&["payload m1 web", "persisted", "web pulled", "web created", "stop m2 web"])
        .check("web started", &["persist", "terminate web", "wake 130", "submit Running [web Running]"]);
}

#[test]
fn failures_carry_their_reasons() {
    Script::new()
        .after(&["payload m1 web", "persisted"])
        .after(&["web failed CannotPullContainerError: no such image"])
        .check("persisted", &[
            "submit Stopped [web Stopped 'CannotPullContainerError: no such image'] because CannotPullContainerError: no such image",
        ]);
    Script::new()
        .after(&["payload m1 web", "persisted", "web pulled", "web created", "web failed CannotStartContainerError: x"])
        .check("persisted", &["release web"])
        .check(
            "web released",
            &["submit Stopped [web Stopped 'CannotStartContainerError: x'] because CannotStartContainerError: x"],
        );
    Script::new()
        .after(&["payload m1 web", "persisted", "web pulled", "web created", "web started", "submitted", "web oom"])
        .after(&["persisted"])
        .check("web shipped", &["release web", "submit Stopped [web Stopped 137 'OutOfMemoryError: x']"]);
}

#[test]
fn what_this_agent_cannot_do_is_accepted_and_ended() {
    let mut script = Script::new();
    let refusal = Some("CannotCreateContainerError: no".to_owned());
    let mut refused = TaskOrder { refusal: refusal.clone(), ..order(TASK, &["web"]) };
    refused.containers[0].refusal = refusal;
    let event = Event::Payload { message: "m1".to_owned(), orders: vec![(refused, Desired::Running)] };
    let commands: Vec<String> = script.machine.step(event, script.now).iter().map(show).collect();
    assert_eq!(commands, ["persist"]);
    script
        .check(
            "persisted",
            &[
                "ack m1",
                "submit Stopped [web Stopped 'CannotCreateContainerError: no'] because CannotCreateContainerError: no",
            ],
        )
        .check("submitted", &["forget"]);
}

#[test]
fn a_stop_for_a_task_that_never_came_is_reported() {
    Script::new()
        .check("stop m1 web", &["persist"])
        .check("persisted", &["ack m1", "submit Stopped [web Stopped]"])
        .check("submitted", &["forget"]);
}

#[test]
fn after_a_restart_the_drivers_are_asked_first() {
    let running = &["payload m1 web", "persisted", "web pulled", "web created", "web started", "submitted"];
    Script::new().after(running).restart(&["look web"]).check("wait 1", &[]).check("web found running", &[]);
    Script::new().after(running).restart(&["look web"]).check("web found exited 4", &["persist", "drain web"]);
    Script::new().after(running).restart(&["look web"]).check("web found nothing", &["persist", "drain web"]);
    Script::new()
        .after(&running[..3])
        .restart(&["look web"])
        .check("web found running", &["submit Running [web Running]"]);
    Script::new().after(&running[..3]).restart(&["look web"]).check("web found nothing", &["pull web"]);
    Script::new()
        .after(running)
        .after(&["must-stop"])
        .restart(&["wake 130", "look web"])
        .check("web found running", &[])
        .check("wait 30", &["kill web"]);
}

#[test]
fn what_ends_with_its_node_says_so_however_often_the_end_breaks_off() {
    let running = &["payload m1 web log", "persisted", "web pulled", "log pulled", "web created", "log created"];
    Script::new()
        .after(running)
        .after(&["web started", "log started", "submitted"])
        .restart(&["look web", "look log"])
        .check("taken-down", &["persist"])
        .check("web found running", &["persist", "terminate web", "wake 130"])
        .check("log found running", &["persist", "terminate log", "wake 130"])
        .check("web exited 143", &["persist", "drain web"])
        .restart(&["wake 130", "wake 130", "look web", "look log"])
        .check("web found exited 143", &["drain web"])
        .check("log found running", &[])
        .after(&["persisted", "web shipped"])
        .check("log exited 0", &["persist", "drain log"])
        .after(&["persisted"])
        .check("log shipped", &["release log", "submit Stopped [web Stopped 143, log Stopped 0] because HostStopped"]);
    Script::new()
        .after(&["payload m1 web", "persisted", "taken-down"])
        .check("persisted", &["submit Stopped [web Stopped] because HostStopped"]);
}

#[test]
fn an_end_at_once_waits_for_nothing() {
    let mut script = Script::new();
    script
        .after(&["payload m1 web log", "persisted", "web pulled", "log pulled", "web created", "log created"])
        .after(&["web started", "log started", "submitted", "persisted"])
        .check("killed", &["persist", "kill web", "kill log"])
        .check("web exited 137", &["persist", "release web", "submit container web Stopped 137"]);
    assert!(!script.machine.is_still());
    script.after(&["log exited 137", "web released", "log released"]);
    assert!(script.machine.is_still());
    let mut script = Script::new();
    script.after(&["payload m1 web", "web pulled", "killed"]);
    assert!(!script.machine.is_still(), "what is being made is let come to its end");
    script.check("web created", &["persist", "release web"]).after(&["web released"]);
    assert!(script.machine.is_still());
}

#[test]
fn what_ended_before_its_node_was_taken_down_did_not_end_with_it() {
    let running = &["payload m1 web", "persisted", "web pulled", "web created", "web started", "submitted"];
    for end in ["web found exited 3", "web found nothing"] {
        let mut script = Script::new();
        script.after(running).restart(&["look web"]).after(&["taken-down", end]);
        assert!(!script.machine.task(TASK).expect("a task").host_stopped, "{end}");
    }
    let mut script = Script::new();
    script.after(running).after(&["must-stop", "taken-down"]);
    assert!(!script.machine.task(TASK).expect("a task").host_stopped, "it was asked to stop before");
}

#[test]
fn a_task_is_waited_for_once_all_that_runs_was_asked_to_end() {
    let mut script = Script::new();
    script.after(&["payload m1 web log", "persisted", "web pulled", "log pulled", "web created", "log created"]);
    script.after(&["web started", "log started"]);
    let stopping = |script: &Script| script.machine.task(TASK).expect("a task").stopping(script.now.plus_millis(1));
    assert_eq!(stopping(&script), None);
    script.after(&["taken-down"]);
    let waited = stopping(&script).expect("waited for");
    assert_eq!((waited.containers, waited.kill_in_s), (vec!["web".to_owned(), "log".to_owned()], STOP_TIMEOUT_S));
    script.after(&["web exited 0", "wait 40"]);
    let waited = stopping(&script).expect("waited for");
    assert_eq!((waited.containers, waited.kill_in_s), (vec!["log".to_owned()], 0));
    script.after(&["log exited 137"]);
    assert_eq!(stopping(&script), None);
}

/// Answers a machine's commands in an order that the test's random numbers choose, with restarts,
/// failures and exits between them, and watches what must hold.
struct World {
    machine: Machine,
    tasks: Vec<String>,
    /// Commands not answered yet.
    open: Vec<Command>,
    starts: BTreeSet<At>,
    ended: BTreeSet<At>,
    stopped: BTreeSet<String>,
    disk: BTreeMap<String, (Task, u64)>,
    now: Timestamp,
}

impl World {
    fn new(tasks: &[Vec<bool>]) -> Self {
        let mut world = Self {
            machine: Machine::new(Names::new([3; 16])),
            tasks: Vec::new(),
            open: Vec::new(),
            starts: BTreeSet::new(),
            ended: BTreeSet::new(),
            stopped: BTreeSet::new(),
            disk: BTreeMap::new(),
            now: Timestamp::default(),
        };
        for (number, essential) in tasks.iter().enumerate() {
            let arn = format!("arn:aws:ecs:r:1:task/c/{number}");
            let names: Vec<String> = (0..essential.len())
                .map(|index| format!("c{index}{}", if essential[index] { "" } else { "?" }))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            world.tasks.push(arn.clone());
            world.feed(Event::Payload { message: arn.clone(), orders: vec![(order(&arn, &names), Desired::Running)] });
        }
        world
    }

    fn feed(&mut self, event: Event) {
        self.now = self.now.plus_millis(1);
        for command in self.machine.step(event, self.now) {
            self.watch(&command);
            self.open.push(command);
        }
    }

    fn watch(&mut self, command: &Command) {
        match command {
            Command::Do { at, action: Action::Start } => {
                assert!(self.starts.insert(at.clone()), "{at:?} is started twice");
                assert!(self.disk.contains_key(&at.task), "{at:?} is started before it is noted");
            }
            Command::Acknowledge { message } => {
                assert!(self.disk.contains_key(message) || self.stopped.contains(message));
            }
            Command::Submit { task, report: Report::Task(report) } => {
                assert!(
                    !self.stopped.contains(task) || report.status == Reported::Stopped,
                    "{task} comes back to life"
                );
                if report.status == Reported::Stopped {
                    self.stopped.insert(task.clone());
                }
            }
            _ => {}
        }
    }

    /// Answers one open command; `dice` chooses which, and how it goes.
    fn answer(&mut self, dice: u32) {
        if self.open.is_empty() {
            return;
        }
        let command = self.open.remove(dice as usize % self.open.len());
        match command {
            Command::Persist { task } => self.write(&task),
            Command::Do { at, action } => self.act_on(at, action, !dice.is_multiple_of(7)),
            Command::Submit { task, .. } => self.feed(Event::Submitted { task }),
            Command::Forget { task } => {
                self.disk.remove(&task);
            }
            Command::WakeAt(_) | Command::Acknowledge { .. } => {}
        }
    }

    fn act_on(&mut self, at: At, action: Action, lucky: bool) {
        let failed = Change::Failed { reason: "Error: dice".to_owned() };
        match action {
            Action::Look => self.look(at),
            Action::Pull if lucky => self.changed(at, Change::Pulled { digest: "sha256:1".to_owned(), fetched: None }),
            Action::Create if lucky => self.changed(at, Change::Created { bindings: Vec::new() }),
            Action::Start if lucky => self.changed(at, Change::Started),
            Action::Restart | Action::Probe => unreachable!("no order asks for it"),
            Action::Pull | Action::Create => self.changed(at, failed),
            Action::Start => {
                self.ended.insert(at.clone());
                self.changed(at, failed);
            }
            Action::Terminate if lucky => self.exit(at, 143),
            Action::Terminate => {}
            Action::Kill => self.exit(at, 137),
            Action::Drain if lucky => self.changed(at, Change::LogsShipped),
            Action::Drain => {
                self.open.push(Command::Do { at: at.clone(), action });
                self.changed(at, Change::LogsOverdue);
            }
            Action::Release => self.changed(at, Change::Released),
        }
    }

    fn write(&mut self, task: &str) {
        if let Some((saved, revision)) = self.machine.snapshot(task) {
            self.disk.insert(task.to_owned(), (saved.clone(), revision));
            self.feed(Event::Persisted { task: task.to_owned(), revision: self.disk[task].1 });
        }
    }

    fn changed(&mut self, at: At, change: Change) {
        self.feed(Event::Container { at, change });
    }

    fn exit(&mut self, at: At, code: i32) {
        if self.starts.contains(&at) {
            self.ended.insert(at.clone());
            self.changed(at, Change::Exited(Exit { code: Some(code), ..Exit::default() }));
        }
    }

    fn look(&mut self, at: At) {
        let found = match (self.starts.contains(&at), self.ended.contains(&at)) {
            (true, true) => Found::Exited(Exit { code: Some(9), ..Exit::default() }),
            (true, false) => Found::Running,
            (false, _) => Found::Nothing,
        };
        self.changed(at, Change::Found(found));
    }

    /// kill -9: what was not written is forgotten, and unacknowledged orders come again.
    fn restart(&mut self) {
        self.open.clear();
        let known: Vec<Task> = self.disk.values().map(|(task, _)| task.clone()).collect();
        self.machine = Machine::new(Names::new([self.now.as_millis() as u8; 16]));
        self.open = self.machine.restore(known, self.now);
        let lost = self.tasks.iter().filter(|arn| !self.disk.contains_key(*arn) && !self.stopped.contains(*arn));
        for arn in lost.cloned().collect::<Vec<_>>() {
            self.feed(Event::Payload { message: arn.clone(), orders: vec![(order(&arn, &["c0"]), Desired::Running)] });
        }
    }

    fn act(&mut self, action: u32, dice: u32) {
        match action {
            0..=15 => self.answer(dice),
            16 => self.restart(),
            17 => {
                self.now = self.now.plus_secs(i64::from(dice % 40));
                self.feed(Event::Tick);
            }
            18 => self.feed(Event::Stop { task: self.tasks[dice as usize % self.tasks.len()].clone() }),
            _ => {
                let task = self.tasks[dice as usize % self.tasks.len()].clone();
                self.exit(at(&task, "c0"), 0);
            }
        }
    }

    /// Everything is told to stop, answered well, and time passes.
    fn settle(&mut self) {
        for task in self.tasks.clone() {
            self.feed(Event::Stop { task });
        }
        for _ in 0..100 {
            while !self.open.is_empty() {
                self.answer(1);
            }
            self.now = self.now.plus_secs(STOP_TIMEOUT_S);
            self.feed(Event::Tick);
        }
    }
}

proptest! {
    #[test]
    fn nothing_starts_twice_stopped_is_final_and_every_task_ends_reported(
        tasks in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..4), 1..4),
        acts in proptest::collection::vec((0u32..20, any::<u32>()), 0..120),
    ) {
        let mut world = World::new(&tasks);
        for (action, dice) in acts {
            world.act(action, dice);
        }
        world.settle();
        let ended: Vec<_> = world.tasks.iter().filter(|task| world.stopped.contains(*task)).collect();
        prop_assert_eq!(ended.len(), world.tasks.len(), "every accepted task ends in a STOPPED report");
        prop_assert_eq!(world.machine.tasks().count(), 0, "and is forgotten");
        prop_assert!(world.disk.is_empty());
    }
}
