//! StartTask: a task on each of the container instances named, wherever placement would put it.

use crate::errors::EcsError;
use crate::names::{Kind, Member, Scope};
use crate::{constraints, find, roles, run_task, settings, show, tags};
use auth::Check;
use base::ApiError;
use plan::placement::{self, Candidate, Wants};
use request::{Caller, Checks, Cx};
use state::{ContainerInstance, InstanceStatus, Task};
use store::{Tx, View};
use wire::types::ecs::{Failure, RunTaskRequest, StartTaskRequest, StartTaskResponse};

/// Instances of one call, and characters of `startedBy` (Amazon ECS API reference, StartTask).
const INSTANCES_MAX: usize = 10;
const STARTED_BY_CHARS_MAX: usize = 36;

/// `reason` of failures about instances that take no tasks any more.
const INACTIVE: &str = "INACTIVE";

/// Why a task is where it is.
const BECAUSE: &str = "StartTask named the instance";

pub fn checks(view: &View, input: &StartTaskRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(input.cluster.as_deref())?;
    let definition = run_task::definition(view, scope, &input.task_definition)?;
    let instances = targets(scope, cluster, input)?.into_iter().map(|member| member.arn);
    let check = Check::new("ecs:StartTask", definition.arn().to_string())
        .with("ecs:cluster", [scope.cluster_arn(cluster)])
        .with("ecs:container-instances", instances)
        .with("ecs:enable-execute-command", [input.enable_execute_command.unwrap_or(false).to_string()])
        .with("ecs:enable-ebs-volumes", [input.volume_configurations.iter().flatten().next().is_some().to_string()]);
    let task = Task::arn_of(scope.account, scope.region, cluster, "*").to_string();
    let mut checks = tags::checks_on_create(check, "StartTask", &task, &input.tags);
    checks.extend(roles::checks(scope.account, run_task::roles_of(input.overrides.as_ref(), definition))?);
    Ok(checks)
}

/// A DRAINING instance takes no new tasks, this way neither.
pub fn run(tx: &mut Tx, input: StartTaskRequest, cx: &mut Cx) -> Result<StartTaskResponse, ApiError> {
    let caller = cx.caller.clone();
    let scope = Scope::from(&caller);
    let cluster = scope.cluster(input.cluster.as_deref())?.to_owned();
    find::active_cluster(tx, scope, &cluster)?;
    let targets = targets(scope, &cluster, &input)?;
    if input.started_by.as_ref().is_some_and(|by| by.len() > STARTED_BY_CHARS_MAX) {
        return Err(EcsError::Long { what: "startedBy", most: STARTED_BY_CHARS_MAX }.into());
    }
    let input = as_run(input);
    run_task::check(&input)?;
    let definition = run_task::definition(tx, scope, &input.task_definition)?.clone();
    run_task::check_definition(&input, &definition)?;
    let constraints = constraints::all(&definition.spec.needs.constraints, &[])?;
    let log_mode = settings::log_mode(tx, &caller)?;
    let prototype = Task { log_mode, ..run_task::prototype(input, &definition, cluster.clone(), cx)? };
    let wants = Wants { attributes: &definition.spec.needs.attributes, constraints, group: &prototype.group };
    let demand = plan::reservation::demand(&prototype);
    let request = placement::Request { count: 1, demand, wants };
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for target in targets {
        let row = find::instance(tx, scope, &cluster, &target);
        match refusal(tx, row, &target, &request) {
            Some(failure) => failures.push(failure),
            None => {
                let task = run_task::instantiate(&prototype, target.id, BECAUSE.to_owned(), cx);
                run_task::put(tx, std::slice::from_ref(&task));
                tasks.push(show::task(tx, &task, true)?);
            }
        }
    }
    Ok(StartTaskResponse { tasks: Some(tasks), failures: Some(failures) })
}

fn targets(scope: Scope, cluster: &str, input: &StartTaskRequest) -> Result<Vec<Member>, EcsError> {
    scope.members(Kind::ContainerInstance, cluster, &input.container_instances, INSTANCES_MAX)
}

fn refusal<'a>(
    view: &'a View,
    row: Option<&'a ContainerInstance>,
    target: &Member,
    request: &placement::Request<'a>,
) -> Option<Failure> {
    match row {
        None => Some(show::failure(&target.arn, show::MISSING)),
        Some(row) if row.status != InstanceStatus::Active => Some(show::failure(&target.arn, INACTIVE)),
        Some(row) => {
            let candidate = Candidate { instance: row, held: find::held(view, row) };
            placement::refusal(&candidate, request).map(show::refusal)
        }
    }
}

/// The same task as RunTask would make it.
fn as_run(input: StartTaskRequest) -> RunTaskRequest {
    RunTaskRequest {
        cluster: input.cluster,
        enable_ecs_managed_tags: input.enable_ecs_managed_tags,
        enable_execute_command: input.enable_execute_command,
        group: input.group,
        network_configuration: input.network_configuration,
        overrides: input.overrides,
        propagate_tags: input.propagate_tags,
        reference_id: input.reference_id,
        started_by: input.started_by,
        tags: input.tags,
        task_definition: input.task_definition,
        volume_configurations: input.volume_configurations,
        ..RunTaskRequest::default()
    }
}
