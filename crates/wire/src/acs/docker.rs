//! The Docker Engine API's container configuration, as far as a task definition can ask for it.
//!
//! ACS carries both structures as JSON texts in [`DockerConfig`](super::DockerConfig).

use super::messages;
use std::collections::BTreeMap;

messages! { "PascalCase";
    /// Docker's `Config`.
    Config {
        user: String,
        working_dir: String,
        hostname: String,
        labels: BTreeMap<String, String>,
        tty: bool,
        open_stdin: bool,
        network_disabled: bool,
        healthcheck: Healthcheck,
    }

    Healthcheck {
        /// `["CMD", …]` or `["CMD-SHELL", command]`.
        test: Vec<String>,
        /// Nanoseconds.
        interval: i64,
        /// Nanoseconds.
        timeout: i64,
        /// Nanoseconds.
        start_period: i64,
        retries: i64,
    }

    /// Docker's `HostConfig`.
    HostConfig {
        network_mode: String,
        cap_add: Vec<String>,
        cap_drop: Vec<String>,
        privileged: bool,
        readonly_rootfs: bool,
        dns: Vec<String>,
        dns_search: Vec<String>,
        /// `name:address`.
        extra_hosts: Vec<String>,
        security_opt: Vec<String>,
        ulimits: Vec<Ulimit>,
        log_config: LogConfig,
        /// Bytes.
        memory_reservation: i64,
        init: bool,
        /// Bytes.
        shm_size: i64,
        /// Paths to mount options.
        tmpfs: BTreeMap<String, String>,
        devices: Vec<DeviceMapping>,
        sysctls: BTreeMap<String, String>,
        /// Bytes of memory and swap together; −1 for no limit.
        memory_swap: i64,
        /// 0 to 100.
        memory_swappiness: i64,
    }

    Ulimit {
        name: String,
        soft: i64,
        hard: i64,
    }

    LogConfig {
        /// The log driver, such as `awslogs`.
        r#type: String,
        config: BTreeMap<String, String>,
    }

    DeviceMapping {
        path_on_host: String,
        path_in_container: String,
        /// Of the letters `r`, `w`, `m`.
        cgroup_permissions: String,
    }
}
