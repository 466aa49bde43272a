use super::docker::{Config, Healthcheck, HostConfig, LogConfig};
use super::{Container, Frame, FrameError, IAMRoleCredentials, PayloadMessage, PortMapping, Secret, Task};
use proptest::prelude::*;

/// A frame is read, and written back as the same JSON.
fn check(text: &str) {
    let frame = Frame::parse(text).expect("a frame");
    let back: serde_json::Value = serde_json::from_str(&frame.to_text()).expect("JSON");
    assert_eq!(back, serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
}

#[test]
fn every_frame_keeps_its_wire_names() {
    for text in [
        r#"{"type":"AckRequest","message":{"cluster":"c","containerInstance":"i","messageId":"m"}}"#,
        r#"{"type":"NackRequest","message":{"cluster":"c","containerInstance":"i","messageId":"m","reason":"r"}}"#,
        r#"{"type":"HeartbeatMessage","message":{"healthy":true,"messageId":"m"}}"#,
        r#"{"type":"HeartbeatAckRequest","message":{"messageId":"m"}}"#,
        r#"{"type":"TaskManifestMessage","message":{"clusterArn":"c","containerInstanceArn":"i","generatedAt":1,"messageId":"m","timeline":3,"tasks":[{"taskArn":"t","taskClusterArn":"c","desiredStatus":"RUNNING"}]}}"#,
        r#"{"type":"TaskStopVerificationMessage","message":{"messageId":"m","stopCandidates":[{"taskArn":"t"}]}}"#,
        r#"{"type":"TaskStopVerificationAck","message":{"generatedAt":1,"messageId":"m","stopTasks":[{"taskArn":"t"}]}}"#,
        r#"{"type":"IAMRoleCredentialsMessage","message":{"taskArn":"t","taskClusterArn":"c","roleType":"TaskApplication","messageId":"m","roleCredentials":{"credentialsId":"i","roleArn":"r","accessKeyId":"a","secretAccessKey":"s","sessionToken":"t","expiration":"2026-01-01T00:00:00Z","credentialScope":"s"}}}"#,
        r#"{"type":"IAMRoleCredentialsAckRequest","message":{"messageId":"m","expiration":"2026-01-01T00:00:00Z","credentialsId":"i"}}"#,
        r#"{"type":"CloseMessage","message":{"message":"bye"}}"#,
        r#"{"type":"ErrorMessage","message":{"message":"no"}}"#,
    ] {
        check(text);
    }
}

#[test]
fn a_payload_keeps_its_wire_names() {
    let container = Container {
        name: Some("web".into()),
        entry_point: Some(vec!["/bin/sh".into()]),
        stop_timeout: Some(30),
        port_mappings: Some(vec![PortMapping { container_port: Some(80), ..PortMapping::default() }]),
        secrets: Some(vec![Secret { r#type: Some("ENVIRONMENT_VARIABLE".into()), ..Secret::default() }]),
        ..Container::default()
    };
    let task = Task {
        arn: Some("a".into()),
        containers: Some(vec![container]),
        cpu: Some(0.25),
        pid_mode: Some("host".into()),
        ..Task::default()
    };
    let frame = Frame::from(PayloadMessage { tasks: Some(vec![task]), seq_num: Some(1), ..PayloadMessage::default() });
    insta::assert_snapshot!(frame.to_text(), @r#"{"message":{"seqNum":1,"tasks":[{"arn":"a","containers":[{"entryPoint":["/bin/sh"],"name":"web","portMappings":[{"containerPort":80}],"secrets":[{"type":"ENVIRONMENT_VARIABLE"}],"stopTimeout":30}],"cpu":0.25,"pidMode":"host"}]},"type":"PayloadMessage"}"#);
    assert_eq!(Frame::parse(&frame.to_text()).expect("a frame"), frame);
}

#[test]
fn docker_texts_keep_docker_names() {
    let config = Config {
        working_dir: Some("/srv".into()),
        open_stdin: Some(false),
        healthcheck: Some(Healthcheck { start_period: Some(1), ..Healthcheck::default() }),
        ..Config::default()
    };
    let host = HostConfig {
        readonly_rootfs: Some(true),
        cap_add: Some(vec!["NET_ADMIN".into()]),
        log_config: Some(LogConfig { r#type: Some("awslogs".into()), ..LogConfig::default() }),
        ..HostConfig::default()
    };
    insta::assert_snapshot!(serde_json::to_string(&config).expect("JSON"), @r#"{"WorkingDir":"/srv","OpenStdin":false,"Healthcheck":{"StartPeriod":1}}"#);
    insta::assert_snapshot!(serde_json::to_string(&host).expect("JSON"), @r#"{"CapAdd":["NET_ADMIN"],"ReadonlyRootfs":true,"LogConfig":{"Type":"awslogs"}}"#);
}

#[test]
fn what_is_unknown_is_named_or_passed_over() {
    let unknown = Frame::parse(r#"{"type":"StageUpdateMessage","message":{}}"#);
    assert!(matches!(unknown, Err(FrameError::UnknownType(kind)) if kind == "StageUpdateMessage"));
    let newer = Frame::parse(r#"{"type":"CloseMessage","message":{"message":"m","colour":"red"},"extra":1}"#);
    assert!(matches!(newer, Ok(Frame::CloseMessage(_))));
    let wrong = Frame::parse(r#"{"type":"CloseMessage","message":{"message":7}}"#);
    assert!(matches!(wrong, Err(FrameError::Message { kind, .. }) if kind == "CloseMessage"));
    assert!(matches!(Frame::parse("[]"), Err(FrameError::Envelope(_))));
}

#[test]
fn credentials_do_not_show_in_debug() {
    let credentials = IAMRoleCredentials {
        secret_access_key: Some("hush".to_owned().into()),
        session_token: Some("hush".to_owned().into()),
        ..IAMRoleCredentials::default()
    };
    assert!(!format!("{credentials:?}").contains("hush"));
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in ".{0,80}", kind in "(AckRequest|PayloadMessage|X)", body in "[\\[\\]{}\":,a-z0-9]{0,40}") {
        let _ = Frame::parse(&text);
        let _ = Frame::parse(&format!(r#"{{"type":"{kind}","message":{body}}}"#));
    }
}
