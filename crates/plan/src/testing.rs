//! Rows for the tests of this room.

use base::Timestamp;
use state::{
    ContainerInstance, Delivery, DesiredStatus, InstanceStatus, LastStatus, PortMapping, PortProtocol, Resources, Tags,
    Task, TaskContainer, Timeline,
};
use std::collections::BTreeMap;

pub fn container(name: &str, essential: bool) -> TaskContainer {
    TaskContainer {
        name: name.into(),
        uuid: String::new(),
        image: "busybox".into(),
        image_digest: None,
        runtime_id: None,
        last: LastStatus::Pending,
        health: None,
        exit_code: None,
        reason: None,
        bindings: Vec::new(),
        essential,
        cpu: 0,
        memory_mib: None,
        memory_reservation_mib: None,
        ports: Vec::new(),
        log: None,
    }
}

/// A pending task with one essential container `web` that maps `ports`.
pub fn task(id: &str, cpu: u32, memory_mib: u32, ports: Vec<PortMapping>) -> Task {
    Task {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        id: id.into(),
        family: "web".into(),
        revision: 1,
        instance: None,
        group: "family:web".into(),
        started_by: None,
        launch_type: "EC2".into(),
        desired: DesiredStatus::Running,
        last: LastStatus::Pending,
        containers: vec![TaskContainer { ports, ..container("web", true) }],
        overrides: "{}".into(),
        cpu,
        memory_mib,
        cpu_shown: None,
        memory_shown: None,
        times: Timeline::default(),
        stop_code: None,
        because: String::new(),
        stopped_reason: None,
        stopped_by: None,
        delivery: Delivery::default(),
        log_mode: state::LogMode::default(),
        tags: Tags::new(),
        version: 1,
    }
}

/// A connected node with SSH's port reserved.
pub fn instance(id: &str, cpu: u32, memory_mib: u32) -> ContainerInstance {
    ContainerInstance {
        account: "000000000000".into(),
        region: "us-east-1".into(),
        cluster: "default".into(),
        id: id.into(),
        status: InstanceStatus::Active,
        agent_connected: true,
        registered: Resources { cpu, memory_mib, ports_tcp: [22].into(), ports_udp: [].into() },
        agent_attributes: Vec::new(),
        custom_attributes: BTreeMap::new(),
        agent_version: None,
        agent_hash: None,
        docker_version: None,
        ec2_instance_id: None,
        registered_at: Timestamp::default(),
        tags: Tags::new(),
        version: 1,
    }
}

/// Mappings by host port: `tcp:80 udp:53 tcp:0`.
pub fn ports(text: &str) -> Vec<PortMapping> {
    text.split_whitespace()
        .map(|word| {
            let (protocol, port) = word.split_once(':').expect("protocol:port");
            let protocol = if protocol == "udp" { PortProtocol::Udp } else { PortProtocol::Tcp };
            PortMapping { container_port: 8080, host_port: port.parse().expect("a port"), protocol, range_end: None }
        })
        .collect()
}
