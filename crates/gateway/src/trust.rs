//! Loopback is not a boundary: a page in a browser on this machine reaches it
//! too. What a browser says of itself, and a Host that is not ours, is refused.

use base::ApiError;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use std::net::{IpAddr, SocketAddr};

/// The names under which this server may be addressed.
#[derive(Clone, Debug)]
pub struct Hosts {
    listen: SocketAddr,
}

impl Hosts {
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen }
    }

    /// `localhost`, any name below it (`name.localhost` is loopback: RFC 6761), or the address listened on.
    ///
    /// A server on every address takes any address literal: a name could be
    /// rebound to it by a stranger, an address cannot.
    fn knows(&self, host: &str) -> bool {
        let name = host_without_port(host);
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => ip == self.listen.ip() || ip.is_loopback() || self.listen.ip().is_unspecified(),
            Err(_) => false,
        }
    }
}

fn host_without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Refuses what comes from a web page or is meant for another server.
pub fn admit(hosts: &Hosts, head: &Parts) -> Result<(), ApiError> {
    if head.headers.contains_key(ORIGIN) {
        return Err(refused(
            "requests with an Origin header are not served here: call this endpoint from a program, not from a web page",
        ));
    }
    if let Some(site) = text(&head.headers, "sec-fetch-site").filter(|site| !matches!(*site, "same-origin" | "none")) {
        return Err(refused(&format!("requests from another site (Sec-Fetch-Site: {site}) are not served here")));
    }
    let host = head.uri.host().or_else(|| head.headers.get(HOST)?.to_str().ok()).unwrap_or_default();
    if !hosts.knows(host) {
        return Err(refused(&format!(
            "'{host}' is not a name of this server: use the address that it listens on, or localhost"
        )));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn refused(message: &str) -> ApiError {
    ApiError::client("AccessDeniedException", message).with_status(403)
}

#[cfg(test)]
mod tests {
    use super::{Hosts, admit};
    use http::Request;

    fn check(listen: &str, headers: &[(&str, &str)], expect: bool) {
        let hosts = Hosts::new(listen.parse().expect("an address"));
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(admit(&hosts, &head).is_ok(), expect, "{listen} {headers:?}");
    }

    #[test]
    fn only_our_own_names_and_no_pages() {
        let loopback = "127.0.0.1:4566";
        check(loopback, &[("host", "127.0.0.1:4566")], true);
        check(loopback, &[("host", "localhost:4566")], true);
        check(loopback, &[("host", "000000000000.dkr.ecr.us-east-1.localhost:4566")], true);
        check(loopback, &[("host", "[::1]:4566")], true);
        check(loopback, &[("host", "evil.example:4566")], false);
        check(loopback, &[("host", "10.0.0.7:4566")], false);
        check(loopback, &[("host", "localhost.evil.example")], false);
        check(loopback, &[], false);
        check("0.0.0.0:4566", &[("host", "10.0.0.7:4566")], true);
        check("0.0.0.0:4566", &[("host", "evil.example")], false);
        check(loopback, &[("host", "localhost:4566"), ("origin", "http://localhost:4566")], false);
        check(loopback, &[("host", "localhost:4566"), ("sec-fetch-site", "cross-site")], false);
        check(loopback, &[("host", "localhost:4566"), ("sec-fetch-site", "same-site")], false);
        check(loopback, &[("host", "localhost:4566"), ("sec-fetch-site", "none")], true);
    }
}
