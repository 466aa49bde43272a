//! What RegisterTaskDefinition refuses. All of it is a ClientException.

use crate::definition::limits::{
    CONTAINERS_MAX, CPU_UNITS, DEFINITION_BYTES_MAX, FARGATE_TIMEOUT_SECS, IMAGE_CHARS_MAX, PORT_NAME_CHARS_MAX,
    PORT_RANGES_MAX,
};
use crate::names::NAME_CHARS_MAX;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    #[error("Family can not be blank.")]
    FamilyBlank,
    #[error("Family longer than {NAME_CHARS_MAX}.")]
    FamilyLong,
    #[error("Family contains invalid characters.")]
    FamilyCharacters,
    #[error("Role is not valid")]
    Role,
    #[error(
        "{0} reaches the host, and this server takes calls of anyone (--no-auth): start it with --no-auth-allow-host \
         as well to allow that"
    )]
    ReachesHost(&'static str),
    #[error("The task definition has {0} bytes, more than {DEFINITION_BYTES_MAX}.")]
    Large(usize),

    // Sizes of the task
    #[error(
        "Invalid 'cpu' setting for task. Use {} to {} CPU units, or vCPUs such as '1 vCPU'.",
        CPU_UNITS.start(),
        CPU_UNITS.end()
    )]
    TaskCpu,
    #[error("Invalid 'memory' setting for task. Use MiB, or GB such as '2 GB'.")]
    TaskMemory,
    #[error("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.")]
    CpuSum,
    #[error("The sum of all container 'memory' values cannot be greater than the value of the task 'memory'.")]
    MemorySum,

    // Containers
    #[error("Container list cannot be empty.")]
    NoContainers,
    #[error("A task definition can have at most {CONTAINERS_MAX} containers.")]
    TooManyContainers,
    #[error("Container names must be unique within a Task Definition.")]
    NamesNotUnique,
    #[error("At least one container must be essential.")]
    NoneEssential,
    #[error("Container.name should not be null or empty.")]
    NameEmpty,
    #[error("Container.name longer than {NAME_CHARS_MAX}.")]
    NameLong,
    #[error("Container.name contains invalid characters.")]
    NameCharacters,
    #[error("Container.image should not be null or empty.")]
    ImageEmpty,
    #[error("Container.image should be {IMAGE_CHARS_MAX} characters or less")]
    ImageLong,
    #[error("Container.image contains invalid characters.")]
    ImageCharacters,
    #[error("Invalid 'environment' setting for container '{0}'. Give every variable a name.")]
    EnvironmentName(String),
    #[error("Invalid setting for container '{0}'. At least one of 'memory' or 'memoryReservation' must be specified.")]
    MemoryMissing(String),
    #[error("Invalid setting for container '{0}'. 'memory' must be greater than 'memoryReservation'.")]
    MemoryOrder(String),
    #[error("Invalid '{member}' setting for container '{container}'. It must be at least {least}.")]
    TooLittle { container: String, member: &'static str, least: i32 },

    #[error("Invalid '{member}' setting for container '{container}'. {problem}")]
    Setting { container: String, member: &'static str, problem: String },
    #[error("The container has an invalid tmpfs size value specified. It must be a non-zero, non-negative integer.")]
    TmpfsSize,
    #[error("Links are not supported when networkMode={0}.")]
    LinksInMode(&'static str),
    #[error("hostname is not supported on container when networkMode=awsvpc.")]
    HostnameInAwsvpc,
    #[error("Disable Networking is not supported on container when networkMode=awsvpc.")]
    DisabledInAwsvpc,
    #[error("Extra hosts are not supported when networkMode=awsvpc.")]
    ExtraHostsInAwsvpc,

    // Ports
    #[error("portMappings is not supported on container when networkMode=none.")]
    PortsInNone,
    #[error("Invalid '{member}' setting for container '{container}'.")]
    Port { container: String, member: &'static str },
    #[error("When networkMode={0}, the host ports and container ports in port mappings must match.")]
    PortsDiffer(&'static str),
    #[error(
        "Port mapping name '{0}' is not valid. Use up to {PORT_NAME_CHARS_MAX} lower-case letters, digits, underscores and hyphens, the first not a hyphen."
    )]
    PortName(String),
    #[error("Port mapping name '{0}' is there twice. Port mapping names must be unique within a task definition.")]
    PortNameTwice(String),
    #[error("Invalid 'containerPort' setting for container '{container}'. Port {port} can have one protocol.")]
    PortProtocols { container: String, port: u16 },
    #[error(
        "Invalid 'containerPortRange' setting for container '{container}'. Use first-last, the first less than the last and both between 1 and 65535."
    )]
    PortRange { container: String },
    #[error(
        "Invalid 'portMappings' setting for container '{container}'. cannot specify both single port and port range."
    )]
    PortAndRange { container: String },
    #[error(
        "Invalid 'containerPortRange' setting for container '{container}'. Port {port} is in more than one mapping."
    )]
    PortRangesOverlap { container: String, port: u16 },
    #[error("Invalid 'portMappings' setting for container '{container}'. Use at most {PORT_RANGES_MAX} port ranges.")]
    PortRanges { container: String },
    #[error("containerPortRange is not supported on container when networkMode={0}.")]
    PortRangeInMode(&'static str),
    #[error("Invalid 'hostPort' setting for container '{container}'. Host port {port} is mapped twice.")]
    HostPortTwice { container: String, port: u16 },

    // Order, health, restarts
    // AWS's own text, as people have met it.
    #[error("Cannot depend on container + '{0}' because it does not exist")]
    DependencyUnknown(String),
    #[error("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")]
    DependencyEssential,
    #[error("Container dependencies should not have a cycle")]
    DependencyCycle,
    #[error(
        "Container '{container}' cannot depend on container '{on}' with condition HEALTHY: it has no health check. Give it a healthCheck, or use another condition."
    )]
    DependencyWithoutHealth { container: String, on: String },

    // Volumes; AWS's own texts where people have met them
    #[error("Volume.name should not be null or empty.")]
    VolumeNameEmpty,
    #[error("Invalid volume name '{0}'. Use 1 to 255 letters, digits, hyphens and underscores.")]
    VolumeName(String),
    #[error("Volume names must be unique in a task definition, and '{0}' is there twice.")]
    VolumeTwice(String),
    #[error("When the volume parameter is specified, only one volume configuration type should be used.")]
    VolumeKinds,
    #[error("When 'scope' parameter is 'task', 'autoprovision' must either not be specified or set to 'True'.")]
    TaskVolumeNotMade,
    #[error("Invalid driverOpts of a volume: missing required option: \"{0}\"")]
    VolumeOption(&'static str),
    #[error("Unknown volume '{0}'.")]
    VolumeUnknown(String),
    #[error("containerPath values aren't unique across mountPoints.")]
    MountTwice,
    #[error("Fargate compatible task definitions do not support sourcePath")]
    FargateHostPath,

    // Logs
    #[error("Log driver {driver} requires options: {options}")]
    LogOptionsMissing { driver: &'static str, options: String },
    #[error("Log driver {driver} disallows options: {options}")]
    LogOptionsForeign { driver: &'static str, options: String },
    #[error("Log driver {driver} option '{name}' must be {allowed}, not '{value}'.")]
    LogOption { driver: &'static str, name: &'static str, allowed: String, value: String },
    #[error("logger: max-buffer-size option is only supported with 'mode=non-blocking'")]
    LogBufferOfBlocking,
    #[error("you cannot configure log opt 'awslogs-datetime-format' and 'awslogs-multiline-pattern' at the same time")]
    LogPatterns,
    #[error("Fargate supports the log drivers awslogs, splunk and awsfirelens, not {0}.")]
    FargateLogDriver(String),

    // Instances
    #[error("No container instance here runs {0}. Use operatingSystemFamily LINUX, or leave it out.")]
    OperatingSystem(String),

    // Launch types
    #[error("Fargate only supports network mode ‘awsvpc’.")]
    FargateMode,
    #[error("Fargate requires that '{0}' be defined at the task level.")]
    FargateSizeMissing(&'static str),
    #[error("No Fargate configuration exists for given values.")]
    FargateSize,
    #[error(
        "Fargate supports a '{member}' of {} to {} seconds.",
        FARGATE_TIMEOUT_SECS.start(),
        FARGATE_TIMEOUT_SECS.end()
    )]
    FargateTimeout { member: &'static str },
    #[error("Fargate compatible task definitions do not support {0}.")]
    FargateMember(&'static str),
    #[error("Fargate requires that the 'privileged' setting be 'false'.")]
    FargatePrivileged,
    #[error("Fargate supports adding the capability SYS_PTRACE alone, not {0}.")]
    FargateCapability(String),
    #[error("External only supports network modes 'bridge', 'host' and 'none'.")]
    ExternalMode,
    #[error("Managed Instances only supports network modes 'awsvpc' and 'host'.")]
    ManagedInstancesMode,
}
