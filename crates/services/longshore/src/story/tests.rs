use super::*;
use state::{Delivery, DesiredStatus, Handover, LastStatus, LogMode, Tags, Timeline};

fn ms(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}

/// A task of container `a` with the times at which it was created, its orders were sent and acknowledged, and it
/// reached its stations.
fn task(times: Timeline, run: (i64, i64), stop: Option<(i64, i64)>) -> Task {
    let over = |(sent, acknowledged)| Handover { sent: ms(sent), acknowledged: ms(acknowledged) };
    Task {
        account: "0".into(),
        region: "r".into(),
        cluster: "c".into(),
        id: "t".into(),
        family: "f".into(),
        revision: 1,
        instance: Some("i".into()),
        group: "g".into(),
        started_by: None,
        launch_type: "EC2".into(),
        desired: DesiredStatus::Stopped,
        last: LastStatus::Stopped,
        containers: vec![container()],
        overrides: String::new(),
        cpu: 0,
        memory_mib: 0,
        cpu_shown: None,
        memory_shown: None,
        times,
        because: "room".into(),
        stop_code: Some("Code".into()),
        stopped_reason: Some("why".into()),
        stopped_by: None,
        delivery: Delivery { run: Some(over(run)), stop: stop.map(over), ..Delivery::default() },
        log_mode: LogMode::default(),
        tags: Tags::new(),
        version: 1,
    }
}

fn container() -> TaskContainer {
    TaskContainer {
        name: "a".into(),
        uuid: "u".into(),
        image: "i".into(),
        image_digest: None,
        runtime_id: None,
        last: LastStatus::Stopped,
        health: None,
        exit_code: None,
        reason: Some("CannotPullContainerError: no".into()),
        bindings: Vec::new(),
        essential: true,
        cpu: 0,
        memory_mib: None,
        memory_reservation_mib: None,
        ports: Vec::new(),
        log: None,
    }
}

/// `AT KIND` each.
fn told(events: &[(i64, &str)]) -> TaskEvents {
    let event = |(at, kind): &(i64, &str)| state::TaskEvent { at: ms(*at), kind: (*kind).into(), ..Default::default() };
    TaskEvents { events: events.iter().map(event).collect(), ..TaskEvents::default() }
}

fn kinds(story: &[TaskEvent]) -> String {
    story.iter().filter_map(|event| event.kind.as_deref()).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(task: &Task, told: &TaskEvents, expect: &str) {
    let (story, expect) = (of(task, Node::Tells(Some(told))), expect.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(kinds(&story), expect);
}

#[test]
fn causes_come_before_what_came_of_them_in_the_same_millisecond_and_with_clocks_apart() {
    let times = Timeline {
        created: ms(0),
        started: Some(ms(5)),
        stopping: Some(ms(9)),
        stopped: Some(ms(9)),
        ..Timeline::default()
    };
    for ahead in [0, 1, 1000] {
        let told =
            told(&[(2, "ORDER_TAKEN"), (5, "STARTED"), (9, "EXITED"), (9, "ENDING")].map(|(at, it)| (at + ahead, it)));
        let story = "CREATED_TASK PLACED ORDER_SENT ORDER_TAKEN ORDER_ACKNOWLEDGED STARTED RUNNING EXITED ENDING \
                     STOPPING_TASK STOPPED";
        check(&task(times, (0, 2), None), &told, story);
    }
}

#[test]
fn who_asks_to_stop_comes_before_the_end() {
    let times = Timeline {
        created: ms(0),
        started: Some(ms(5)),
        stopping: Some(ms(10_001)),
        stopped: Some(ms(10_020)),
        ..Timeline::default()
    };
    let asked = Task { stopped_by: Some("arn".into()), ..task(times, (0, 2), Some((10_001, 10_002))) };
    let told =
        told(&[(1, "ORDER_TAKEN"), (4, "STARTED"), (10_000, "ENDING"), (10_000, "STOPPING"), (10_030, "EXITED")]);
    let story = "CREATED_TASK PLACED ORDER_SENT ORDER_TAKEN ORDER_ACKNOWLEDGED STARTED RUNNING STOPPING_TASK ORDER_SENT \
                 ENDING STOPPING ORDER_ACKNOWLEDGED EXITED STOPPED";
    check(&asked, &told, story);
}

#[test]
fn what_is_far_apart_is_in_order_of_time() {
    let times = Timeline { created: ms(0), stopping: Some(ms(10)), stopped: Some(ms(20)), ..Timeline::default() };
    let told = told(&[(60_000, "ENDING"), (60_000, "EXITED")]);
    let story = "CREATED_TASK PLACED ORDER_SENT ORDER_ACKNOWLEDGED STOPPING_TASK STOPPED ENDING EXITED";
    check(&task(times, (0, 2), None), &told, story);
}

#[test]
fn only_for_nodes_that_tell_nothing_are_their_reports_told() {
    let times = Timeline { created: ms(0), pull_started: Some(ms(3)), stopped: Some(ms(9)), ..Timeline::default() };
    let task = task(times, (0, 2), None);
    let story = of(&task, Node::Reports);
    assert_eq!(kinds(&story), "CREATED_TASK PLACED ORDER_SENT ORDER_ACKNOWLEDGED PULL_STARTED FAILED STOPPED");
    let story = of(&task, Node::Tells(None));
    assert_eq!(kinds(&story), "CREATED_TASK PLACED ORDER_SENT ORDER_ACKNOWLEDGED STOPPED");
}
