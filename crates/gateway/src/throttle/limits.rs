//! What AWS publishes of how often an account may call, by service and group of operations.

/// Calls at once, and calls a second from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub burst: u32,
    pub per_second: u32,
}

/// Operations that share a bucket.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub limit: Limit,
    pub operations: &'static [&'static str],
}

const fn group(name: &'static str, burst: u32, per_second: u32, operations: &'static [&'static str]) -> Group {
    Group { name, limit: Limit { burst, per_second }, operations }
}

/// A service that publishes one rate for each operation: a second's calls may come at once.
const fn rate(per_second: u32, operation: &'static [&'static str]) -> Group {
    let [name] = operation else { panic!("one operation") };
    group(name, per_second, per_second, operation)
}

/// Amazon ECS API reference, "Request throttling for the Amazon ECS API".
static ECS: &[Group] = &[
    group(
        "cluster modify",
        20,
        1,
        &["CreateCluster", "DeleteCluster", "PutClusterCapacityProviders", "UpdateCluster", "UpdateClusterSettings"],
    ),
    group("cluster read", 50, 20, &["DescribeClusters", "ListClusters"]),
    group("task definition modify", 20, 1, &["DeregisterTaskDefinition", "RegisterTaskDefinition"]),
    group(
        "task definition read",
        50,
        20,
        &["DescribeTaskDefinition", "ListTaskDefinitionFamilies", "ListTaskDefinitions"],
    ),
    group("task definition delete", 5, 1, &["DeleteTaskDefinitions"]),
    group(
        "capacity provider modify",
        10,
        1,
        &["CreateCapacityProvider", "DeleteCapacityProvider", "UpdateCapacityProvider"],
    ),
    group("capacity provider read", 50, 20, &["DescribeCapacityProviders"]),
    group("tag modify", 20, 10, &["TagResource", "UntagResource"]),
    group("tag read", 50, 20, &["ListTagsForResource"]),
    group("setting modify", 10, 1, &["DeleteAccountSetting", "PutAccountSetting", "PutAccountSettingDefault"]),
    group("setting read", 50, 20, &["ListAccountSettings"]),
    group(
        "cluster resource modify",
        100,
        40,
        &[
            "DeleteAttributes",
            "DeregisterContainerInstance",
            "ExecuteCommand",
            "PutAttributes",
            "RunTask",
            "StartTask",
            "StopTask",
            "UpdateContainerAgent",
            "UpdateContainerInstancesState",
        ],
    ),
    group(
        "cluster resource read",
        100,
        20,
        &["DescribeContainerInstances", "DescribeTasks", "ListAttributes", "ListContainerInstances", "ListTasks"],
    ),
    group(
        "agent modify",
        200,
        120,
        &[
            "RegisterContainerInstance",
            "SubmitAttachmentStateChanges",
            "SubmitContainerStateChange",
            "SubmitTaskStateChange",
        ],
    ),
    group(
        "service modify",
        50,
        5,
        &[
            "CreateService",
            "CreateTaskSet",
            "DeleteService",
            "DeleteTaskSet",
            "UpdateService",
            "UpdateServicePrimaryTaskSet",
            "UpdateTaskSet",
        ],
    ),
    group("service read", 100, 20, &["DescribeServices", "DescribeTaskSets", "ListServices"]),
    group(
        "service deployment read",
        50,
        20,
        &["DescribeServiceDeployments", "DescribeServiceRevisions", "ListServiceDeployments"],
    ),
    group("task protection", 200, 80, &["GetTaskProtection", "UpdateTaskProtection"]),
    group("namespace read", 10, 1, &["ListServicesByNamespace"]),
];

/// Amazon ECR user guide, "Amazon ECR service quotas".
static ECR: &[Group] = &[
    rate(1000, &["BatchCheckLayerAvailability"]),
    rate(2000, &["BatchGetImage"]),
    rate(100, &["CompleteLayerUpload"]),
    rate(500, &["GetAuthorizationToken"]),
    rate(3000, &["GetDownloadUrlForLayer"]),
    rate(100, &["InitiateLayerUpload"]),
    rate(10, &["PutImage"]),
    rate(500, &["UploadLayerPart"]),
];

/// Amazon CloudWatch Logs user guide, "CloudWatch Logs quotas"; of those that differ, what most regions have.
static LOGS: &[Group] = &[
    rate(10, &["CreateLogGroup"]),
    rate(50, &["CreateLogStream"]),
    rate(10, &["DeleteLogGroup"]),
    rate(15, &["DeleteLogStream"]),
    rate(5, &["DeleteRetentionPolicy"]),
    rate(10, &["DescribeLogGroups"]),
    rate(25, &["DescribeLogStreams"]),
    rate(10, &["FilterLogEvents"]),
    rate(25, &["GetLogEvents"]),
    rate(5, &["ListTagsForResource"]),
    rate(5, &["ListTagsLogGroup"]),
    rate(5000, &["PutLogEvents"]),
    rate(5, &["PutRetentionPolicy"]),
    rate(5, &["TagLogGroup"]),
    rate(5, &["TagResource"]),
    rate(5, &["UntagLogGroup"]),
    rate(5, &["UntagResource"]),
];

/// AWS IAM user guide, "IAM and AWS STS quotas".
static STS: &[Group] = &[group(
    "signed",
    600,
    600,
    &[
        "AssumeRole",
        "DecodeAuthorizationMessage",
        "GetAccessKeyInfo",
        "GetCallerIdentity",
        "GetFederationToken",
        "GetSessionToken",
    ],
)];

/// Every limit, by service.
pub static GROUPS: [(&str, &[Group]); 4] = [("ecs", ECS), ("ecr", ECR), ("logs", LOGS), ("sts", STS)];

pub fn group_of(service: &str, operation: &str) -> Option<&'static Group> {
    let (_, groups) = GROUPS.iter().find(|(name, _)| *name == service)?;
    groups.iter().find(|group| group.operations.contains(&operation))
}
