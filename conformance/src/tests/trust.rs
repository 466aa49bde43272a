//! Who is not let in.

use crate::{Client, HostImage, Longshore};
use anyhow::Result;
use std::process::Command;

/// The status that curl got for `args`.
fn status(server: &Longshore, path: &str, args: &[&str]) -> Result<String> {
    let url = format!("{}{path}", server.endpoint()?.url);
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"])
        .args(args)
        .arg(url)
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn pages_strangers_and_the_unsigned_are_refused() -> Result<()> {
    let server = Longshore::start()?;
    let target = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters";
    let cases: &[(&str, &[&str], &str)] = &[
        ("/", &["-H", target, "-d", "{}"], "400"),
        ("/", &["-H", target, "-d", "{}", "-H", "Origin: http://localhost"], "403"),
        ("/", &["-H", target, "-d", "{}", "-H", "Sec-Fetch-Site: cross-site"], "403"),
        ("/", &["-H", target, "-d", "{}", "-H", "Host: evil.example"], "403"),
        ("/v2/", &[], "401"),
        ("/v2/", &["-H", "Origin: http://localhost"], "403"),
        ("/v2/", &["-u", "AWS:forged"], "401"),
        (
            "/ws?containerInstanceArn=x",
            &["-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Key: eA=="],
            "400",
        ),
    ];
    for (path, args, expected) in cases {
        assert_eq!(status(&server, path, args)?, *expected, "{path} {args:?}");
    }
    Ok(())
}

#[test]
fn a_wrong_secret_is_refused_in_each_protocols_words() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    let program = r#"
import boto3, json, botocore
def refused(service, call):
    try: call(boto3.client(service, aws_secret_access_key="wrong", aws_access_key_id=boto3.Session().get_credentials().access_key))
    except botocore.exceptions.ClientError as error: return error.response["Error"]["Code"]
print(json.dumps([refused("ecs", lambda c: c.list_clusters()), refused("sts", lambda c: c.get_caller_identity())]))
"#;
    assert_eq!(client.python(program)?, serde_json::json!(["InvalidSignatureException", "SignatureDoesNotMatch"]));
    Ok(())
}

#[test]
fn a_public_address_needs_tls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let output =
        Command::new(Longshore::binary()?).args(["up", "--listen", "0.0.0.0:0", "--data"]).arg(&data).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!output.status.success() && said.contains("--tls-cert"), "{said}");
    Ok(())
}

#[test]
fn with_a_certificate_others_reach_it_and_the_node_does_its_work() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let (cert, key) = (cert.to_string_lossy().into_owned(), key.to_string_lossy().into_owned());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=longshore"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-out", &cert, "-keyout", &key])
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Longshore::start_with("0.0.0.0:0", &["--tls-cert", &cert, "--tls-key", &key])?;
    assert!(server.endpoint()?.url.starts_with("https://127.0.0.1:"), "{:?}", server.endpoint()?);
    // Our own commands trust the server's certificate by itself, though openssl marks it as an authority's.
    let demo = server.command("demo")?.output()?;
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success() && said.contains("exit code 7"), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    let env = String::from_utf8(server.command("env")?.output()?.stdout)?;
    assert!(env.contains(&format!("export AWS_CA_BUNDLE={cert}")), "{env}");
    let client = Client::of(&server);
    client.aws(&["ecr", "create-repository", "--repository-name", "web", "--ca-bundle", &cert])?;
    let image = format!("{}/web:1", server.registry()?);
    super::push(&client, &HostImage::busybox(&["true"])?.source(), &image, &[])?;
    let container = serde_json::json!([{ "name": "app", "image": image, "memory": 32 }]).to_string();
    let register = ["ecs", "register-task-definition", "--family", "web", "--container-definitions", &container];
    client.aws(&[&register[..], &["--ca-bundle", &cert]].concat())?;
    let ran = client.aws(&["ecs", "run-task", "--task-definition", "web", "--ca-bundle", &cert])?;
    let task = super::text(&ran["tasks"][0]["taskArn"]).to_owned();
    let describe = ["ecs", "describe-tasks", "--tasks", &task, "--ca-bundle", &cert];
    let ended = client.aws_until(&describe, |answer| answer["tasks"][0]["lastStatus"] == "STOPPED")?;
    assert_eq!(ended["tasks"][0]["containers"][0]["exitCode"], 0, "{ended:#}");
    Ok(())
}
