//! Every error of the service, its code and its text. Texts are AWS's where AWS has one.

mod definition;

pub use definition::DefinitionError;

use base::ApiError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EcsError {
    // Clusters
    #[error("Cluster not found.")]
    ClusterNotFound,
    #[error("Cluster was not ACTIVE.")]
    ClusterNotActive,
    #[error("Cluster name contains invalid characters. Use 1 to 255 letters, digits, hyphens and underscores.")]
    ClusterName,
    #[error("Cluster setting {name} cannot be '{value}'. Use containerInsights with disabled, enabled or enhanced.")]
    ClusterSetting { name: String, value: String },
    #[error("executeCommandConfiguration with logging OVERRIDE needs a logConfiguration.")]
    ExecLogConfigurationMissing,
    #[error("executeCommandConfiguration has a logConfiguration, which takes logging OVERRIDE.")]
    ExecLogConfigurationAlone,
    #[error("The Cluster cannot be deleted while Container Instances are active.")]
    ClusterContainsContainerInstances,
    #[error("The Cluster cannot be deleted while Tasks are active.")]
    ClusterContainsTasks,

    // Identifiers
    #[error("{0} Identifier is invalid")]
    Identifier(&'static str),
    #[error("Invalid identifier: Identifier is for cluster {theirs}. Your cluster is {ours}")]
    OtherCluster { theirs: String, ours: String },
    #[error("{0} length should be one of [32,36]")]
    IdLength(&'static str),
    #[error("{what} cannot be empty.")]
    Empty { what: &'static str },
    #[error("{what} can have at most {most} items.")]
    TooMany { what: &'static str, most: usize },
    #[error("The referenced task was not found.")]
    TaskNotFound,
    #[error("The referenced container instance was not found.")]
    InstanceNotFound,
    #[error("The referenced resource was not found.")]
    ResourceNotFound,
    #[error("The specified cluster is inactive. Specify an active cluster and try again.")]
    TaggedClusterInactive,
    #[error("The specified task is stopped. Specify a running task and try again.")]
    TaggedTaskStopped,
    #[error("Service not found.")]
    ServiceNotFound,

    // Lists
    #[error("maxResults must be between 1 and {0}.")]
    MaxResults(usize),
    #[error("Invalid token. Repeat the request with the nextToken of its previous answer, unchanged.")]
    Token,
    #[error("startedBy must be the only filter. Remove the others and try again.")]
    StartedByAlone,

    // Account settings
    #[error("There is no account setting '{0}'.")]
    SettingUnknown(String),
    #[error("Invalid value '{value}' for account setting {name}. Use {}.", .allowed.join(" or "))]
    SettingValue { name: &'static str, value: String, allowed: &'static [&'static str] },
    #[error("Account setting {0} is managed by AWS and cannot be changed here.")]
    SettingReadOnly(&'static str),
    #[error("Account setting {0} can be changed for the root user alone. Leave principalArn out.")]
    SettingOfRoot(&'static str),
    #[error("'{0}' is not the ARN of a user, a role or the root user of this account.")]
    SettingPrincipal(String),
    #[error("Only the root user can see or change the account settings of another principal.")]
    SettingOfOther,
    #[error("To filter by value, give the name of the account setting too.")]
    SettingValueAlone,

    // Tags
    #[error("A tag needs a key.")]
    TagKeyMissing,
    #[error("Duplicate tag key '{0}'. Use each key once.")]
    TagKeyTwice(String),
    #[error("The tag key '{0}' begins with aws:, which is reserved. Use another key.")]
    TagKeyReserved(String),
    #[error("A resource can carry at most {} tags. Remove some first.", crate::tags::TAGS_MAX)]
    TooManyTags,

    // Task definitions
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error("Unable to describe task definition.")]
    DefinitionUnknown,
    #[error("TaskDefinition not found.")]
    DefinitionNotFound,
    #[error("TaskDefinition is inactive")]
    DefinitionInactive,
    #[error("Revision is missing.")]
    RevisionMissing,
    #[error("Invalid revision number. Number: {0}")]
    RevisionInvalid(String),
    #[error("The specified task definition does not exist. Specify a valid account, family, revision and try again.")]
    DefinitionToDeregister,

    #[error("'{0}' has a zero byte, which ends a text. Leave it out and try again.")]
    ZeroByte(String),

    // What Longshore does not do yet
    #[error("Longshore does not support '{0}' yet. Leave it out and try again.")]
    FieldNotSupported(String),
    #[error("Longshore does not support launch type {0} yet. Use EC2.")]
    LaunchType(String),
    #[error(
        "Longshore does not run tasks in network mode awsvpc yet. Register the task definition with bridge, host or none."
    )]
    Awsvpc,

    #[error(
        "Longshore does not support '{member}' yet: no node has credentials of the role {role} to hand out. Run a task definition and overrides without a task role."
    )]
    TaskRole { member: &'static str, role: String },

    // Tasks
    #[error("count must be between 1 and {}.", crate::run_task::COUNT_MAX)]
    Count,
    #[error("{what} longer than {most}.")]
    Long { what: &'static str, most: usize },
    #[error("{what} contains invalid characters.")]
    Characters { what: &'static str },
    #[error("Tags cannot be propagated from a service to a task that no service runs. Use TASK_DEFINITION or NONE.")]
    PropagateService,
    #[error("Network Configuration must be provided when networkMode 'awsvpc' is specified.")]
    NetworkConfigurationMissing,
    #[error("Network Configuration is not valid for the given networkMode of this task definition.")]
    NetworkConfigurationNotValid,
    #[error("Invalid namespace for group")]
    GroupOfService,
    #[error("Override for container named {0} is not a container in the TaskDefinition.")]
    OverrideUnknown(String),
    #[error("name cannot be blank.")]
    OverrideNameless,
    #[error("Overrides name the container {0} more than once. Put them together.")]
    OverrideTwice(String),
    #[error("Invalid override of '{member}' for container '{container}'. It must be at least {least}.")]
    OverrideLittle { container: String, member: &'static str, least: i32 },
    #[error("Invalid override for container '{0}'. 'memory' must be greater than 'memoryReservation'.")]
    OverrideOrder(String),
    #[error(transparent)]
    NoInstances(#[from] plan::placement::NoInstances),
    #[error(
        "The client token was used with other parameters before. Repeat the first request unchanged, or use another token."
    )]
    TokenConflict { tasks: Vec<String> },

    #[error("Invalid expression '{text}': {error}.")]
    Expression { text: String, error: plan::query::QueryError },

    // Agents' reports
    #[error("Invalid status '{0}'. Use PENDING, RUNNING or STOPPED.")]
    Status(String),
    #[error("Invalid networkBindings. Each needs a containerPort and a hostPort.")]
    Binding,

    // Container instances
    #[error("totalResources must contain {0} with a value that is not negative.")]
    ResourceMissing(&'static str),
    #[error("totalResources contain '{0}', which is not one of CPU, MEMORY, PORTS and PORTS_UDP. Leave it out.")]
    ResourceUnknown(String),
    #[error("'{0}' is not a port. Use numbers from 1 to 65535.")]
    ResourcePort(String),
    #[error("instanceIdentityDocument is not a JSON object.")]
    IdentityDocument,
    #[error("Invalid status '{0}'. Use ACTIVE or DRAINING.")]
    InstanceStatus(String),
    #[error("Found running tasks on the instance.")]
    InstanceBusy,
    #[error("{tasks} tasks run on the instance, more than the {most} that one call can end. Stop some of them first.")]
    InstanceTooBusy { tasks: usize, most: usize },
    #[error("There is no update available for your container agent.")]
    NoAgentUpdate,
    #[error("The version of the container agent is not known, so it cannot be updated.")]
    AgentVersionUnknown,
    #[error("An attribute needs a targetId, the id or ARN of a container instance.")]
    AttributeTarget,
    #[error("A targetId that is no ARN needs the targetType container-instance beside it.")]
    AttributeTargetType,
    #[error("The target {0} was not found. Use a container instance that is registered in the cluster.")]
    AttributeTargetNotFound(String),
    #[error("Invalid attribute name '{0}'. Use 1 to 128 letters, digits, hyphens, underscores, slashes and periods.")]
    AttributeName(String),
    #[error("Invalid attribute value '{0}'. Use 1 to 128 letters, digits, spaces inside and any of - _ . @ / \\ :")]
    AttributeValue(String),
    #[error("The attribute '{0}' belongs to Amazon ECS. Use another name.")]
    AttributeReserved(String),
    #[error("An attribute is deleted by its name and target. Leave the value of '{0}' out.")]
    AttributeWithValue(String),
    #[error("To filter by attributeValue, give the attributeName too.")]
    AttributeValueAlone,
    #[error("A container instance can have at most {} attributes of your own.", crate::attributes::ATTRIBUTES_MAX)]
    TooManyAttributes,
    #[error("The container instance was deregistered. Register without containerInstanceArn to get a new one.")]
    InstanceInactive,

    #[error("A stored document cannot be read: {0}. Restore the data from a backup.")]
    Stored(String),
}

impl EcsError {
    /// The wire code.
    const fn code(&self) -> &'static str {
        match self {
            Self::ClusterNotFound => "ClusterNotFoundException",
            Self::ClusterContainsContainerInstances => "ClusterContainsContainerInstancesException",
            Self::ClusterContainsTasks => "ClusterContainsTasksException",
            Self::ServiceNotFound => "ServiceNotFoundException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::NoAgentUpdate => "NoUpdateAvailableException",
            Self::AgentVersionUnknown => "MissingVersionException",
            Self::AttributeTargetNotFound(_) => "TargetNotFoundException",
            Self::TooManyAttributes => "AttributeLimitExceededException",
            Self::SettingOfOther => "AccessDeniedException",
            Self::TokenConflict { .. } => "ConflictException",
            Self::LaunchType(_) | Self::Awsvpc => "UnsupportedFeatureException",
            Self::Stored(_) => "ServerException",
            Self::ClusterNotActive
            | Self::Definition(_)
            | Self::DefinitionUnknown
            | Self::DefinitionNotFound
            | Self::RevisionMissing
            | Self::RevisionInvalid(_)
            | Self::DefinitionToDeregister
            | Self::FieldNotSupported(_)
            | Self::ZeroByte(_)
            | Self::TaskRole { .. }
            | Self::InstanceInactive => "ClientException",
            _ => "InvalidParameterException",
        }
    }
}

impl From<EcsError> for ApiError {
    fn from(error: EcsError) -> Self {
        match &error {
            EcsError::Stored(_) => Self::server(error.code(), error.to_string()),
            EcsError::TokenConflict { tasks } => {
                Self::client(error.code(), error.to_string()).with_field("resourceIds", tasks.clone())
            }
            _ => Self::client(error.code(), error.to_string()),
        }
    }
}
