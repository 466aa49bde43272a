//! The registry when it is killed, pushed to by many at once, and when its disk rots.

use super::{push, text};
use crate::{Client, HostImage, Longshore};
use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Python with what the programs here share: `ask(method, path, body, headers)` answers status, headers, body.
const ASK: &str = r#"
import base64, hashlib, http.client, json, os, random, urllib.parse
import boto3
ecr = boto3.client("ecr")
url = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
basic = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
def ask(method, path, body=None, headers={}, auth=True):
    connection = http.client.HTTPConnection(url.netloc)
    given = {"Authorization": "Basic " + basic} if auth else {}
    connection.request(method, path, body, {**given, **headers})
    answer = connection.getresponse()
    return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
content = random.Random(7).randbytes(6_000_000)
half = 3_000_000
digest = "sha256:" + hashlib.sha256(content).hexdigest()
"#;

fn python(client: &Client, program: &str) -> Result<serde_json::Value> {
    client.python(&format!("{ASK}\n{program}"))
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed() -> Result<()> {
    let mut server = Longshore::start()?;
    Client::of(&server).aws(&["ecr", "create-repository", "--repository-name", "web"])?;
    // Killed with a chunk under way, of which the server has seen a part.
    let begun = python(
        &Client::of(&server),
        r#"
status, headers, _ = ask("POST", "/v2/web/blobs/uploads/", b"")
place = headers["location"]
status, headers, _ = ask("PATCH", place, content[:half], {"Content-Range": f"0-{half - 1}"})
connection = http.client.HTTPConnection(url.netloc)
connection.putrequest("PATCH", place)
connection.putheader("Authorization", "Basic " + basic)
connection.putheader("Content-Length", str(len(content) - half))
connection.endheaders()
connection.send(content[half : half + 2_000_000])
print(json.dumps({"place": place, "range": headers["range"], "status": status}))
"#,
    )?;
    assert_eq!(begun["range"], "0-2999999", "{begun}");
    server.end(Signal::KILL)?;
    server.up()?;
    let place = text(&begun["place"]);
    let ended = python(
        &Client::of(&server),
        &format!(
            r#"
place = {place:?}
status, headers, _ = ask("GET", place)
received = int(headers["range"].split("-")[1]) + 1
wrong = [ask("PATCH", place, b"x" * 10, {{"Content-Range": f"{{at}}-{{at + 9}}"}})[0] for at in (0, received - 1, received + 1)]
after = ask("GET", place)[1]["range"]
put = ask("PUT", place + "?digest=" + digest, content[received:], {{"Content-Range": f"{{received}}-{{len(content) - 1}}"}})[0]
same = ask("GET", "/v2/web/blobs/" + digest)[2] == content
layer = ecr.get_download_url_for_layer(repositoryName="web", layerDigest=digest)["downloadUrl"]
path = layer.removeprefix(os.environ["AWS_ENDPOINT_URL"])
granted = ask("GET", path, auth=False)[2] == content
forged = ask("GET", path[:-3] + "AAA", auth=False)[0]
print(json.dumps({{"received": received, "unmoved": after == headers["range"], "wrong": wrong, "put": put,
    "same": same, "granted": granted, "forged": forged}}))
"#
        ),
    )?;
    assert!(ended["received"].as_u64().is_some_and(|bytes| (3_000_000..=5_000_000).contains(&bytes)), "{ended}");
    assert_eq!(ended["wrong"], json!([416, 416, 416]));
    for fact in ["unmoved", "same", "granted"] {
        assert_eq!(ended[fact], true, "{fact}: {ended}");
    }
    assert_eq!((&ended["put"], &ended["forged"]), (&json!(201), &json!(401)));
    Ok(())
}

#[test]
fn layers_come_in_parts_by_the_api() -> Result<()> {
    let server = Longshore::start()?;
    let client = Client::of(&server);
    client.aws(&[
        "ecr",
        "create-repository",
        "--repository-name",
        "web",
        "--image-tag-mutability",
        "IMMUTABLE_WITH_EXCLUSION",
        "--image-tag-mutability-exclusion-filters",
        "filterType=WILDCARD,filter=dev-*",
    ])?;
    let told = python(
        &client,
        r#"
from botocore.exceptions import ClientError
content = random.Random(7).randbytes(11_000_000)
digest = "sha256:" + hashlib.sha256(content).hexdigest()
upload = ecr.initiate_layer_upload(repositoryName="web")
of = dict(repositoryName="web", uploadId=upload["uploadId"])
size = upload["partSize"]
def part(first, blob):
    return ecr.upload_layer_part(**of, partFirstByte=first, partLastByte=first + len(blob) - 1, layerPartBlob=blob)
first = part(0, content[:size])["lastByteReceived"]
try:
    part(0, content[:size])
except ClientError as error:
    refused = {"code": error.response["Error"]["Code"], "last": error.response["lastValidByteReceived"]}
part(size, content[size:])
done = ecr.complete_layer_upload(**of, layerDigests=[digest])["layerDigest"] == digest
available = ecr.batch_check_layer_availability(repositoryName="web", layerDigests=[digest])["layers"][0]["layerAvailability"]
config = b"{}"
put = ask("POST", "/v2/web/blobs/uploads/?digest=sha256:" + hashlib.sha256(config).hexdigest(), config)[0]
manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": "sha256:" + hashlib.sha256(config).hexdigest()},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(content), "digest": digest}]})
ecr.put_image(repositoryName="web", imageManifest=manifest, imageTag="v1")
try:
    ecr.put_image(repositoryName="web", imageManifest=manifest + " ", imageTag="v1")
except ClientError as error:
    immutable = error.response["Error"]["Code"]
moved = [ask("PUT", "/v2/web/manifests/" + tag, manifest + " ", {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})[0]
    for tag in ("v1", "dev-1", "dev-1")]
print(json.dumps({"first": first, "refused": refused, "done": done, "available": available, "put": put,
    "immutable": immutable, "moved": moved}))
"#,
    )?;
    let expect = json!({
        "first": 10_485_759, "refused": {"code": "InvalidLayerPartException", "last": 10_485_759}, "done": true,
        "available": "AVAILABLE", "put": 201, "immutable": "ImageTagAlreadyExistsException", "moved": [400, 201, 201],
    });
    assert_eq!(told, expect);
    Ok(())
}

/// The file of the largest blob.
fn largest_blob(dir: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for shard in std::fs::read_dir(dir)? {
        for file in std::fs::read_dir(shard?.path())? {
            let file = file?;
            files.push((file.metadata()?.len(), file.path()));
        }
    }
    Ok(files.into_iter().max().context("no blob")?.1)
}

#[test]
fn many_push_one_image_at_once_and_a_rotten_blob_is_never_served() -> Result<()> {
    let mut server = Longshore::start()?;
    let image = HostImage::busybox(&["true"])?;
    {
        let client = Client::of(&server);
        let names = ["web", "team/web"];
        for name in names {
            client.aws(&["ecr", "create-repository", "--repository-name", name])?;
        }
        let registry = server.registry()?;
        std::thread::scope(|scope| {
            let pushes = (0..6).map(|n| {
                let (client, image, to) = (&client, &image, format!("{registry}/{}:v{n}", names[n % 2]));
                scope.spawn(move || push(client, &image.source(), &to, &["--preserve-digests"]))
            });
            let pushes: Vec<_> = pushes.collect();
            pushes.into_iter().try_for_each(|push| push.join().expect("a push does not panic"))
        })?;
        for name in names {
            let listed = client.aws(&["ecr", "list-images", "--repository-name", name])?;
            assert_eq!(listed["imageIds"].as_array().map(Vec::len), Some(3));
        }
    }
    let blob = largest_blob(&server.data().join("blobs/sha256"))?;
    let mut bytes = std::fs::read(&blob)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, &bytes)?;
    server.end(Signal::KILL)?;
    server.up()?;
    let client = Client::of(&server);
    let to = format!("{}/web:v0", server.registry()?);
    let pull = || -> Result<crate::Answer> {
        let scratch = tempfile::tempdir()?;
        let (from, to) = (format!("docker://{to}"), format!("dir:{}", scratch.path().display()));
        client.skopeo(&["copy", "--src-tls-verify=false", "--src-creds", &client.registry_login()?, &from, &to])
    };
    for _ in 0..2 {
        assert!(!pull()?.ok, "a rotten layer was pulled");
    }
    push(&client, &image.source(), &to, &["--preserve-digests"])?;
    let healed = pull()?;
    assert!(healed.ok, "{}", healed.stderr);
    assert!(server.log_text().contains("is damaged and was set aside"));
    Ok(())
}
