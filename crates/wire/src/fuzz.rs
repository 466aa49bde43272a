//! Fuzz targets of what clients and nodes send. See docs/fuzzing.md.
//!
//! As tests they run a fixed number of inputs.

use crate::acs::Frame;
use crate::codec::{decode, identify, redact, validate};
use crate::model::Protocol;
use crate::services;
use crate::sigv4::{canonical_request, parse_auth, scope_service, string_to_sign};
use bolero::check;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri};

/// Inputs of a target when it runs as a test.
const ITERATIONS: usize = 3_000;

/// Headers that are read before anybody is known.
const HEADERS: [&str; 8] =
    ["authorization", "host", "x-amz-date", "x-amz-target", "content-type", "x-amz-security-token", "accept", "x-any"];

/// A request's head, as far as HTTP's own library lets such bytes be one.
fn head(target: &[u8], headers: &[(u8, Vec<u8>)]) -> Option<Parts> {
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri) = (Method::POST, Uri::try_from(target).ok()?);
    for (name, value) in headers {
        let name = HeaderName::from_static(HEADERS[usize::from(*name) % HEADERS.len()]);
        parts.headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(parts)
}

/// Asks everything of the head that is asked before its signature is known to be right.
fn read_signature(parts: &Parts) {
    _ = scope_service(parts);
    if let Ok(Some(auth)) = parse_auth(parts) {
        let canonical = canonical_request(parts, &auth, "UNSIGNED-PAYLOAD");
        _ = string_to_sign(&auth, &canonical);
    }
}

#[test]
fn fuzz_signature() {
    type Input = (Vec<u8>, Vec<(u8, Vec<u8>)>);
    check!().with_iterations(ITERATIONS).with_type::<Input>().for_each(|(target, headers)| {
        let target = [b"/", &target[..]].concat();
        if let Some(parts) = head(&target, headers) {
            read_signature(&parts);
        }
    });
}

/// A request that is signed well, but for one place in header or query.
#[test]
fn fuzz_signature_fields() {
    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ecs/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    const PRESIGNED: &str = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20150830%2Fus-east-1%2Fs3%2F\
         aws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    check!().with_iterations(ITERATIONS).with_type::<(u8, Vec<u8>, bool)>().for_each(|(at, with, in_query)| {
        let spliced = |text: &str| {
            let (start, end) = text.split_at(usize::from(*at) % text.len());
            [start.as_bytes(), with, end.as_bytes()].concat()
        };
        let date = (2, b"20150830T123600Z".to_vec());
        let host = (1, b"example.amazonaws.com".to_vec());
        let parts = if *in_query {
            head(&spliced(PRESIGNED), &[host])
        } else {
            head(b"/", &[host, date, (0, spliced(SIGNED))])
        };
        if let Some(parts) = parts {
            read_signature(&parts);
        }
    });
}

#[test]
fn fuzz_request() {
    type Input = (Vec<(u8, Vec<u8>)>, Vec<u8>);
    check!().with_iterations(ITERATIONS).with_type::<Input>().for_each(|(headers, body)| {
        if let Some(parts) = head(b"/", headers) {
            _ = identify(&parts, body);
        }
    });
}

/// A body that its operation is known of: decoded, checked, and shown without its secrets.
#[test]
fn fuzz_body() {
    check!().with_iterations(ITERATIONS).with_type::<(u8, u16, Vec<u8>)>().for_each(|(which, operation, body)| {
        let service = services()[usize::from(*which) % services().len()];
        let operation = &service.operations[usize::from(*operation) % service.operations.len()];
        let parts = head(b"/", &[]).expect("a head");
        let body = match service.protocol {
            Protocol::AwsQuery => [b"Action=A&", &body[..]].concat(),
            _ => [b"{\"a\":", &body[..], b"}"].concat(),
        };
        if let Ok(document) = decode(service, operation, &parts, &body) {
            _ = validate(service, operation, &document);
            _ = redact(service, operation, &document, "***");
        }
    });
}

/// The agent protocol, from both sides.
#[test]
fn fuzz_frame() {
    check!().with_iterations(ITERATIONS).with_type::<String>().for_each(|text| _ = Frame::parse(text));
}

#[test]
fn fuzz_frame_message() {
    const TYPES: [&str; 6] =
        ["PayloadMessage", "AckRequest", "HeartbeatMessage", "TaskManifestMessage", "ErrorMessage", "Other"];
    check!().with_iterations(ITERATIONS).with_type::<(u8, String)>().for_each(|(kind, text)| {
        let kind = TYPES[usize::from(*kind) % TYPES.len()];
        let frame = format!(r#"{{"type":"{kind}","message":{{"messageId":"m","tasks":[{{"arn":{text:?}}}]}}}}"#);
        if let Ok(frame) = Frame::parse(&frame) {
            assert_eq!(Frame::parse(&frame.to_text()).expect("what we write, we read"), frame);
        }
    });
}
