use super::{ContainerReport, Observed, Report, StopCode, reported, stopped_by};
use crate::testing::{container, task};
use base::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use state::{DesiredStatus, LastStatus, NetworkBinding, PortProtocol, Task};

/// Plays a line a second upon a pending task. The first line names its containers, essential ones
/// with a star; the others are `stop REASON`, or a report: `task STATUS [host-stopped] [because REASON]` and
/// `CONTAINER STATUS [exit N] [because REASON]`, with `;` between the parts of one report.
fn played(text: &str) -> Task {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names = lines.next().expect("containers").split_whitespace();
    let mut task = task("t", 0, 0, Vec::new());
    task.containers = names.map(|name| container(name.trim_end_matches('*'), name.ends_with('*'))).collect();
    for (second, line) in (1..).zip(lines) {
        let now = Timestamp::from_secs(second);
        task = match line.strip_prefix("stop ") {
            Some(reason) => stopped_by(&task, StopCode::UserInitiated, reason, now),
            None => reported(&task, &report(line), now),
        };
    }
    task
}

fn report(line: &str) -> Report {
    let mut report = Report::default();
    for part in line.split(';') {
        let (part, reason) = match part.split_once(" because ") {
            Some((part, reason)) => (part, Some(reason.trim().to_owned())),
            None => (part, None),
        };
        let words: Vec<&str> = part.split_whitespace().collect();
        let status = words.get(1).and_then(|word| Observed::parse(word));
        let exit_code =
            words.iter().position(|word| *word == "exit").map(|at| words[at + 1].parse().expect("a number"));
        match words[0] {
            "task" => {
                (report.status, report.reason) = (status, reason);
                report.host_stopped = words.contains(&"host-stopped");
            }
            name => report.containers.push(ContainerReport {
                name: name.to_owned(),
                status,
                exit_code,
                reason,
                ..ContainerReport::default()
            }),
        }
    }
    report
}

fn shown(task: &Task) -> String {
    let containers = task.containers.iter().map(|container| {
        let exit = container.exit_code.map(|code| format!(" {code}")).unwrap_or_default();
        format!("{} {}{exit}", container.name, container.last.as_str())
    });
    let cause = task.stop_code.iter().zip(&task.stopped_reason).map(|(code, reason)| format!("{code}: {reason}"));
    let times = [
        ("connected", task.times.connectivity),
        ("started", task.times.started),
        ("stopping", task.times.stopping),
        ("ended", task.times.execution_stopped),
        ("stopped", task.times.stopped),
    ];
    let times = times.iter().filter_map(|(what, at)| at.map(|at| format!("{what} {}", at.as_secs())));
    let head = format!("{} of {} v{}", task.last.as_str(), task.desired.as_str(), task.version);
    let mut lines = vec![head, containers.collect::<Vec<_>>().join(", "), times.collect::<Vec<_>>().join(", ")];
    lines.extend(cause);
    lines.join(" | ")
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(shown(&played(text)), expect, "{text}");
}

#[test]
fn a_task_runs_and_its_essential_container_ends_it() {
    check("web*", "PENDING of RUNNING v1 | web PENDING | ");
    check("web*\n task RUNNING; web RUNNING", "RUNNING of RUNNING v2 | web RUNNING | connected 1, started 1");
    check(
        "web*\n task RUNNING; web RUNNING\n task STOPPED; web STOPPED exit 3",
        "STOPPED of STOPPED v3 | web STOPPED 3 | connected 1, started 1, stopping 2, ended 2, stopped 2 | EssentialContainerExited: Essential container in task exited",
    );
    check(
        "web* log\n task RUNNING; web RUNNING; log RUNNING\n web STOPPED exit 0\n log STOPPED exit 143\n task STOPPED",
        "STOPPED of STOPPED v5 | web STOPPED 0, log STOPPED 143 | connected 1, started 1, stopping 2, ended 4, stopped 4 | EssentialContainerExited: Essential container in task exited",
    );
}

#[test]
fn a_task_whose_host_was_stopped_says_so_unless_it_had_a_cause_before() {
    let cause = "TerminationNotice: Host stopped: its operator took the node down.";
    check(
        "web*\n task RUNNING; web RUNNING\n task STOPPED host-stopped; web STOPPED exit 143",
        &format!(
            "STOPPED of STOPPED v3 | web STOPPED 143 | connected 1, started 1, stopping 2, ended 2, stopped 2 | {cause}"
        ),
    );
    check(
        "web*\n task STOPPED host-stopped; web STOPPED",
        &format!("STOPPED of STOPPED v2 | web STOPPED | connected 1, stopping 1, ended 1, stopped 1 | {cause}"),
    );
    check(
        "web*\n task RUNNING; web RUNNING\n stop enough\n task STOPPED host-stopped; web STOPPED exit 143",
        "STOPPED of STOPPED v4 | web STOPPED 143 | connected 1, started 1, stopping 2, ended 3, stopped 3 | UserInitiated: enough",
    );
}

#[test]
fn a_container_that_is_not_essential_ends_alone() {
    check(
        "web* log\n task RUNNING; web RUNNING; log RUNNING\n log STOPPED exit 1",
        "RUNNING of RUNNING v3 | web RUNNING, log STOPPED 1 | connected 1, started 1",
    );
}

#[test]
fn a_task_that_was_over_before_it_was_seen_running_has_run() {
    check(
        "web*\n task STOPPED; web STOPPED exit 0",
        "STOPPED of STOPPED v2 | web STOPPED 0 | connected 1, stopping 1, ended 1, stopped 1 | EssentialContainerExited: Essential container in task exited",
    );
    check(
        "web* db*\n task STOPPED; web STOPPED exit 137 because OutOfMemoryError: Container killed due to memory usage; db STOPPED",
        "STOPPED of STOPPED v2 | web STOPPED 137, db STOPPED | connected 1, stopping 1, ended 1, stopped 1 | EssentialContainerExited: Essential container in task exited",
    );
}

#[test]
fn a_task_that_never_ran_tells_the_agents_reason() {
    check(
        "web*\n task STOPPED because CannotPullContainerError: no such image; web STOPPED",
        "STOPPED of STOPPED v2 | web STOPPED | connected 1, stopping 1, ended 1, stopped 1 | TaskFailedToStart: CannotPullContainerError: no such image",
    );
    check(
        "web*\n web STOPPED exit 127 because CannotStartContainerError: no such file\n task STOPPED",
        "STOPPED of STOPPED v3 | web STOPPED 127 | connected 1, stopping 1, ended 2, stopped 2 | TaskFailedToStart: CannotStartContainerError: no such file",
    );
    check(
        "web*\n task STOPPED",
        "STOPPED of STOPPED v2 | web STOPPED | connected 1, stopping 1, ended 1, stopped 1 | TaskFailedToStart: Task failed to start",
    );
}

#[test]
fn an_order_to_stop_gives_the_cause_and_the_agent_the_end() {
    check(
        "web*\n task RUNNING; web RUNNING\n stop enough\n stop again",
        "RUNNING of STOPPED v3 | web RUNNING | connected 1, started 1, stopping 2 | UserInitiated: enough",
    );
    check(
        "web*\n task RUNNING; web RUNNING\n stop enough\n web STOPPED exit 143\n task STOPPED",
        "STOPPED of STOPPED v5 | web STOPPED 143 | connected 1, started 1, stopping 2, ended 4, stopped 4 | UserInitiated: enough",
    );
    check(
        "web*\n stop too slow\n task STOPPED; web STOPPED",
        "STOPPED of STOPPED v3 | web STOPPED | connected 2, stopping 1, ended 2, stopped 2 | UserInitiated: too slow",
    );
    check(
        "web*\n task RUNNING; web RUNNING\n web STOPPED exit 0\n stop late\n task STOPPED",
        "STOPPED of STOPPED v4 | web STOPPED 0 | connected 1, started 1, stopping 2, ended 4, stopped 4 | EssentialContainerExited: Essential container in task exited",
    );
}

#[test]
fn late_and_repeated_reports_change_nothing() {
    let over = "web*\n task RUNNING; web RUNNING\n task STOPPED; web STOPPED exit 3";
    for late in
        ["task RUNNING", "task PENDING; web RUNNING", "web STOPPED exit 4", "task STOPPED because late", "stop late"]
    {
        assert_eq!(played(&format!("{over}\n {late}")), played(over), "{late}");
    }
    let running = "web*\n task RUNNING; web RUNNING";
    for late in ["task PENDING; web PENDING", "task RUNNING", "web RUNNING", "other STOPPED exit 1"] {
        assert_eq!(played(&format!("{running}\n {late}")), played(running), "{late}");
    }
}

#[test]
fn what_is_learnt_of_a_container_is_kept() {
    let before = task("t", 0, 0, Vec::new());
    let binding = |host_port| NetworkBinding {
        bind_ip: "0.0.0.0".into(),
        container_port: 80,
        host_port,
        protocol: PortProtocol::Tcp,
        range_ends: None,
    };
    let said = |id: &str, host_port| Report {
        containers: vec![ContainerReport {
            name: "web".into(),
            runtime_id: Some(id.into()),
            image_digest: Some("sha256:1".into()),
            bindings: vec![binding(host_port)],
            ..ContainerReport::default()
        }],
        pull_started: Some(Timestamp::from_secs(i64::from(host_port))),
        ..Report::default()
    };
    let first = reported(&before, &said("", 1), Timestamp::from_secs(1));
    assert_eq!((first.containers[0].runtime_id.as_deref(), first.version), (None, 2));
    let second = reported(&first, &said("abc", 2), Timestamp::from_secs(2));
    let third = reported(&second, &said("def", 3), Timestamp::from_secs(3));
    assert_eq!(third, second);
    assert_eq!(third.containers[0].runtime_id.as_deref(), Some("abc"));
    assert_eq!(third.containers[0].bindings, [binding(1)]);
    assert_eq!(third.times.pull_started, Some(Timestamp::from_secs(1)));
}

prop_compose! {
    fn any_report()(
        status in prop::option::of(prop::sample::select(vec![Observed::Pending, Observed::Running, Observed::Stopped])),
        web in prop::option::of(prop::sample::select(vec![Observed::Pending, Observed::Running, Observed::Stopped])),
        log in prop::option::of(prop::sample::select(vec![Observed::Pending, Observed::Running, Observed::Stopped])),
        exit_code in prop::option::of(0i32..256),
        reason in prop::option::of("[A-Za-z]{0,12}"),
    ) -> Report {
        let one = |name: &str, status| ContainerReport { name: name.into(), status, exit_code, reason: reason.clone(), ..ContainerReport::default() };
        Report { status, reason: reason.clone(), containers: vec![one("web", web), one("log", log)], ..Report::default() }
    }
}

proptest! {
    /// Whatever arrives in whatever order: no status goes backwards, STOPPED is final and complete,
    /// a cause is written once, and the version counts exactly the changes.
    #[test]
    fn a_task_only_goes_forward(reports in vec((any_report(), any::<bool>()), 0..12)) {
        let mut before = task("t", 0, 0, Vec::new());
        before.containers.push(container("log", false));
        for (second, (report, stop)) in (1..).zip(reports) {
            let now = Timestamp::from_secs(second);
            let after = if stop { stopped_by(&before, StopCode::UserInitiated, "enough", now) } else { reported(&before, &report, now) };
            prop_assert!(after.last >= before.last && after.desired >= before.desired);
            prop_assert!(after.containers.iter().zip(&before.containers).all(|(after, before)| after.last >= before.last));
            prop_assert!(before.stop_code.is_none() || after.stop_code == before.stop_code);
            prop_assert_eq!(after.stop_code.is_some(), after.desired == DesiredStatus::Stopped);
            prop_assert_eq!(after.version - before.version, u64::from(after != before));
            if after.last == LastStatus::Stopped {
                prop_assert!(after.containers.iter().all(|container| container.last == LastStatus::Stopped));
                prop_assert!(after.times.stopping.is_some() && after.times.stopped.is_some());
                prop_assert!(before.last != LastStatus::Stopped || after == before);
            }
            before = after;
        }
    }
}
