use super::{decode, encode, encode_error, identify, redact, validate};
use crate::model::{Operation, Protocol, Service};
use crate::testing::{any_json, form, head};
use crate::{service, services};
use base::ApiError;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

fn operation(of: &str, name: &str) -> (&'static Service, &'static Operation) {
    let service = service(of).expect("a service");
    (service, service.operation(name).expect("an operation"))
}

/// The text of the error that a document meets, or "ok".
fn verdict(of: &str, name: &str, document: Value) -> String {
    let (service, operation) = operation(of, name);
    match validate(service, operation, &document) {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn check(of: &str, name: &str, document: Value, expected: &str) {
    assert_eq!(verdict(of, name, document), expected);
}

#[test]
fn ecs_and_logs_answer_with_the_common_text() {
    let run = |more: Value| {
        let mut document = json!({"taskDefinition": "web:1"});
        document.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        document
    };
    for (document, expected) in [
        (run(json!({})), "ok"),
        (run(json!({"launchType": "EC2", "count": 3, "unknownMember": [1]})), "ok"),
        (
            json!({}),
            "InvalidParameterException: 1 validation error detected: Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"taskDefinition": null}),
            "InvalidParameterException: 1 validation error detected: Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null",
        ),
        (
            run(json!({"launchType": "MOON"})),
            "InvalidParameterException: 1 validation error detected: Value 'MOON' at 'launchType' failed to satisfy constraint: Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]",
        ),
        (
            run(json!({"tags": [{"key": "", "value": "v"}]})),
            "InvalidParameterException: 1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            run(json!({"capacityProviderStrategy": [{"capacityProvider": "c", "weight": 1001, "base": -1}]})),
            "InvalidParameterException: 2 validation errors detected: Value '1001' at 'capacityProviderStrategy.1.member.weight' failed to satisfy constraint: Member must have value less than or equal to 1000; Value '-1' at 'capacityProviderStrategy.1.member.base' failed to satisfy constraint: Member must have value greater than or equal to 0",
        ),
        (run(json!({"count": "3"})), "SerializationException: STRING_VALUE cannot be converted to Integer at 'count'"),
        (
            run(json!({"count": 3_000_000_000_i64})),
            "SerializationException: NUMBER_VALUE cannot be converted to Integer at 'count'",
        ),
        (run(json!({"count": 1.5})), "SerializationException: NUMBER_VALUE cannot be converted to Integer at 'count'"),
        (run(json!({"cluster": ["a"]})), "SerializationException: Start of list found where not expected at 'cluster'"),
        (
            run(json!({"tags": {"a": 1}})),
            "SerializationException: Start of structure or map found where not expected at 'tags'",
        ),
        (
            run(json!({"overrides": true})),
            "SerializationException: TRUE_VALUE cannot be converted to a structure at 'overrides'",
        ),
        (json!([]), "SerializationException: Start of list found where not expected at ''"),
    ] {
        check("ecs", "RunTask", document, expected);
    }
    check(
        "logs",
        "CreateLogGroup",
        json!({"logGroupName": "a b", "tags": {"": "x"}}),
        r"InvalidParameterException: 2 validation errors detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+; Value '{=x}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$]",
    );
}

#[test]
fn ecr_answers_with_its_own_text_for_the_first_violation() {
    for (name, document, expected) in [
        ("CreateRepository", json!({"repositoryName": "web/app"}), "ok"),
        (
            "CreateRepository",
            json!({"repositoryName": "a"}),
            "InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must have length greater than or equal to 2'",
        ),
        (
            "CreateRepository",
            json!({}),
            "InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not be null'",
        ),
        (
            "CreateRepository",
            json!({"repositoryName": "WEB"}),
            r"InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*''",
        ),
        (
            "GetAuthorizationToken",
            json!({"registryIds": ["12"]}),
            "InvalidParameterException: Invalid parameter at 'registryIds' failed to satisfy constraint: 'Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]'",
        ),
    ] {
        check("ecr", name, document, expected);
    }
}

#[test]
fn sts_answers_validation_error_and_lower_camel_paths() {
    check(
        "sts",
        "AssumeRole",
        json!({"RoleArn": "arn:aws:iam::000000000000:role/x", "RoleSessionName": "a b", "DurationSeconds": 10}),
        r"ValidationError: 2 validation errors detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*; Value '10' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
    );
    check(
        "sts",
        "AssumeRole",
        json!({"DurationSeconds": "ten"}),
        "MalformedInput: STRING_VALUE cannot be converted to Integer at 'durationSeconds'",
    );
}

#[test]
fn blobs_are_measured_in_bytes() {
    let part = |blob: &str| json!({"repositoryName": "web", "uploadId": "00000000-0000-0000-0000-000000000000", "partFirstByte": 0, "partLastByte": 1, "layerPartBlob": blob});
    check("ecr", "UploadLayerPart", part("AAEC"), "ok");
    let mismatch = "SerializationException: STRING_VALUE cannot be converted to base64 bytes at 'layerPartBlob'";
    check("ecr", "UploadLayerPart", part("AAE"), mismatch);
}

#[test]
fn unions_take_exactly_one_member() {
    let integration =
        |config: Value| json!({"integrationName": "i", "integrationType": "OPENSEARCH", "resourceConfig": config});
    let expected = "InvalidParameterException: 1 validation error detected: Value at 'resourceConfig' failed to satisfy constraint: Member must set exactly one of: [openSearchResourceConfig]";
    check("logs", "PutIntegration", integration(json!({})), expected);
}

#[test]
fn sensitive_values_are_neither_echoed_nor_logged() {
    let text = verdict(
        "sts",
        "AssumeRoleWithWebIdentity",
        json!({"RoleArn": "a".repeat(30), "RoleSessionName": "ab", "WebIdentityToken": "hush"}),
    );
    assert_eq!(text, "ok", "the web identity token has no constraints of its own");
    let text = verdict(
        "sts",
        "AssumeRoleWithSAML",
        json!({"RoleArn": "a".repeat(30), "PrincipalArn": "a".repeat(30), "SAMLAssertion": "hus"}),
    );
    assert_eq!(
        text,
        "ValidationError: 1 validation error detected: Value at 'sAMLAssertion' failed to satisfy constraint: Member must have length greater than or equal to 4"
    );

    let (ecs, register) = operation("ecs", "RegisterTaskDefinition");
    let document = json!({"family": "web", "containerDefinitions": [{"name": "c", "environment": [{"name": "K", "value": "hush"}]}]});
    let shown = redact(ecs, register, &document, "HIDDEN");
    assert_eq!(shown, json!({"family": "web", "containerDefinitions": [{"name": "c", "environment": "HIDDEN"}]}));
}

#[test]
fn long_reports_and_long_values_are_cut() {
    let events: Vec<Value> = (0..50).map(|_| json!({"timestamp": -1, "message": ""})).collect();
    let text = verdict("logs", "PutLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events}));
    assert!(text.starts_with("InvalidParameterException: 100 validation errors detected: "), "{text}");
    assert_eq!(text.matches("failed to satisfy").count(), super::validate::SPELT_OUT_MAX);
    let text = verdict("logs", "CreateLogGroup", json!({"logGroupName": "é".repeat(5000)}));
    assert!(text.contains("é…'") && text.chars().count() < 600);
    let event = json!({"timestamp": 1, "message": "m"});
    let text = verdict(
        "logs",
        "PutLogEvents",
        json!({"logGroupName": "g", "logStreamName": "s", "logEvents": vec![event; 10_001]}),
    );
    assert!(text.contains("less than or equal to 10000") && text.chars().count() < 300, "{text}");
}

#[test]
fn requests_are_identified_by_target_or_action() {
    let target =
        |target: &str| head("POST", "/", &[("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")]);
    let name = |head, body: &str| match identify(&head, body.as_bytes()) {
        Ok((service, operation)) => format!("{} {}", service.name, operation.name),
        Err(unknown) => unknown.to_string(),
    };
    let signed = |service: &str| {
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        head("POST", "/", &[("authorization", &credential), ("content-type", "application/x-www-form-urlencoded")])
    };
    let caller = "Action=GetCallerIdentity&Version=2011-06-15";
    for (head, body, expected) in [
        (target("AmazonEC2ContainerServiceV20141113.RunTask"), "{}", "ecs RunTask"),
        (target("AmazonEC2ContainerRegistry_V20150921.PutImage"), "{}", "ecr PutImage"),
        (target("Logs_20140328.PutLogEvents"), "{}", "logs PutLogEvents"),
        (target("Logs_20140328.Fly"), "{}", "UnknownOperationException: No operation is known as Logs_20140328.Fly."),
        (target("Nothing"), "{}", "UnknownOperationException: No operation is known as Nothing."),
        (form(), caller, "sts GetCallerIdentity"),
        (form(), "Action=GetCallerIdentity", "sts GetCallerIdentity"),
        (signed("sts"), caller, "sts GetCallerIdentity"),
        (signed("iam"), caller, "InvalidAction: Could not find operation GetCallerIdentity for version 2011-06-15"),
        (head("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", &[]), "", "sts GetCallerIdentity"),
        (form(), "Action=Fly&Version=2011-06-15", "InvalidAction: Could not find operation Fly for version 2011-06-15"),
        (form(), "Action=Fly", "InvalidAction: Could not find operation Fly for version NO_VERSION_SPECIFIED"),
        (
            form(),
            "",
            "MissingAction: The request names no operation: send the parameter Action, or the header X-Amz-Target.",
        ),
        (
            head("POST", "/", &[]),
            "{}",
            "UnknownOperationException: The request names no operation: send the header X-Amz-Target, as AWS clients do.",
        ),
    ] {
        assert_eq!(name(head, body), expected);
    }
}

#[test]
fn unknown_operations_are_answered_in_the_protocol_asked_in() {
    let json = head("POST", "/", &[("x-amz-target", "Logs_20140328.Fly")]);
    let answer = identify(&json, b"").expect_err("unknown").encode("r-1");
    assert_eq!(answer.headers[0], ("content-type", "application/x-amz-json-1.1".to_owned()));
    let answer = identify(&form(), b"Action=Fly&Version=2011-06-15").expect_err("unknown").encode("r-1");
    insta::assert_snapshot!(String::from_utf8(answer.body).expect("text"), @r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation Fly for version 2011-06-15</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"#);
}

/// AWS answers a form in the words of the service that its scope or version names; JSON as JSON; and what shows
/// no protocol with 404 and the code as root element.
#[test]
fn requests_without_operation_are_answered_in_the_protocol_that_they_show() {
    let check = |head: http::request::Parts, body: &str, expected: &str| {
        let answer = identify(&head, body.as_bytes()).expect_err("no operation").encode("r-1");
        let shown = format!("{} {}", answer.status, String::from_utf8(answer.body).expect("text").trim_end());
        assert_eq!(shown, expected);
    };
    let target = "The request names no operation: send the header X-Amz-Target, as AWS clients do.";
    let json = head("POST", "/", &[("content-type", "application/x-amz-json-1.1")]);
    check(json, "{}", &format!(r#"400 {{"__type":"UnknownOperationException","message":"{target}"}}"#));
    let bare = format!("404 <UnknownOperationException><Message>{target}</Message></UnknownOperationException>");
    check(head("POST", "/", &[]), "{}", &bare);
    check(head("GET", "/", &[]), "", &bare);
    let action = "The request names no operation: send the parameter Action, or the header X-Amz-Target.";
    let inside = format!(
        "<Error><Type>Sender</Type><Code>MissingAction</Code><Message>{action}</Message></Error><RequestId>r-1</RequestId>"
    );
    check(form(), "", &format!("400 <ErrorResponse>{inside}</ErrorResponse>"));
    let sts = r#" xmlns="https://sts.amazonaws.com/doc/2011-06-15/""#;
    check(form(), "Version=2011-06-15", &format!("400 <ErrorResponse{sts}>{inside}</ErrorResponse>"));
}

#[test]
fn json_documents_lose_what_no_member_takes() {
    let (ecs, run) = operation("ecs", "RunTask");
    let body = br#"{"taskDefinition":"web:1","count":null,"colour":"red","tags":[{"key":"k","value":null}]}"#;
    let document = decode(ecs, run, &form(), body).expect("a document");
    assert_eq!(document, json!({"taskDefinition": "web:1", "tags": [{"key": "k"}]}));
    assert_eq!(decode(ecs, run, &form(), b"").expect("a document"), json!({}));
    let broken = decode(ecs, run, &form(), b"{\"count\":").expect_err("not JSON");
    assert_eq!(broken.code, "SerializationException");
    let deep = "[".repeat(100_000);
    assert_eq!(decode(ecs, run, &form(), deep.as_bytes()).expect_err("too deep").code, "SerializationException");
    let (ecs, submit) = operation("ecs", "SubmitTaskStateChange");
    let document =
        decode(ecs, submit, &form(), br#"{"pullStartedAt":"2015-08-30T12:36:00.250Z"}"#).expect("a document");
    assert_eq!(document, json!({"pullStartedAt": 1_440_938_160.25}));
}

#[test]
fn answers_have_their_protocols_form() {
    let (ecs, list) = operation("ecs", "ListClusters");
    let answer = encode(ecs, list, &json!({"clusterArns": []}), "r-1");
    assert_eq!((answer.status, answer.body), (200, br#"{"clusterArns":[]}"#.to_vec()));
    let named = |name: &str| answer.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(named("x-amzn-requestid"), Some("r-1"));
    assert_eq!(named("content-type"), Some("application/x-amz-json-1.1"));

    let (logs, create) = operation("logs", "CreateLogGroup");
    assert!(encode(logs, create, &json!({}), "r-1").body.is_empty(), "no output, no body");

    let (sts, whoami) = operation("sts", "GetCallerIdentity");
    let answer = encode(sts, whoami, &json!({"UserId": "u", "Account": "0", "Arn": "a<&b"}), "r-1");
    insta::assert_snapshot!(String::from_utf8(answer.body).expect("text"), @r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>u</UserId><Account>0</Account><Arn>a&lt;&amp;b</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#);
}

#[test]
fn errors_take_the_status_of_error_model_or_fault() {
    let ecs = service("ecs").expect("ecs");
    let sts = service("sts").expect("sts");
    for (service, error, status) in [
        (ecs, ApiError::client("ClusterNotFoundException", "m"), 400),
        (ecs, ApiError::client("ServerException", "the model says 500"), 500),
        (ecs, ApiError::server("Unmodelled", "m"), 500),
        (ecs, ApiError::client("AccessDeniedException", "m").with_status(403), 403),
        (sts, ApiError::client("IDPRejectedClaim", "m"), 403),
    ] {
        assert_eq!(encode_error(service, &error, "r").status, status, "{error}");
    }
    let error = ApiError::client("ConflictException", "m").with_field("resourceIds", json!(["a"]));
    let body = encode_error(ecs, &error, "r").body;
    assert_eq!(
        String::from_utf8(body).expect("text"),
        r#"{"__type":"ConflictException","message":"m","resourceIds":["a"]}"#
    );
    let answer = encode_error(Protocol::AwsJson10, &error, "r");
    assert_eq!(answer.headers[0].1, "application/x-amz-json-1.0");
}

/// Names of a service and one of its operations.
fn any_operation() -> impl Strategy<Value = (&'static str, &'static str)> {
    let of = |service: &'static Service| service.operations.iter().map(|operation| (service.name, operation.name));
    select(services().iter().copied().flat_map(of).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn no_document_breaks_the_checker((service, name) in any_operation(), document in any_json()) {
        let (service, operation) = operation(service, name);
        let _ = validate(service, operation, &document);
        let _ = redact(service, operation, &document, "x");
        let _ = encode(service, operation, &document, "r");
        let body = document.to_string();
        if let Ok(document) = decode(service, operation, &form(), body.as_bytes()) {
            let _ = validate(service, operation, &document);
        }
    }

    #[test]
    fn decoding_twice_is_decoding_once((service, name) in any_operation(), document in any_json()) {
        let (service, operation) = operation(service, name);
        prop_assume!(service.protocol == Protocol::AwsJson11);
        let once = decode(service, operation, &form(), document.to_string().as_bytes()).expect("JSON");
        let twice = decode(service, operation, &form(), once.to_string().as_bytes()).expect("JSON");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_bytes_break_the_reader((service, name) in any_operation(), body in prop::collection::vec(any::<u8>(), 0..200), target in "[!-~]{0,40}") {
        let (service, operation) = operation(service, name);
        let head = head("POST", "/?a.b=%ff&=&&c", &[("x-amz-target", &target)]);
        let _ = identify(&head, &body);
        let _ = identify(&form(), &body);
        let _ = decode(service, operation, &head, &body);
    }
}
