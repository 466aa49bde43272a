//! How callers name things: a name, an id or an ARN, and for clusters nothing at all.

use crate::errors::EcsError;
use base::Arn;
use request::Caller;
use state::{Cluster, ContainerInstance, Task};

/// The cluster of requests that name none.
pub(crate) const DEFAULT_CLUSTER: &str = "default";

/// Characters of cluster, family and container names (Amazon ECS API reference).
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// Lengths of the ids in task and container instance ARNs: today's, and the UUIDs of before.
const ID_CHARS: [usize; 2] = [32, 36];

/// Letters, digits, hyphens and underscores: what names may consist of.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Where a request acts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub account: &'a str,
    pub region: &'a str,
}

impl<'a> From<&'a Caller> for Scope<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self { account: &caller.account, region: &caller.region }
    }
}

impl Scope<'_> {
    fn holds(self, arn: &Arn) -> bool {
        arn.service == "ecs" && arn.account == self.account && arn.region == self.region
    }

    /// The name of the cluster that `given` means.
    ///
    /// # Errors
    /// For an ARN of another account or region, which has no cluster here.
    pub fn cluster(self, given: Option<&str>) -> Result<&str, EcsError> {
        let given = given.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_CLUSTER);
        let Some(arn) = as_arn(given)? else { return Ok(given) };
        let name = given.rsplit('/').next().unwrap_or_default();
        match arn.resource_of_kind("cluster") {
            Some(_) if self.holds(&arn) => Ok(name),
            Some(_) => Err(EcsError::ClusterNotFound),
            None => Err(EcsError::Identifier("Cluster")),
        }
    }

    pub fn cluster_arn(self, name: &str) -> String {
        Cluster::arn_of(self.account, self.region, name).to_string()
    }

    /// A task or container instance of `cluster`.
    ///
    /// # Errors
    /// When `given` is no id, or is of another cluster.
    pub fn member(self, kind: Kind, cluster: &str, given: &str) -> Result<Member, EcsError> {
        let (id, arn) = match as_arn(given)? {
            Some(arn) => (id_in(kind, cluster, &arn)?, given.to_owned()),
            None => (given.to_owned(), kind.arn(self, cluster, given)),
        };
        if !ID_CHARS.contains(&id.len()) {
            return Err(EcsError::IdLength(kind.id_name()));
        }
        Ok(Member { id, arn })
    }

    /// The members that a Describe call names, at most `most`.
    pub fn members(self, kind: Kind, cluster: &str, given: &[String], most: usize) -> Result<Vec<Member>, EcsError> {
        if given.is_empty() {
            return Err(EcsError::Empty { what: kind.plural() });
        }
        if given.len() > most {
            return Err(EcsError::TooMany { what: kind.ids_name(), most });
        }
        given.iter().map(|one| self.member(kind, cluster, one)).collect()
    }

    /// A task definition's family and, where given, revision.
    pub fn definition(self, given: &str) -> Result<DefinitionName, EcsError> {
        let name = match as_arn(given)? {
            None => given.to_owned(),
            Some(arn) if self.holds(&arn) => {
                arn.resource_of_kind("task-definition").ok_or(EcsError::Identifier("TaskDefinition"))?.to_owned()
            }
            Some(_) => return Err(EcsError::DefinitionUnknown),
        };
        match name.split_once(':') {
            None => Ok(DefinitionName { family: name, revision: None }),
            Some((family, revision)) => {
                let number = revision.parse().map_err(|_| EcsError::RevisionInvalid(revision.to_owned()))?;
                Ok(DefinitionName { family: family.to_owned(), revision: Some(number) })
            }
        }
    }
}

/// What lives in a cluster and is named by an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    ContainerInstance,
}

impl Kind {
    fn arn(self, scope: Scope, cluster: &str, id: &str) -> String {
        match self {
            Self::Task => Task::arn_of(scope.account, scope.region, cluster, id),
            Self::ContainerInstance => ContainerInstance::arn_of(scope.account, scope.region, cluster, id),
        }
        .to_string()
    }

    const fn resource(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::ContainerInstance => "container-instance",
        }
    }

    const fn id_name(self) -> &'static str {
        match self {
            Self::Task => "taskId",
            Self::ContainerInstance => "instanceId",
        }
    }

    const fn ids_name(self) -> &'static str {
        match self {
            Self::Task => "taskIds",
            Self::ContainerInstance => "instanceIds",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Task => "Tasks",
            Self::ContainerInstance => "Container Instances",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::ContainerInstance => "Container Instance",
        }
    }
}

/// A task or container instance as a caller named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub id: String,
    /// The ARN given, or the one that the id has in this cluster.
    pub arn: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefinitionName {
    pub family: String,
    pub revision: Option<u32>,
}

fn as_arn(given: &str) -> Result<Option<Arn>, EcsError> {
    match given.starts_with("arn:") {
        true => given.parse().map(Some).map_err(|_| EcsError::Identifier("ARN")),
        false => Ok(None),
    }
}

/// The id of `kind/cluster/id`, or of the old form without a cluster.
fn id_in(kind: Kind, cluster: &str, arn: &Arn) -> Result<String, EcsError> {
    let invalid = EcsError::Identifier(kind.title());
    let rest = arn.resource_of_kind(kind.resource()).ok_or_else(|| invalid.clone())?;
    match rest.split('/').collect::<Vec<_>>()[..] {
        [id] => Ok(id.to_owned()),
        [theirs, id] if theirs == cluster => Ok(id.to_owned()),
        [theirs, _] => Err(EcsError::OtherCluster { theirs: theirs.to_owned(), ours: cluster.to_owned() }),
        _ => Err(invalid),
    }
}
