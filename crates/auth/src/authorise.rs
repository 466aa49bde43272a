//! Who may do what, until policies decide it: an account's keys everything in
//! their account, a node what it needs for the tasks placed on it.

use crate::Check;
use base::{Arn, Principal};
use state::{ContainerInstance, TASKS, Task};
use store::{View, key};

/// Context keys of our own that node rules read; no policy language sees them.
pub const CONTEXT_TASK: &str = "longshore:task";
/// The container instance that an agent call names.
pub const CONTEXT_INSTANCE: &str = "longshore:container-instance";

/// A refusal, in IAM's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "User: {principal} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action"
)]
pub struct Denial {
    pub principal: String,
    pub action: &'static str,
    pub resource: String,
}

/// Asks every check against `view`, the state that the operation is about to read or change.
pub fn authorise(view: &View, principal: &Principal, checks: &[Check]) -> Result<(), Denial> {
    match checks.iter().find(|check| !allowed(view, principal, check)) {
        None => Ok(()),
        Some(check) => {
            Err(Denial { principal: principal.arn(), action: check.action, resource: check.resource.clone() })
        }
    }
}

fn allowed(view: &View, principal: &Principal, check: &Check) -> bool {
    match principal {
        Principal::Root { account } | Principal::Service { account, .. } => owns(account, check),
        Principal::Node { account, region, cluster, instance, .. } => {
            let node = NodeRules { view, account, region, cluster, instance: instance.as_deref() };
            owns(account, check) && node.allow(check)
        }
    }
}

/// True when the resource belongs to `account`; `*` and ARNs without an account belong to the caller.
fn owns(account: &str, check: &Check) -> bool {
    match check.resource.parse::<Arn>() {
        Ok(arn) => arn.account.is_empty() || arn.account == account,
        Err(_) => check.resource == "*",
    }
}

struct NodeRules<'a> {
    view: &'a View,
    account: &'a str,
    region: &'a str,
    cluster: &'a str,
    instance: Option<&'a str>,
}

impl NodeRules<'_> {
    fn allow(&self, check: &Check) -> bool {
        match check.action {
            "ecs:DiscoverPollEndpoint" | "ecr:GetAuthorizationToken" | "sts:GetCallerIdentity" => true,
            "ecs:CreateCluster" | "ecs:RegisterContainerInstance" => self.is_cluster(check) && self.names_itself(check),
            "ecs:Poll" | "ecs:StartTelemetrySession" | "ecs:UpdateContainerInstancesState" => self.is_itself(check),
            "ecs:ListTagsForResource" => self.is_itself(check),
            "ecs:SubmitTaskStateChange" | "ecs:SubmitContainerStateChange" | "ecs:SubmitAttachmentStateChanges" => {
                self.is_cluster(check) && self.names_own_tasks(check)
            }
            "ecr:BatchGetImage" | "ecr:GetDownloadUrlForLayer" | "ecr:BatchCheckLayerAvailability" => self.pulls(check),
            "logs:CreateLogGroup" | "logs:CreateLogStream" | "logs:PutLogEvents" => self.writes_log(check),
            _ => false,
        }
    }

    fn is_cluster(&self, check: &Check) -> bool {
        check.resource == state::Cluster::arn_of(self.account, self.region, self.cluster).to_string()
    }

    fn own_arn(&self) -> Option<String> {
        self.instance.map(|id| ContainerInstance::arn_of(self.account, self.region, self.cluster, id).to_string())
    }

    fn is_itself(&self, check: &Check) -> bool {
        self.own_arn().is_some_and(|arn| arn == check.resource)
    }

    /// A registration may name no instance (the first) or the node's own (again).
    fn names_itself(&self, check: &Check) -> bool {
        let own = self.own_arn();
        named(check, CONTEXT_INSTANCE).all(|arn| Some(arn) == own.as_ref())
    }

    fn names_own_tasks(&self, check: &Check) -> bool {
        named(check, CONTEXT_TASK).all(|arn| self.own_task(arn).is_some())
    }

    /// The task of that ARN, if it is placed here.
    fn own_task(&self, arn: &str) -> Option<&Task> {
        let arn: Arn = arn.parse().ok()?;
        let id = arn.resource_of_kind("task")?.strip_prefix(self.cluster)?.strip_prefix('/')?;
        let task = self.view.get(TASKS, &key![self.account, self.region, self.cluster, id])?;
        (task.instance.as_deref() == Some(self.instance?)).then_some(task)
    }

    /// Tasks placed here, stopped ones too: their last logs and states arrive after the end.
    fn tasks(&self) -> impl Iterator<Item = &Task> {
        let placed = key![self.account, self.region, self.cluster, self.instance.unwrap_or_default()];
        self.view.by(TASKS::BY_INSTANCE, &placed)
    }

    /// Tasks that are here and not stopped.
    fn holding(&self) -> impl Iterator<Item = &Task> {
        let placed = key![self.account, self.region, self.cluster, self.instance.unwrap_or_default()];
        self.view.by(TASKS::HOLDING_BY_INSTANCE, &placed)
    }

    /// A pull is allowed while a task is here whose image lies in that repository.
    fn pulls(&self, check: &Check) -> bool {
        let Ok(arn) = check.resource.parse::<Arn>() else { return false };
        let Some(name) = arn.resource_of_kind("repository") else { return false };
        self.holding().any(|task| task.containers.iter().any(|container| names_repository(&container.image, name)))
    }

    fn writes_log(&self, check: &Check) -> bool {
        let Ok(arn) = check.resource.parse::<Arn>() else { return false };
        let Some(rest) = arn.resource.strip_prefix("log-group:") else { return false };
        let (group, stream) = match rest.split_once(":log-stream:") {
            Some((group, stream)) => (group, Some(stream)),
            None => (rest.trim_end_matches(":*"), None),
        };
        self.tasks().any(|task| task.containers.iter().any(|container| writes_to(task, container, group, stream)))
    }
}

fn named<'a>(check: &'a Check, key: &str) -> impl Iterator<Item = &'a String> {
    check.context.get(key).into_iter().flatten()
}

fn writes_to(task: &Task, container: &state::TaskContainer, group: &str, stream: Option<&str>) -> bool {
    let Some(log) = container.log.as_ref().filter(|log| log.group == group) else { return false };
    match stream {
        None => log.create_group,
        Some(stream) => match log.stream(&container.name, &task.id, container.runtime_id.as_deref()) {
            Some(own) => own == stream,
            // The runtime id is not reported yet: any id-shaped stream of the group may become it.
            None => stream.len() == RUNTIME_ID_LEN && stream.bytes().all(|b| b.is_ascii_hexdigit()),
        },
    }
}

/// Hexadecimal digits of a runtime's container id.
const RUNTIME_ID_LEN: usize = 64;

/// True when an image such as `host/name:tag` or `host/name@sha256:…` lies in repository `name` of its registry.
fn names_repository(image: &str, name: &str) -> bool {
    let Some((_, path)) = image.split_once('/') else { return false };
    let path = path.split_once('@').map_or(path, |(path, _)| path);
    let path = path.rsplit_once(':').map_or(path, |(path, _)| path);
    path == name
}

#[cfg(test)]
mod tests;
