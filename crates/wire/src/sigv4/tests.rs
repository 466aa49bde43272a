use super::canonical::{canonical_request, string_to_sign};
use super::{
    AuthError, AuthParts, Credentials, Scope, SigningKey, body_hash, expected_signature, parse_auth, presign, sign,
    signing_key,
};
use crate::testing::head;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign as oracle_sign,
};
use aws_sigv4::sign::v4::SigningParams;
use base::Timestamp;
use http::request::Parts;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// The key of AWS's published test suite.
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, the suite's moment.
const NOW: Timestamp = Timestamp::from_secs(1_440_938_160);

fn credentials(token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET.to_owned().into(),
        session_token: token.map(|token| token.to_owned().into()),
    }
}

fn scope() -> Scope<'static> {
    Scope { region: "us-east-1", service: "service", now: NOW }
}

/// Signs a request and gives the parts that a server reads from it.
fn signed(mut head: Parts, body: &[u8]) -> (Parts, AuthParts) {
    sign(&mut head, &body_hash(body), &credentials(None), scope()).expect("signed");
    let auth = parse_auth(&head).expect("readable").expect("signed");
    (head, auth)
}

#[test]
fn the_published_vectors_hold() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (method, uri, headers, body, expected) in [
        ("GET", "/", &[][..], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            "",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("GET", "/example/..", &[], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", &[], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", &[], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", "/", &[form], "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ] {
        let headers: Vec<_> = [("host", "example.amazonaws.com")].into_iter().chain(headers.iter().copied()).collect();
        let (_, auth) = signed(head(method, uri, &headers), body.as_bytes());
        assert_eq!(auth.signature, expected, "{method} {uri}");
    }
}

#[test]
fn the_published_signing_key_holds() {
    let key = SigningKey::derive(SECRET, "20150830", "us-east-1", "iam");
    let string = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\nf536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    assert_eq!(key.signature(string), signature);
    assert!(key.verify(string, signature));
    assert!(!key.verify(string, "5d"));
    assert!(!key.verify(string, "not hexadecimal"));
}

#[test]
fn canonical_requests_are_spelt_as_aws_spells_them() {
    let request = head(
        "GET",
        "//a/./b/../c%20d/?b=2&a=x+y&a=%7E&flag&X-Amz-Signature=no",
        &[("host", "h"), ("x-amz-date", "20150830T123600Z"), ("my-header", "  a   b  "), ("my-header", "c")],
    );
    let (_, auth) = signed(request.clone(), b"");
    assert_eq!(
        canonical_request(&request, &auth, "HASH"),
        "GET\n/a/c%2520d/\na=x%20y&a=~&b=2&flag=\nhost:h\nmy-header:a b,c\nx-amz-date:20150830T123600Z\n\nhost;my-header;x-amz-date\nHASH"
    );
}

#[test]
fn the_body_that_came_is_the_body_that_counts() {
    let claimed = body_hash(b"small");
    let request = head("POST", "/", &[("host", "h"), ("x-amz-content-sha256", &claimed)]);
    let (head, auth) = signed(request, b"small");
    let given = |body: &[u8]| expected_signature(SECRET, &head, &auth, &body_hash(body)) == auth.signature;
    assert!(given(b"small"));
    assert!(!given(b"other"), "the header says small, the body is other");
}

#[test]
fn a_token_is_signed_and_read() {
    let mut request = head("POST", "http://h/", &[]);
    sign(&mut request, &body_hash(b""), &credentials(Some("token")), scope()).expect("signed");
    let auth = parse_auth(&request).expect("readable").expect("signed");
    assert_eq!(auth.security_token.as_deref(), Some("token"));
    assert_eq!(auth.signed_headers, ["host", "x-amz-date", "x-amz-security-token"]);
    assert_eq!(expected_signature(SECRET, &request, &auth, &body_hash(b"")), auth.signature);
}

#[test]
fn what_hops_change_is_not_signed() {
    let (_, auth) = signed(head("GET", "/", &[("host", "h"), ("user-agent", "x"), ("x-longshore-batch", "1")]), b"");
    assert_eq!(auth.signed_headers, ["host", "x-amz-date", "x-longshore-batch"]);
}

#[test]
fn a_presigned_request_carries_all_it_needs() {
    let mut request = head("GET", "http://example.amazonaws.com/?Action=GetCallerIdentity", &[]);
    presign(&mut request, &body_hash(b""), &credentials(Some("to/ken")), scope(), 300).expect("signed");
    let received =
        head("GET", &request.uri.path_and_query().expect("a path").to_string(), &[("host", "example.amazonaws.com")]);
    let auth = parse_auth(&received).expect("readable").expect("signed");
    assert_eq!((auth.expires, auth.presigned, auth.security_token.as_deref()), (Some(300), true, Some("to/ken")));
    let string = string_to_sign(&auth, &canonical_request(&received, &auth, &body_hash(b"")));
    assert!(signing_key(SECRET, &auth).verify(&string, &auth.signature));
}

const GOOD: &str =
    "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/ecs/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";

#[test]
fn unreadable_signatures_are_named() {
    let date = ("x-amz-date", "20150830T123600Z");
    let read = |headers: &[(&str, &str)]| match parse_auth(&head("POST", "/", headers)) {
        Ok(Some(auth)) => format!("{} {}", auth.access_key_id, auth.timestamp.basic()),
        Ok(None) => "none".to_owned(),
        Err(error) => error.to_string(),
    };
    for (headers, expected) in [
        (&[][..], "none"),
        (&[("authorization", "Basic abc")], "none"),
        (&[("authorization", GOOD), date], "A 20150830T123600Z"),
        (&[("authorization", GOOD), ("date", "Sun, 30 Aug 2015 12:36:00 GMT")], "A 20150830T123600Z"),
        (
            &[("authorization", "AWS4-HMAC-SHA256 Credential=A"), date],
            "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            &[("authorization", GOOD)],
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
        (
            &[("authorization", GOOD), ("x-amz-date", "today")],
            "Date must be in ISO-8601 'basic format'. Got 'today'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            &[("authorization", "AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=0"), date],
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'A/b'",
        ),
        (
            &[("authorization", "AWS4-HMAC-SHA256 Credential=A/b/c/d/e, SignedHeaders=x-amz-date, Signature=0"), date],
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            &[("authorization", GOOD), date, ("x-amz-target", "A.B")],
            "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            &[("authorization", "AWS4-ECDSA-P256-SHA256 Credential=A"), date],
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'; sign with AWS4-HMAC-SHA256.",
        ),
    ] {
        assert_eq!(read(headers), expected);
    }
}

#[test]
fn unreadable_presigned_queries_are_named() {
    let whole = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20150830%2Fr%2Fs%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0";
    let read = |query: &str| parse_auth(&head("GET", &format!("/?{query}"), &[]));
    assert!(matches!(read(whole), Ok(Some(auth)) if auth.presigned && auth.expires.is_none()));
    assert_eq!(read(&format!("{whole}&X-Amz-Expires=604801")), Err(AuthError::Expires("604801".to_owned())));
    assert_eq!(read(&format!("{whole}&X-Amz-Expires=-1")), Err(AuthError::Expires("-1".to_owned())));
    let bare = read("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20150830T123600Z").expect_err("incomplete");
    assert_eq!(
        bare.to_string(),
        "AWS query-string parameters must include 'X-Amz-Credential', 'X-Amz-SignedHeaders', 'X-Amz-Signature'. Re-examine the query-string parameters."
    );
}

/// What the SDK's own signer makes of a request: its headers, or its query parameters.
fn oracle(
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    token: Option<&str>,
    presigned: bool,
) -> Vec<(String, String)> {
    let credentials =
        aws_credential_types::Credentials::new(ACCESS_KEY_ID, SECRET, token.map(str::to_owned), None, "test").into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(300));
    }
    let params = SigningParams::builder()
        .identity(&credentials)
        .region("us-east-1")
        .name("service")
        .time(UNIX_EPOCH + Duration::from_secs(NOW.as_secs().unsigned_abs()))
        .settings(settings)
        .build()
        .expect("parameters");
    let request =
        SignableRequest::new("POST", uri, headers.iter().copied(), SignableBody::Bytes(body)).expect("a request");
    let (made, _) = oracle_sign(request, &params.into()).expect("signed").into_parts();
    let made_headers = made.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    made_headers.chain(made.params().iter().map(|(name, value)| ((*name).to_owned(), value.to_string()))).collect()
}

fn found<'a>(made: &'a [(String, String)], name: &str) -> &'a str {
    made.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).expect("made")
}

proptest! {
    #[test]
    fn signatures_are_the_sdks(
        path in "(/[a-zA-Z0-9._~-]{1,6}|/%[2-7][0-9A-F]){0,4}/?",
        query in "([a-zA-Z0-9._~-]{1,5}=(%[2-7][0-9A-F]|[a-z~]){0,4}&?){0,4}",
        value in "[!-~]([ -~]{0,10}[!-~])?",
        token in prop::option::of("[a-zA-Z0-9/+=]{1,20}"),
        body in prop::collection::vec(any::<u8>(), 0..40),
        presigned in any::<bool>(),
    ) {
        let uri = format!("https://example.amazonaws.com{}?{query}", if path.is_empty() { "/" } else { &path });
        let (headers, token) = ([("x-amz-meta", value.as_str())], token.as_deref());
        let mut request = head("POST", &uri, &headers);
        if presigned {
            request.headers.clear();
            presign(&mut request, &body_hash(&body), &credentials(token), scope(), 300).expect("signed");
            let made = oracle(&uri, &[], &body, token, true);
            let auth = parse_auth(&request).expect("readable").expect("signed");
            prop_assert_eq!(auth.signature, found(&made, "X-Amz-Signature"));
        } else {
            sign(&mut request, &body_hash(&body), &credentials(token), scope()).expect("signed");
            let made = oracle(&uri, &headers, &body, token, false);
            prop_assert_eq!(request.headers["authorization"].to_str().expect("text"), found(&made, "authorization"));
        }
    }

    #[test]
    fn a_change_anywhere_is_another_signature(at in 0_usize..5) {
        let base = head("POST", "http://h/a?b=c", &[("x-amz-meta", "m")]);
        let (mut head, auth) = signed(base, b"body");
        let mut body = b"body".to_vec();
        match at {
            0 => head.method = http::Method::PUT,
            1 => head.uri = "http://h/b?b=c".parse().expect("a URI"),
            2 => head.uri = "http://h/a?b=d".parse().expect("a URI"),
            3 => drop(head.headers.insert("x-amz-meta", "n".parse().expect("a value"))),
            _ => body.push(b'!'),
        }
        prop_assert_ne!(expected_signature(SECRET, &head, &auth, &body_hash(&body)), auth.signature);
    }

    #[test]
    fn no_header_breaks_the_reader(value in "(AWS4-HMAC-SHA256 )?[ -~]{0,60}", query in "[!-~&&[^#\"<>\\\\^`{|}]]{0,60}", date in "[ -~]{0,20}") {
        let _ = parse_auth(&head("GET", &format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{query}"), &[]));
        let _ = parse_auth(&head("GET", "/", &[("authorization", &value), ("x-amz-date", &date)]));
    }
}
