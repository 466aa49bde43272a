//! What a container learns of those that it links to, as in Docker: a line for `/etc/hosts`, and variables.
//!
//! <https://docs.docker.com/engine/network/links/>, "Environment variables".

use crate::order::ContainerOrder;
use oci::image_config::ContainerConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Variables of the other container that are not handed on: they are about itself.
const NOT_HANDED_ON: [&str; 2] = ["HOME", "PATH"];

/// A running container of the task, as the one that links to it sees it.
pub struct Linked<'a> {
    pub alias: &'a str,
    pub order: &'a ContainerOrder,
    pub image: &'a ContainerConfig,
    /// As it calls itself.
    pub hostname: String,
    pub address: Ipv4Addr,
}

impl Linked<'_> {
    /// Names and address for `/etc/hosts`.
    pub fn host(&self) -> (String, std::net::IpAddr) {
        let mut names = vec![self.alias, &self.hostname];
        if self.order.name != self.alias {
            names.push(&self.order.name);
        }
        (names.join(" "), self.address.into())
    }

    /// Variables for the container of the name `of`.
    pub fn variables(&self, of: &str) -> BTreeMap<String, String> {
        let prefix = self.alias.to_ascii_uppercase().replace('-', "_");
        let mut variables = BTreeMap::from([(format!("{prefix}_NAME"), format!("/{of}/{}", self.alias))]);
        let ports = self.ports();
        if let Some((port, protocol)) = ports.first() {
            variables.insert(format!("{prefix}_PORT"), self.url(*port, protocol));
        }
        for (port, protocol) in &ports {
            let name = format!("{prefix}_PORT_{port}_{}", protocol.to_ascii_uppercase());
            variables.insert(format!("{name}_ADDR"), self.address.to_string());
            variables.insert(format!("{name}_PORT"), port.to_string());
            variables.insert(format!("{name}_PROTO"), (*protocol).to_owned());
            variables.insert(name, self.url(*port, protocol));
        }
        let own = self.image.env.iter().filter_map(|pair| pair.split_once('='));
        let own = own.map(|(name, value)| (name, value.to_owned()));
        let ordered = self.order.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in own.chain(ordered).filter(|(name, _)| !NOT_HANDED_ON.contains(name)) {
            variables.insert(format!("{prefix}_ENV_{name}"), value);
        }
        variables
    }

    fn url(&self, port: u16, protocol: &str) -> String {
        format!("{protocol}://{}:{port}", self.address)
    }

    /// What the image exposes and the task maps, by number and then protocol.
    fn ports(&self) -> BTreeSet<(u16, &str)> {
        let exposed = self.image.exposed_ports.iter().filter_map(|text| {
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            Some((port.parse().ok()?, protocol))
        });
        let mapped = self.order.ports.iter().flat_map(|port| {
            let protocol = if port.udp { "udp" } else { "tcp" };
            (port.container_port..=port.range_end.unwrap_or(port.container_port)).map(move |port| (port, protocol))
        });
        exposed.chain(mapped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Port;

    #[test]
    fn a_link_is_told_as_docker_tells_it() {
        let order = ContainerOrder {
            name: "postgres".to_owned(),
            ports: vec![Port { container_port: 53, host_port: None, udp: true, range_end: None }],
            environment: [("A".to_owned(), "task".to_owned()), ("PATH".to_owned(), "/x".to_owned())].into(),
            ..ContainerOrder::default()
        };
        let image = ContainerConfig {
            exposed_ports: vec!["5432/tcp".to_owned()],
            env: vec!["A=image".to_owned(), "B=image".to_owned()],
            ..ContainerConfig::default()
        };
        let address = Ipv4Addr::new(172, 29, 0, 2);
        let linked = Linked { alias: "my-db", order: &order, image: &image, hostname: "0123".to_owned(), address };
        assert_eq!(linked.host(), ("my-db 0123 postgres".to_owned(), address.into()));
        let told: Vec<String> = linked.variables("web").iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = "MY_DB_ENV_A=task MY_DB_ENV_B=image MY_DB_NAME=/web/my-db MY_DB_PORT=udp://172.29.0.2:53 \
            MY_DB_PORT_5432_TCP=tcp://172.29.0.2:5432 MY_DB_PORT_5432_TCP_ADDR=172.29.0.2 MY_DB_PORT_5432_TCP_PORT=5432 \
            MY_DB_PORT_5432_TCP_PROTO=tcp MY_DB_PORT_53_UDP=udp://172.29.0.2:53 MY_DB_PORT_53_UDP_ADDR=172.29.0.2 \
            MY_DB_PORT_53_UDP_PORT=53 MY_DB_PORT_53_UDP_PROTO=udp";
        let mut told = told;
        told.sort();
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }
}
