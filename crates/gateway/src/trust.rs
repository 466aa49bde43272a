//! Loopback is not a boundary: a page in a browser on this machine reaches it
//! too. What a browser says of itself, and a Host that is not ours, is refused.

use base::ApiError;
use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use request::Hosts;

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
            "'{host}' is not a name of this server: use the address that it listens on, localhost, or a name of its certificate"
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
    use super::admit;
    use http::Request;
    use request::Hosts;

    fn check(headers: &[(&str, &str)], expect: bool) {
        let hosts = Hosts::new("127.0.0.1:4566".parse().expect("an address"));
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(admit(&hosts, &head).is_ok(), expect, "{headers:?}");
    }

    #[test]
    fn only_our_own_names_and_no_pages() {
        check(&[("host", "127.0.0.1:4566")], true);
        check(&[("host", "evil.example:4566")], false);
        check(&[], false);
        check(&[("host", "localhost:4566"), ("origin", "http://localhost:4566")], false);
        check(&[("host", "localhost:4566"), ("sec-fetch-site", "cross-site")], false);
        check(&[("host", "localhost:4566"), ("sec-fetch-site", "same-site")], false);
        check(&[("host", "localhost:4566"), ("sec-fetch-site", "none")], true);
    }
}
