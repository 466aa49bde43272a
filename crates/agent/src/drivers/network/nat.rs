//! The node's firewall table: masquerading, published ports, and what guards the host.
//!
//! The whole table is replaced in one `nft` call (14 ms, one transaction), so there is one road for the first
//! port, the last one, a restart and a firewall that someone flushed. Published ports are maps: the number of
//! rules that a packet passes does not grow with them.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::address::Subnet;
use super::ports::Binding;
use crate::drivers::Error;
use crate::drivers::spec::Protocol;

/// What the table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table<'a> {
    /// The bridge, and the table's own name.
    pub bridge: &'a str,
    pub subnet: Subnet,
    /// Each container's address and published ports.
    pub published: Vec<(Ipv4Addr, Vec<Binding>)>,
    /// Forwarding was off before we turned it on: what neither comes from nor goes to a bridge is still not
    /// forwarded.
    pub guards_forwarding: bool,
}

impl Table<'_> {
    pub async fn load(&self) -> Result<(), Error> {
        run_nft(&self.ruleset()).await
    }

    fn ruleset(&self) -> String {
        let Self { bridge, subnet, .. } = self;
        let tcp = self.elements(Protocol::Tcp);
        let udp = self.elements(Protocol::Udp);
        let to_containers = "fib daddr type local dnat ip to tcp dport map @tcp_ports\n    \
                             fib daddr type local dnat ip to udp dport map @udp_ports";
        let guard =
            if self.guards_forwarding { "meta iifkind != \"bridge\" meta oifkind != \"bridge\" drop" } else { "" };
        format!(
            r#"add table ip {bridge}
delete table ip {bridge}
table ip {bridge} {{
  map tcp_ports {{ type inet_service : ipv4_addr . inet_service;{tcp} }}
  map udp_ports {{ type inet_service : ipv4_addr . inet_service;{udp} }}
  chain shield {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ip daddr 127.0.0.0/8 drop
  }}
  chain arriving {{
    type nat hook prerouting priority dstnat; policy accept;
    {to_containers}
  }}
  chain local {{
    type nat hook output priority -100; policy accept;
    {to_containers}
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
    ip saddr 127.0.0.0/8 oifname "{bridge}" masquerade
    ip saddr {subnet} oifname "{bridge}" ct status dnat masquerade
  }}
  chain passing {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" accept
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" ct status dnat accept
    oifname "{bridge}" drop
    {guard}
  }}
}}
"#
        )
    }

    fn elements(&self, protocol: Protocol) -> String {
        let mut text = String::new();
        for (address, bindings) in &self.published {
            for binding in bindings.iter().filter(|binding| binding.protocol == protocol) {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a String cannot fail.
                let _ = write!(text, "{comma}{} : {address} . {}", binding.host_port, binding.container_port);
            }
        }
        if text.is_empty() { text } else { format!(" elements = {{ {text} }}") }
    }
}

/// Removes the table; it is no error when there is none.
pub(super) async fn remove(bridge: &str) -> Result<(), Error> {
    run_nft(&format!("add table ip {bridge}\ndelete table ip {bridge}\n")).await
}

async fn run_nft(script: &str) -> Result<(), Error> {
    let failed = |problem: String| Error::network("load the firewall table with nft", problem);
    let output = feed_nft(script).await.map_err(|error| failed(format!("{error}; is nftables installed?")))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())) }
}

async fn feed_nft(script: &str) -> io::Result<std::process::Output> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await?;
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_full() {
        let binding = |container_port, host_port, protocol| Binding { container_port, host_port, protocol };
        let table = Table {
            bridge: "longshore0",
            subnet: "172.29.0.0/16".parse().expect("subnet"),
            published: vec![
                (Ipv4Addr::new(172, 29, 0, 2), vec![binding(80, 8080, Protocol::Tcp), binding(53, 53, Protocol::Udp)]),
                (Ipv4Addr::new(172, 29, 0, 3), vec![binding(80, 32768, Protocol::Tcp)]),
            ],
            guards_forwarding: true,
        };
        insta::assert_snapshot!(table.ruleset());
        let quiet = Table { published: Vec::new(), guards_forwarding: false, ..table };
        assert!(!quiet.ruleset().contains("elements") && !quiet.ruleset().contains("iifkind"));
    }
}
