//! Limits of task definitions.

use std::ops::RangeInclusive;

/// Containers of one definition (Amazon ECS service quotas).
pub const CONTAINERS_MAX: usize = 10;

/// Bytes of one definition: 64 KiB (Amazon ECS service quotas).
pub const DEFINITION_BYTES_MAX: usize = 64 * 1024;

/// CPU units of a task (Amazon ECS API reference, RegisterTaskDefinition).
pub const CPU_UNITS: RangeInclusive<u32> = 128..=196_608;

/// MiB of a container's hard or soft limit, at least (Amazon ECS API reference, ContainerDefinition).
pub const MEMORY_MIB_MIN: i32 = 6;

/// Characters of a port mapping's name (Amazon ECS API reference, PortMapping).
pub const PORT_NAME_CHARS_MAX: usize = 64;

/// Characters of an image's name and tag (Amazon ECS API reference, ContainerDefinition).
pub const IMAGE_CHARS_MAX: usize = 255;

/// Seconds that a Fargate container may take to stop, and be waited for (Amazon ECS API reference, ContainerDefinition).
pub const FARGATE_TIMEOUT_SECS: RangeInclusive<i32> = 2..=120;

/// Characters of a host name that Linux takes (sethostname(2)), and of a domain name (RFC 1035, 2.3.4).
pub const HOSTNAME_CHARS_MAX: usize = 64;
pub const DOMAIN_CHARS_MAX: usize = 253;

/// Amazon ECS API reference, LinuxParameters.
pub const SWAPPINESS_MAX: i32 = 100;

/// Port ranges of a container (Amazon ECS API reference, PortMapping).
pub const PORT_RANGES_MAX: usize = 100;

/// Seconds between health checks, seconds that one may take, failures in a row, and seconds during which failures do
/// not count (Amazon ECS API reference, HealthCheck).
pub const HEALTH_INTERVAL_SECS: RangeInclusive<i32> = 5..=300;
pub const HEALTH_TIMEOUT_SECS: RangeInclusive<i32> = 2..=60;
pub const HEALTH_RETRIES: RangeInclusive<i32> = 1..=10;
pub const HEALTH_START_PERIOD_SECS: RangeInclusive<i32> = 0..=300;

/// Seconds that a container must have run to be started again, and exit codes that a policy may ignore (Amazon ECS API
/// reference, ContainerRestartPolicy).
pub const RESTART_PERIOD_SECS: RangeInclusive<i32> = 60..=1800;
pub const IGNORED_EXIT_CODES_MAX: usize = 50;
