//! The ECS agent protocol (ACS): what control plane and node say to each other over a websocket.
//!
//! Each text frame is `{"type": …, "message": {…}}`; [`Frame`] is one of them. Every member is
//! optional on the wire, and members that are not listed are passed over, because a newer peer
//! may know more. Times are Unix milliseconds unless a name says otherwise.

pub mod docker;

use crate::types::Sensitive;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The `reason` of SubmitTaskStateChange for a task that ended because its node was taken down. ECS has no word of
/// its own for it: a host that ends cannot report there.
pub const HOST_STOPPED: &str = "HostStopped";

/// Declares messages whose members are all optional and go by camelCase names.
macro_rules! messages {
    ($case:literal; $($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = $case)]
        pub struct $name {$(
            $(#[$note])*
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $member: Option<$type>,
        )*}
    )*};
}
use messages;

/// Declares [`Frame`]: a variant for each wire type, of that very name.
macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One frame of the agent protocol.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Frame {$(
            $(#[$doc])*
            $name($name),
        )*}

        impl Frame {
            /// Reads one text frame.
            pub fn parse(text: &str) -> Result<Self, FrameError> {
                let envelope: Envelope = serde_json::from_str(text).map_err(FrameError::Envelope)?;
                match &*envelope.kind {
                    $(stringify!($name) => Ok(Self::$name(envelope.read()?)),)*
                    other => Err(FrameError::UnknownType(other.to_owned())),
                }
            }

            /// The text frame.
            pub fn to_text(&self) -> String {
                match self {
                    $(Self::$name(message) => {
                        serde_json::json!({ "type": stringify!($name), "message": message }).to_string()
                    })*
                }
            }
        }

        $(impl From<$name> for Frame {
            fn from(message: $name) -> Self {
                Self::$name(message)
            }
        })*
    };
}

frames! {
    /// Control plane to node: tasks to start, or to stop by their desired status.
    PayloadMessage,
    /// Node to control plane: a message was taken.
    AckRequest,
    /// Node to control plane: a message was refused.
    NackRequest,
    /// Control plane to node, at least once a minute.
    HeartbeatMessage,
    HeartbeatAckRequest,
    /// Control plane to node: everything that should run; what is missing in it should stop.
    TaskManifestMessage,
    /// Node to control plane: what it runs that the manifest lacked.
    TaskStopVerificationMessage,
    /// Control plane to node: which of these to stop.
    TaskStopVerificationAck,
    /// Control plane to node: renewed credentials of a task's role.
    IAMRoleCredentialsMessage,
    IAMRoleCredentialsAckRequest,
    /// Control plane to node: connect again.
    CloseMessage,
    ErrorMessage,
    /// Extension, control plane to node: [`TaskEventsMessage`] is welcome. Only nodes that show a `longshore.`
    /// attribute hear it, and only who heard it sends any.
    TaskEventsRequest,
    /// Extension, node to control plane: what happened to its tasks, batched.
    TaskEventsMessage,
    /// Extension, control plane to node: all events up to this sequence are kept.
    TaskEventsAck,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
}

impl<'a> Envelope<'a> {
    fn read<M: Deserialize<'a>>(&self) -> Result<M, FrameError> {
        serde_json::from_str(self.message.get())
            .map_err(|source| FrameError::Message { kind: self.kind.to_string(), source })
    }
}

/// Why a text is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error(r#"not a frame {{"type", "message"}}: {0}; close the session"#)]
    Envelope(serde_json::Error),
    #[error("frame type '{0}' is not known here; pass it over")]
    UnknownType(String),
    #[error("a {kind} with a member of another type: {source}; refuse it")]
    Message { kind: String, source: serde_json::Error },
}

messages! { "camelCase";
    PayloadMessage {
        cluster_arn: String,
        container_instance_arn: String,
        tasks: Vec<Task>,
        generated_at: i64,
        message_id: String,
        seq_num: i64,
        timeline: i64,
    }

    AckRequest {
        cluster: String,
        container_instance: String,
        message_id: String,
    }

    NackRequest {
        cluster: String,
        container_instance: String,
        message_id: String,
        reason: String,
    }

    HeartbeatMessage {
        healthy: bool,
        message_id: String,
    }

    HeartbeatAckRequest {
        message_id: String,
    }

    TaskManifestMessage {
        cluster_arn: String,
        container_instance_arn: String,
        tasks: Vec<TaskIdentifier>,
        generated_at: i64,
        message_id: String,
        /// A node drops a manifest that is not newer than its last.
        timeline: i64,
    }

    TaskIdentifier {
        task_arn: String,
        task_cluster_arn: String,
        /// `RUNNING` or `STOPPED`.
        desired_status: String,
    }

    TaskStopVerificationMessage {
        message_id: String,
        stop_candidates: Vec<TaskIdentifier>,
    }

    TaskStopVerificationAck {
        generated_at: i64,
        message_id: String,
        stop_tasks: Vec<TaskIdentifier>,
    }

    IAMRoleCredentialsMessage {
        task_arn: String,
        task_cluster_arn: String,
        role_credentials: IAMRoleCredentials,
        /// `TaskApplication` or `TaskExecution`.
        role_type: String,
        message_id: String,
    }

    IAMRoleCredentials {
        credentials_id: String,
        role_arn: String,
        access_key_id: String,
        secret_access_key: Sensitive<String>,
        session_token: Sensitive<String>,
        /// RFC 3339.
        expiration: String,
        credential_scope: String,
    }

    IAMRoleCredentialsAckRequest {
        message_id: String,
        expiration: String,
        credentials_id: String,
    }

    CloseMessage {
        message: String,
    }

    ErrorMessage {
        message: String,
    }

    TaskEventsRequest {
        message_id: String,
    }

    TaskEventsMessage {
        /// Of this life of the agent: another begins to count anew.
        origin: String,
        /// The last event's; they are numbered without gaps.
        sequence: i64,
        events: Vec<TaskEvent>,
    }

    TaskEventsAck {
        origin: String,
        sequence: i64,
    }

    /// Something that happened to a task.
    TaskEvent {
        task_arn: String,
        at: i64,
        /// Such as `PULLED` or `EXITED`.
        kind: String,
        container: String,
        /// For people, in full.
        text: String,
        exit_code: i64,
        /// Number of the signal that ended the process.
        signal: i64,
        out_of_memory: bool,
        /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`: what the container's health became.
        health: String,
        /// Fetched from a registry.
        bytes: i64,
    }

    Task {
        arn: String,
        task_cluster_arn: String,
        containers: Vec<Container>,
        /// `RUNNING` or `STOPPED`.
        desired_status: String,
        family: String,
        overrides: String,
        /// The task definition's revision.
        version: String,
        task_definition_account_id: String,
        volumes: Vec<Volume>,
        role_credentials: IAMRoleCredentials,
        execution_role_credentials: IAMRoleCredentials,
        /// vCPUs.
        cpu: f64,
        /// MiB.
        memory: i64,
        pid_mode: String,
        ipc_mode: String,
        launch_type: String,
        network_mode: String,
        service_name: String,
        group: String,
        enable_fault_injection: bool,
    }

    Container {
        name: String,
        image: String,
        container_arn: String,
        essential: bool,
        command: Vec<String>,
        entry_point: Vec<String>,
        environment: BTreeMap<String, String>,
        environment_files: Vec<EnvironmentFile>,
        secrets: Vec<Secret>,
        /// Docker's CPU shares: 1024 stand for a core.
        cpu: i64,
        /// MiB.
        memory: i64,
        links: Vec<String>,
        port_mappings: Vec<PortMapping>,
        mount_points: Vec<MountPoint>,
        volumes_from: Vec<VolumeFrom>,
        linux_parameters: LinuxParameters,
        /// A JSON text: ECS's containerOverride.
        overrides: String,
        docker_config: DockerConfig,
        /// `docker`: the health check is in the Docker configuration.
        health_check_type: String,
        registry_authentication: RegistryAuthenticationData,
        /// `ExecutionRole`.
        logs_auth_strategy: String,
        depends_on: Vec<ContainerDependency>,
        /// Seconds.
        start_timeout: i64,
        /// Seconds.
        stop_timeout: i64,
        restart_policy: RestartPolicy,
    }

    /// Docker Engine API JSON, as texts: [`docker::Config`] and [`docker::HostConfig`].
    DockerConfig {
        /// Docker Engine API version, `1.17` or later.
        version: String,
        config: String,
        host_config: String,
    }

    RestartPolicy {
        enabled: bool,
        ignored_exit_codes: Vec<i64>,
        /// Seconds.
        restart_attempt_period: i64,
    }

    ContainerDependency {
        container_name: String,
        /// `START`, `COMPLETE`, `SUCCESS` or `HEALTHY`.
        condition: String,
    }

    EnvironmentFile {
        value: String,
        /// `s3`.
        r#type: String,
    }

    Secret {
        name: String,
        value_from: String,
        container_path: String,
        /// `ENVIRONMENT_VARIABLE`, `MOUNT_POINT` or `BOOTSTRAP`.
        r#type: String,
        region: String,
        /// `ssm` or `asm`.
        provider: String,
        /// `CONTAINER` or `LOG_DRIVER`.
        target: String,
    }

    PortMapping {
        container_port: i64,
        host_port: i64,
        container_port_range: String,
        /// `tcp` or `udp`.
        protocol: String,
    }

    MountPoint {
        source_volume: String,
        container_path: String,
        read_only: bool,
    }

    VolumeFrom {
        source_container: String,
        read_only: bool,
    }

    LinuxParameters {
        capabilities: KernelCapabilities,
        devices: Vec<Device>,
        init_process_enabled: bool,
        /// MiB.
        shared_memory_size: i64,
    }

    KernelCapabilities {
        add: Vec<String>,
        drop: Vec<String>,
    }

    Device {
        host_path: String,
        container_path: String,
        /// Of `read`, `write`, `mknod`.
        permissions: Vec<String>,
    }

    RegistryAuthenticationData {
        /// `ecr` or `asm`.
        r#type: String,
        ecr_auth_data: EcrAuthData,
        asm_auth_data: AsmAuthData,
    }

    EcrAuthData {
        registry_id: String,
        region: String,
        endpoint_override: String,
        use_execution_role: bool,
    }

    AsmAuthData {
        credentials_parameter: String,
        region: String,
    }

    Volume {
        name: String,
        /// `host` or `docker`.
        r#type: String,
        host: HostVolumeProperties,
        docker_volume_configuration: DockerVolumeConfiguration,
    }

    HostVolumeProperties {
        source_path: String,
    }

    DockerVolumeConfiguration {
        /// `task` or `shared`.
        scope: String,
        autoprovision: bool,
        driver: String,
        driver_opts: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
    }
}

#[cfg(test)]
mod tests;
