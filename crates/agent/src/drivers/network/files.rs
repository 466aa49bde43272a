//! The files under `/etc` by which a container knows names: `hosts`, `hostname` and `resolv.conf`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::drivers::spec::{BindMount, ContainerSpec, Dns, NetworkMode};

/// What Docker falls back on when the host names no server that a container could reach.
pub const FALLBACK_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];
/// Where systemd-resolved keeps the real servers behind its stub on 127.0.0.53.
const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";
const STUB_SERVER: &str = "127.0.0.53";
/// What every container's `hosts` begins with, as in Docker.
const LOOPBACK_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// Writes the container's files into its directory and says where they are shown.
pub(crate) fn write(
    container: &Path,
    spec: &ContainerSpec,
    address: Option<Ipv4Addr>,
    fallback: &[Ipv4Addr],
) -> io::Result<Vec<BindMount>> {
    let host = spec.network == NetworkMode::Host;
    let hosts = if host { fs::read_to_string("/etc/hosts").unwrap_or_default() } else { LOOPBACK_HOSTS.to_owned() };
    let mut conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if !host && nameservers(&conf).all(|server| server == STUB_SERVER) {
        conf = fs::read_to_string(RESOLVED_CONF).unwrap_or(conf);
    }
    let reachable = if matches!(spec.network, NetworkMode::Bridge { .. }) { Some(fallback) } else { None };
    let contents = [
        ("hosts", hosts_file(&hosts, &spec.dns, address, &spec.hostname)),
        ("hostname", format!("{}\n", spec.hostname)),
        ("resolv.conf", resolv_conf(&conf, &spec.dns, reachable)),
    ];
    for (name, content) in &contents {
        fs::write(container.join(name), content)?;
    }
    let bind = |(name, _): &(&str, String)| BindMount {
        source: container.join(name),
        target: format!("/etc/{name}"),
        read_only: false,
    };
    Ok(contents.iter().map(bind).collect())
}

fn hosts_file(base: &str, dns: &Dns, address: Option<Ipv4Addr>, hostname: &str) -> String {
    let extra = dns.extra_hosts.iter().map(|(name, address)| format!("{address}\t{name}\n"));
    let own = address.map(|address| format!("{address}\t{hostname}\n"));
    base.to_owned() + &extra.chain(own).collect::<String>()
}

/// `conf`, the host's file, with the task's servers and search list in place of the host's. With `fallback`,
/// which says that the container has a network of its own with IPv4, servers that it could not reach are left
/// out, and when none is left, the fallback takes their place.
fn resolv_conf(conf: &str, dns: &Dns, fallback: Option<&[Ipv4Addr]>) -> String {
    let mut servers: Vec<String> = dns.servers.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() {
        servers =
            nameservers(conf).filter(|text| fallback.is_none() || is_reachable(text)).map(str::to_owned).collect();
    }
    if servers.is_empty() {
        servers = fallback.unwrap_or_default().iter().map(Ipv4Addr::to_string).collect();
    }
    let mut lines: Vec<String> = servers.iter().map(|server| format!("nameserver {server}")).collect();
    if dns.search.is_empty() {
        lines.extend(directives(conf, "search").map(|search| format!("search {search}")));
    } else {
        lines.push(format!("search {}", dns.search.join(" ")));
    }
    lines.extend(directives(conf, "options").map(|options| format!("options {options}")));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn is_reachable(server: &str) -> bool {
    matches!(server.parse(), Ok(IpAddr::V4(address)) if !address.is_loopback())
}

fn nameservers(conf: &str) -> impl Iterator<Item = &str> {
    directives(conf, "nameserver")
}

fn directives<'a>(conf: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let of_line = move |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix([' ', '\t']).map(str::trim);
    conf.lines().filter_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_of_a_container() {
        fn check(conf: &str, servers: &[&str], search: &[&str], own_network: bool, expect: &str) {
            let dns = Dns {
                servers: servers.iter().map(|text| text.parse().expect("address")).collect(),
                search: search.iter().map(|text| (*text).to_owned()).collect(),
                extra_hosts: Vec::new(),
            };
            let fallback = own_network.then_some(&FALLBACK_SERVERS[..]);
            assert_eq!(resolv_conf(conf, &dns, fallback), expect, "{conf}");
        }
        let host = "# made by hand\nnameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver fd00::1\nsearch a b\noptions ndots:2\n";
        check(host, &[], &[], true, "nameserver 192.0.2.53\nsearch a b\noptions ndots:2\n");
        check(
            host,
            &[],
            &[],
            false,
            "nameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver fd00::1\nsearch a b\noptions ndots:2\n",
        );
        check(host, &["10.0.0.2"], &["corp"], true, "nameserver 10.0.0.2\nsearch corp\noptions ndots:2\n");
        check("nameserver 127.0.0.53\n", &[], &[], true, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        check("", &[], &[], false, "");
    }

    #[test]
    fn hosts_of_a_container() {
        let dns = Dns { extra_hosts: vec![("db".into(), Ipv4Addr::new(10, 0, 0, 9).into())], ..Dns::default() };
        let address = Some(Ipv4Addr::new(172, 29, 0, 2));
        insta::assert_snapshot!(hosts_file(LOOPBACK_HOSTS, &dns, address, "web"), @r"
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        fe00::	ip6-localnet
        ff00::	ip6-mcastprefix
        ff02::1	ip6-allnodes
        ff02::2	ip6-allrouters
        10.0.0.9	db
        172.29.0.2	web
        ");
    }
}
