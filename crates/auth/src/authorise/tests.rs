use super::{CONTEXT_INSTANCE, CONTEXT_TASK, authorise, names_repository};
use crate::Check;
use base::{ApiError, Principal, Timestamp};
use state::{Delivery, DesiredStatus, LastStatus, TASKS, Task, TaskContainer, TaskLog, Timeline};
use store::{MemoryEngine, Store, View};

const ACCOUNT: &str = "000000000000";

fn node(instance: Option<&str>) -> Principal {
    Principal::Node {
        account: ACCOUNT.into(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        access_key_id: "AKIA1".into(),
        instance: instance.map(str::to_owned),
    }
}

fn task(id: &str, instance: &str, last: LastStatus) -> Task {
    Task {
        account: ACCOUNT.into(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        id: id.into(),
        family: "web".into(),
        revision: 1,
        instance: Some(instance.into()),
        group: "family:web".into(),
        started_by: None,
        launch_type: "EC2".into(),
        desired: DesiredStatus::Running,
        last,
        containers: vec![container()],
        overrides: "{}".into(),
        cpu: 0,
        memory_mib: 64,
        cpu_shown: None,
        memory_shown: None,
        times: Timeline { created: Timestamp::default(), ..Timeline::default() },
        stop_code: None,
        because: String::new(),
        stopped_reason: None,
        stopped_by: None,
        delivery: Delivery::default(),
        log_mode: state::LogMode::default(),
        tags: state::Tags::new(),
        version: 1,
    }
}

fn container() -> TaskContainer {
    TaskContainer {
        name: "app".into(),
        uuid: "u".into(),
        image: "127.0.0.1:4566/team/web:1".into(),
        image_digest: None,
        runtime_id: None,
        last: LastStatus::Pending,
        health: None,
        exit_code: None,
        reason: None,
        bindings: vec![],
        essential: true,
        cpu: 0,
        memory_mib: Some(64),
        memory_reservation_mib: None,
        ports: vec![],
        log: Some(TaskLog {
            group: "/web".into(),
            region: "us-east-1".into(),
            stream_prefix: Some("p".into()),
            create_group: true,
        }),
    }
}

async fn view() -> View {
    let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
    let rows = [
        task("t1", "mine", LastStatus::Running),
        task("t2", "theirs", LastStatus::Running),
        task("t3", "gone", LastStatus::Stopped),
    ];
    store
        .transact(move |tx| {
            rows.into_iter().for_each(|row| tx.put(TASKS, row));
            Ok::<_, ApiError>(())
        })
        .await
        .expect("stored");
    store.view()
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}")
}

#[tokio::test]
async fn a_node_may_do_what_its_tasks_need_and_no_more() {
    let view = view().await;
    let mine = node(Some("mine"));
    let cluster = arn("ecs", "cluster/default");
    let cases = [
        (Check::any("ecs:DiscoverPollEndpoint"), true),
        (Check::any("ecr:GetAuthorizationToken"), true),
        (Check::new("ecs:Poll", arn("ecs", "container-instance/default/mine")), true),
        (Check::new("ecs:Poll", arn("ecs", "container-instance/default/theirs")), false),
        (Check::new("ecs:RegisterContainerInstance", &cluster), true),
        (
            Check::new("ecs:RegisterContainerInstance", &cluster)
                .with(CONTEXT_INSTANCE, [arn("ecs", "container-instance/default/theirs")]),
            false,
        ),
        (Check::new("ecs:RegisterContainerInstance", arn("ecs", "cluster/other")), false),
        (Check::new("ecs:SubmitTaskStateChange", &cluster).with(CONTEXT_TASK, [arn("ecs", "task/default/t1")]), true),
        (Check::new("ecs:SubmitTaskStateChange", &cluster).with(CONTEXT_TASK, [arn("ecs", "task/default/t2")]), false),
        (Check::new("ecr:BatchGetImage", arn("ecr", "repository/team/web")), true),
        (Check::new("ecr:BatchGetImage", arn("ecr", "repository/team/other")), false),
        (Check::new("ecr:PutImage", arn("ecr", "repository/team/web")), false),
        (Check::new("logs:PutLogEvents", arn("logs", "log-group:/web:log-stream:p/app/t1")), true),
        (Check::new("logs:PutLogEvents", arn("logs", "log-group:/web:log-stream:p/app/t2")), false),
        (Check::new("logs:CreateLogGroup", arn("logs", "log-group:/web:*")), true),
        (Check::new("logs:CreateLogGroup", arn("logs", "log-group:/other:*")), false),
        (Check::new("logs:GetLogEvents", arn("logs", "log-group:/web:log-stream:p/app/t1")), false),
        (Check::new("ecs:RunTask", arn("ecs", "task-definition/web:1")), false),
    ];
    for (check, allowed) in cases {
        assert_eq!(authorise(&view, &mine, std::slice::from_ref(&check)).is_ok(), allowed, "{check:?}");
    }
}

#[tokio::test]
async fn a_stopped_task_pulls_nothing_more() {
    let view = view().await;
    let pull = Check::new("ecr:BatchGetImage", arn("ecr", "repository/team/web"));
    assert!(authorise(&view, &node(Some("gone")), std::slice::from_ref(&pull)).is_err());
    assert!(authorise(&view, &node(None), &[pull]).is_err());
}

#[tokio::test]
async fn an_account_does_everything_in_its_own_account() {
    let view = view().await;
    let root = Principal::Root { account: ACCOUNT.into() };
    let own = Check::new("ecs:RunTask", arn("ecs", "task-definition/web:1"));
    let foreign = Check::new("ecs:RunTask", "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1");
    assert!(authorise(&view, &root, std::slice::from_ref(&own)).is_ok());
    let denial = authorise(&view, &root, &[own, foreign]).expect_err("denied");
    assert_eq!(
        denial.to_string(),
        "User: arn:aws:iam::000000000000:root is not authorized to perform: ecs:RunTask on resource: \
         arn:aws:ecs:us-east-1:111111111111:task-definition/web:1 because no identity-based policy allows the ecs:RunTask action"
    );
}

#[test]
fn images_name_their_repository() {
    for (image, repository, expected) in [
        ("127.0.0.1:4566/web:1", "web", true),
        ("127.0.0.1:4566/web", "web", true),
        ("h/team/web@sha256:00", "team/web", true),
        ("h/team/web:1@sha256:00", "team/web", true),
        ("h/web", "we", false),
        ("web", "web", false),
    ] {
        assert_eq!(names_repository(image, repository), expected, "{image}");
    }
}
