//! RunTask: places tasks and writes them; control brings them to their nodes.

use crate::errors::EcsError;
use crate::names::{NAME_CHARS_MAX, Scope, is_plain};
use crate::overrides::{self, Launch};
use crate::{constraints, find, roles, settings, show, supported, tags};
use auth::Check;
use base::ApiError;
use oci::Digest;
use plan::placement::{self, Candidate, Placement, Wants};
use request::{Caller, Checks, Cx};
use state::{
    CONTAINER_INSTANCES, Delivery, DesiredStatus, LastStatus, LogMode, NetworkMode, RUN_TOKENS, RunToken, TASKS, Tags,
    Task, TaskDefinition, Timeline,
};
use store::{Tx, View, key};
use wire::types::ecs::{RunTaskRequest, RunTaskResponse, TaskOverride};

/// Tasks of one call (Amazon ECS service quotas).
pub(crate) const COUNT_MAX: usize = 10;

/// Characters of `startedBy` and `clientToken` (Amazon ECS API reference, RunTask).
const STARTED_BY_CHARS_MAX: usize = 128;
const TOKEN_CHARS_MAX: usize = 64;

/// Characters of `referenceId` (Amazon ECS API reference, RunTask). It is kept by the audit record alone.
const REFERENCE_CHARS_MAX: usize = 1024;

/// What the groups of services' tasks begin with, and no others: tools tell those tasks by it (ECS's refusal, as people
/// have met it).
const SERVICE_GROUP: &str = "service:";

/// The only launch type so far.
const EC2: &str = "EC2";

/// Members of the request that mean something here; the network configuration is refused in its own words.
const SUPPORTED: [&str; 14] = [
    "cluster",
    "count",
    "enableECSManagedTags",
    "group",
    "launchType",
    "networkConfiguration",
    "overrides",
    "placementConstraints",
    "propagateTags",
    "referenceId",
    "startedBy",
    "tags",
    "taskDefinition",
    "clientToken",
];

pub fn checks(view: &View, input: &RunTaskRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let definition = definition(view, scope, &input.task_definition)?;
    let check = Check::new("ecs:RunTask", definition.arn().to_string())
        .with("ecs:cluster", [scope.cluster_arn(cluster)])
        .with("ecs:enable-execute-command", [input.enable_execute_command.unwrap_or(false).to_string()])
        .with("ecs:enable-ebs-volumes", [input.volume_configurations.iter().flatten().next().is_some().to_string()]);
    let task = Task::arn_of(scope.account, scope.region, cluster, "*").to_string();
    let mut checks = tags::checks_on_create(check, "RunTask", &task, &input.tags);
    checks.extend(roles::checks(scope.account, roles_of(input.overrides.as_ref(), definition))?);
    Ok(checks)
}

pub fn run(tx: &mut Tx, input: RunTaskRequest, cx: &mut Cx) -> Result<RunTaskResponse, ApiError> {
    let caller = cx.caller.clone();
    let scope = Scope::from(&caller);
    let cluster = scope.cluster(input.cluster.as_deref())?.to_owned();
    find::active_cluster(tx, scope, &cluster)?;
    let token = token(&input, &cluster, cx)?;
    if let Some(tasks) = token.as_ref().map_or(Ok(None), |token| replayed(tx, token))? {
        return answer(tx, &tasks, Vec::new());
    }
    check(&input)?;
    let definition = definition(tx, scope, &input.task_definition)?.clone();
    check_definition(&input, &definition)?;
    let count = count(input.count)?;
    let constraints = input.placement_constraints.as_deref().unwrap_or_default();
    let constraints = constraints::all(&definition.spec.needs.constraints, constraints)?;
    let log_mode = settings::log_mode(tx, &caller)?;
    let task = Task { log_mode, ..prototype(input, &definition, cluster, cx)? };
    let wants = Wants { attributes: &definition.spec.needs.attributes, constraints, group: &task.group };
    let Placement { placed, because, refusals } = place(tx, &task, count, wants)?;
    let tasks: Vec<Task> =
        placed.into_iter().zip(because).map(|(instance, because)| instantiate(&task, instance, because, cx)).collect();
    put(tx, &tasks);
    if let Some(token) = token.filter(|_| !tasks.is_empty()) {
        tx.put(RUN_TOKENS, RunToken { tasks: tasks.iter().map(|task| task.id.clone()).collect(), ..token });
    }
    let failures = refusals.into_iter().map(show::refusal);
    answer(tx, &tasks, failures.collect())
}

/// The task's role and its execution role: the overrides' or the definition's.
pub(crate) fn roles_of<'a>(given: Option<&'a TaskOverride>, definition: &'a TaskDefinition) -> [Option<&'a str>; 2] {
    let or = |over: Option<&'a String>, own: &'a Option<String>| {
        over.map(String::as_str).filter(|role| !role.is_empty()).or(own.as_deref())
    };
    [
        or(given.and_then(|given| given.task_role_arn.as_ref()), &definition.spec.task_role_arn),
        or(given.and_then(|given| given.execution_role_arn.as_ref()), &definition.spec.execution_role_arn),
    ]
}

pub(crate) fn definition<'a>(view: &'a View, scope: Scope, given: &str) -> Result<&'a TaskDefinition, EcsError> {
    let name = scope.definition(given).map_err(|error| match error {
        EcsError::DefinitionUnknown => EcsError::DefinitionNotFound,
        error => error,
    })?;
    find::definition(view, scope, &name).ok_or(EcsError::DefinitionNotFound)
}

/// Nobody here can hand out a role's credentials, whatever the agent of an instance may be able to serve.
fn check_role(input: &RunTaskRequest, definition: &TaskDefinition) -> Result<(), EcsError> {
    let given = input.overrides.as_ref().and_then(|given| given.task_role_arn.as_ref());
    let member = if given.is_some_and(|role| !role.is_empty()) { "overrides.taskRoleArn" } else { "taskRoleArn" };
    match roles_of(input.overrides.as_ref(), definition) {
        [Some(role), _] => Err(EcsError::TaskRole { member, role: role.to_owned() }),
        [None, _] => Ok(()),
    }
}

/// What can be said of the request alone.
pub(crate) fn check(input: &RunTaskRequest) -> Result<(), EcsError> {
    supported::only(input, &SUPPORTED, "")?;
    if let Some(launch_type) = input.launch_type.as_deref().filter(|launch_type| *launch_type != EC2) {
        return Err(EcsError::LaunchType(launch_type.to_owned()));
    }
    if input.propagate_tags.as_deref() == Some("SERVICE") {
        return Err(EcsError::PropagateService);
    }
    if input.reference_id.as_ref().is_some_and(|id| id.chars().count() > REFERENCE_CHARS_MAX) {
        return Err(EcsError::Long { what: "referenceId", most: REFERENCE_CHARS_MAX });
    }
    let started_by = input.started_by.as_deref().unwrap_or_default();
    if started_by.len() > STARTED_BY_CHARS_MAX {
        return Err(EcsError::Long { what: "startedBy", most: STARTED_BY_CHARS_MAX });
    }
    if !is_plain(&started_by.replace('/', "")) {
        return Err(EcsError::Characters { what: "startedBy" });
    }
    match input.group.as_deref().unwrap_or_default() {
        group if group.chars().count() > NAME_CHARS_MAX => Err(EcsError::Long { what: "group", most: NAME_CHARS_MAX }),
        group if group.starts_with(SERVICE_GROUP) => Err(EcsError::GroupOfService),
        _ => Ok(()),
    }
}

pub(crate) fn check_definition(input: &RunTaskRequest, definition: &TaskDefinition) -> Result<(), EcsError> {
    let awsvpc = definition.spec.network_mode == NetworkMode::Awsvpc;
    let configured = input.network_configuration.as_ref().is_some_and(|network| network.awsvpc_configuration.is_some());
    match (definition.is_active(), awsvpc, configured) {
        (false, ..) => Err(EcsError::DefinitionInactive),
        (true, true, false) => Err(EcsError::NetworkConfigurationMissing),
        (true, true, true) => Err(EcsError::Awsvpc),
        (true, false, true) => Err(EcsError::NetworkConfigurationNotValid),
        (true, false, false) => check_role(input, definition),
    }
}

fn count(given: Option<i32>) -> Result<usize, EcsError> {
    usize::try_from(given.unwrap_or(1)).ok().filter(|count| (1..=COUNT_MAX).contains(count)).ok_or(EcsError::Count)
}

/// The row that this request would leave if it came with a token, without its tasks.
fn token(input: &RunTaskRequest, cluster: &str, cx: &Cx) -> Result<Option<RunToken>, EcsError> {
    let Some(token) = input.client_token.clone().filter(|token| !token.is_empty()) else { return Ok(None) };
    if token.len() > TOKEN_CHARS_MAX {
        return Err(EcsError::Long { what: "clientToken", most: TOKEN_CHARS_MAX });
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(EcsError::Characters { what: "clientToken" });
    }
    let canonical = serde_json::to_value(input).map_err(|error| EcsError::Stored(error.to_string()))?.to_string();
    Ok(Some(RunToken {
        account: cx.account().to_owned(),
        region: cx.region().to_owned(),
        cluster: cluster.to_owned(),
        token,
        request_sha256: Digest::of(canonical.as_bytes()).hex().to_owned(),
        tasks: Vec::new(),
        created_at: cx.now,
    }))
}

/// The tasks that the same request made before, if it did.
fn replayed(view: &View, token: &RunToken) -> Result<Option<Vec<Task>>, EcsError> {
    let RunToken { account, region, cluster, .. } = token;
    let Some(first) = view.get(RUN_TOKENS, &key![account, region, cluster, token.token]) else { return Ok(None) };
    if first.request_sha256 != token.request_sha256 {
        let arn = |id: &String| Task::arn_of(account, region, cluster, id).to_string();
        return Err(EcsError::TokenConflict { tasks: first.tasks.iter().map(arn).collect() });
    }
    let tasks = first.tasks.iter().filter_map(|id| view.get(TASKS, &key![account, region, cluster, id]));
    Ok(Some(tasks.cloned().collect()))
}

/// The task that every placed one is a copy of.
pub(crate) fn prototype(
    input: RunTaskRequest,
    definition: &TaskDefinition,
    cluster: String,
    cx: &Cx,
) -> Result<Task, EcsError> {
    let tags = tags_of(&input, definition, &cluster)?;
    let Launch { overrides, containers, cpu, memory_mib } =
        overrides::launch(cx.account(), &definition.spec, input.overrides)?;
    Ok(Task {
        account: cx.account().to_owned(),
        region: cx.region().to_owned(),
        cluster,
        id: String::new(),
        family: definition.family.clone(),
        revision: definition.revision,
        instance: None,
        group: input.group.filter(|group| !group.is_empty()).unwrap_or_else(|| format!("family:{}", definition.family)),
        started_by: input.started_by.filter(|started_by| !started_by.is_empty()),
        launch_type: EC2.to_owned(),
        desired: DesiredStatus::Running,
        last: LastStatus::Pending,
        containers,
        overrides,
        cpu,
        memory_mib,
        cpu_shown: Some(cpu.to_string()),
        memory_shown: Some(memory_mib.to_string()),
        times: Timeline { created: cx.now, ..Timeline::default() },
        stop_code: None,
        because: String::new(),
        stopped_reason: None,
        stopped_by: None,
        delivery: Delivery::default(),
        log_mode: LogMode::default(),
        tags,
        version: 1,
    })
}

/// The definition's tags if they propagate, under the request's own, and ours.
fn tags_of(input: &RunTaskRequest, definition: &TaskDefinition, cluster: &str) -> Result<Tags, EcsError> {
    let propagates = input.propagate_tags.as_deref() == Some("TASK_DEFINITION");
    let mut tags = if propagates { definition.tags.clone() } else { Tags::new() };
    tags.extend(tags::read(input.tags.clone())?);
    if input.enable_ecs_managed_tags == Some(true) {
        tags.insert("aws:ecs:clusterName".to_owned(), cluster.to_owned());
    }
    Ok(tags)
}

fn place(view: &View, task: &Task, count: usize, wants: Wants) -> Result<Placement, EcsError> {
    let cluster = key![task.account, task.region, task.cluster];
    let candidates: Vec<Candidate> = view
        .scan(CONTAINER_INSTANCES, &cluster)
        .map(|instance| Candidate { instance, held: find::held(view, instance) })
        .collect();
    let demand = plan::reservation::demand(task);
    Ok(placement::place(&candidates, &placement::Request { count, demand, wants })?)
}

/// Writes new tasks; each makes an event of its instance too, which has less left (Amazon ECS developer guide,
/// "Amazon ECS container instance state change events").
pub(crate) fn put(tx: &mut Tx, tasks: &[Task]) {
    for task in tasks {
        find::touch_instance(tx, task);
        tx.put(TASKS, task.clone());
    }
}

pub(crate) fn instantiate(prototype: &Task, instance: String, because: String, cx: &mut Cx) -> Task {
    let mut task = Task { id: cx.names.hex32(), instance: Some(instance), because, ..prototype.clone() };
    task.containers.iter_mut().for_each(|container| container.uuid = cx.names.uuid());
    task
}

fn answer(view: &View, tasks: &[Task], failures: Vec<wire::types::ecs::Failure>) -> Result<RunTaskResponse, ApiError> {
    let tasks = tasks.iter().map(|task| show::task(view, task, true)).collect::<Result<_, _>>()?;
    Ok(RunTaskResponse { tasks: Some(tasks), failures: Some(failures) })
}
