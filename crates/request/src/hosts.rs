//! What this server is called.

use std::net::{IpAddr, SocketAddr};

/// The ports that an address without one means: of HTTP and of HTTPS.
const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// The names under which this server may be addressed.
#[derive(Clone, Debug)]
pub struct Hosts {
    listen: SocketAddr,
    /// Lower-case; `*.` stands for one label (RFC 6125, 6.4.3).
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Hosts {
    /// A server at `listen`, whose certificate is made out to no name.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, dns: Vec::new(), addresses: Vec::new() }
    }

    /// A server whose certificate is made out to these names: nobody else has them.
    pub fn certified(listen: SocketAddr, dns: &[String], addresses: &[IpAddr]) -> Self {
        let dns = dns.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { listen, dns, addresses: addresses.to_vec() }
    }

    /// Whether `host`, with or without a port, is a name of ours: `localhost`, any name below it
    /// (`name.localhost` is loopback: RFC 6761), the address listened on, or what the certificate says.
    ///
    /// A server on every address takes any address literal: a name could be
    /// rebound to it by a stranger, an address cannot.
    pub fn knows(&self, host: &str) -> bool {
        let name = split(host).0.to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => {
                let own = ip == self.listen.ip() || self.addresses.contains(&ip);
                own || ip.is_loopback() || self.listen.ip().is_unspecified()
            }
            Err(_) => self.dns.iter().any(|own| is_named(own, &name)),
        }
    }

    /// Whether an image lies in our registry: its reference begins with a name of ours and our port.
    pub fn has_image(&self, image: &str) -> bool {
        let Some((host, _)) = image.split_once('/') else { return false };
        // Else it is the beginning of a repository's name at Docker Hub.
        let is_host = host == "localhost" || host.contains(['.', ':']);
        let port = self.listen.port();
        is_host && split(host).1.map_or(DEFAULT_PORTS.contains(&port), |named| named == port) && self.knows(host)
    }

    /// Host and port that others can call us by and then find us to be who we say, as far as that can be known: the
    /// address listened on, else a name of the certificate.
    pub fn advertised(&self) -> String {
        let (listen, port) = (reachable(self.listen), self.listen.port());
        let named = self.dns.iter().find(|name| !name.starts_with("*."));
        let is_certified = self.dns.is_empty() && self.addresses.is_empty() || self.addresses.contains(&listen.ip());
        match (named, self.addresses.first()) {
            _ if is_certified => listen.to_string(),
            (Some(name), _) => format!("{name}:{port}"),
            (None, Some(address)) => SocketAddr::new(*address, port).to_string(),
            (None, None) => listen.to_string(),
        }
    }
}

/// An address to call a server by that listens on `address`: one that listens everywhere is on loopback too.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Name and port.
fn split(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && !port.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

/// Whether a certificate's name means `name`.
fn is_named(own: &str, name: &str) -> bool {
    match own.strip_prefix("*.") {
        Some(below) => name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == below),
        None => own == name,
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;

    /// `names` are those of the certificate.
    fn hosts(listen: &str, names: &str) -> Hosts {
        let (addresses, dns): (Vec<_>, Vec<_>) =
            names.split_whitespace().map(|name| name.parse().map_err(|_| name.to_owned())).partition(Result::is_ok);
        let addresses: Vec<_> = addresses.into_iter().flatten().collect();
        let dns: Vec<_> = dns.into_iter().filter_map(Result::err).collect();
        Hosts::certified(listen.parse().expect("an address"), &dns, &addresses)
    }

    #[test]
    fn our_names_are_loopback_s_the_address_s_and_the_certificate_s() {
        let check = |listen: &str, names: &str, host: &str, expect: bool| {
            assert_eq!(hosts(listen, names).knows(host), expect, "{host} at {listen} with {names}");
        };
        let loopback = "127.0.0.1:4566";
        for (host, expect) in [
            ("127.0.0.1:4566", true),
            ("localhost:4566", true),
            ("LocalHost", true),
            ("000000000000.dkr.ecr.us-east-1.localhost:4566", true),
            ("[::1]:4566", true),
            ("::1", true),
            ("evil.example:4566", false),
            ("10.0.0.7:4566", false),
            ("localhost.evil.example", false),
            ("localhost:x", false),
            ("", false),
        ] {
            check(loopback, "", host, expect);
        }
        check("0.0.0.0:4566", "", "10.0.0.7:4566", true);
        check("0.0.0.0:4566", "", "evil.example", false);
        let names = "long.example *.Wild.example 10.1.1.1";
        for (host, expect) in [
            ("long.example:4566", true),
            ("LONG.example", true),
            ("long.example.:4566", false),
            ("a.long.example", false),
            ("10.1.1.1:4566", true),
            ("10.1.1.2:4566", false),
            ("a.wild.example:4566", true),
            ("wild.example", false),
            (".wild.example", false),
            ("a.b.wild.example", false),
        ] {
            check(loopback, names, host, expect);
        }
    }

    #[test]
    fn an_image_is_ours_by_name_and_port() {
        let check = |listen: &str, image: &str, expect: bool| {
            assert_eq!(hosts(listen, "long.example short").has_image(image), expect, "{image} at {listen}");
        };
        let everywhere = "0.0.0.0:4566";
        check(everywhere, "127.0.0.1:4566/web:1", true);
        check(everywhere, "localhost:4566/web@sha256:0", true);
        check(everywhere, "192.0.2.2:4566/a/web", true);
        check(everywhere, "[2001:db8::1]:4566/web", true);
        check(everywhere, "long.example:4566/web", true);
        check(everywhere, "short:4566/web", true);
        check(everywhere, "long.example/web", false);
        check(everywhere, "long.example:5000/web", false);
        check(everywhere, "quay.io:4566/web", false);
        check(everywhere, "web:4566", false);
        check("0.0.0.0:443", "long.example/web", true);
        check("0.0.0.0:443", "short/web", false);
        check("127.0.0.1:4566", "192.0.2.2:4566/web", false);
    }

    #[test]
    fn what_is_advertised_is_what_the_certificate_has() {
        let check = |listen: &str, names: &str, expect: &str| {
            assert_eq!(hosts(listen, names).advertised(), expect, "{listen} with {names}");
        };
        check("127.0.0.1:4566", "", "127.0.0.1:4566");
        check("0.0.0.0:4566", "", "127.0.0.1:4566");
        check("[::]:4566", "", "[::1]:4566");
        check("0.0.0.0:4566", "long.example", "long.example:4566");
        check("0.0.0.0:4566", "*.a.example long.example 10.0.0.1", "long.example:4566");
        check("0.0.0.0:4566", "long.example 127.0.0.1", "127.0.0.1:4566");
        check("10.0.0.1:4566", "long.example 10.0.0.1", "10.0.0.1:4566");
        check("0.0.0.0:4566", "10.0.0.1", "10.0.0.1:4566");
        check("0.0.0.0:4566", "2001:db8::1", "[2001:db8::1]:4566");
        check("10.0.0.1:4566", "*.a.example", "10.0.0.1:4566");
    }
}
