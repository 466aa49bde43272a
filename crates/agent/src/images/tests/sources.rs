//! Registries of other people, and mirrors of them.

use super::*;
use crate::images::options::Mirror;

fn host(fake: &Fake) -> &str {
    fake.endpoint.trim_start_matches("http://")
}

async fn open_registry(content: &str) -> (Fake, Arc<Mutex<Registry>>) {
    let mut registry = Registry { open: true, ..Registry::default() };
    registry.image(content, &here());
    serve(registry).await
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_the_registry_when_it_is_of_no_help() {
    let (own, _) = serve(Registry::default()).await;
    let ((mirror, at_mirror), (upstream, _)) = (open_registry("mirror").await, open_registry("upstream").await);
    let dir = tempfile::tempdir().expect("temp dir");
    let rule: Mirror = format!("{}=http://{}", host(&upstream), host(&mirror)).parse().expect("a mirror");
    let images = open_with(&own, dir.path(), ImageOptions { mirrors: vec![rule], ..ImageOptions::default() });
    assert_eq!(content(&images, &name(&upstream)).await, "mirror");
    assert_eq!(upstream.words(), Vec::<String>::new());
    // Blobs that the mirror has lost come from the registry itself.
    at_mirror.lock().image("upstream", &here());
    at_mirror.lock().content.retain(|path, _| !path.starts_with("blobs/"));
    assert_eq!(content(&images, &name(&upstream)).await, "upstream");
    at_mirror.lock().content.clear();
    let fresh = tempfile::tempdir().expect("temp dir");
    let rule: Mirror = format!("{}=http://{}", host(&upstream), host(&mirror)).parse().expect("a mirror");
    let images = open_with(&own, fresh.path(), ImageOptions { mirrors: vec![rule], ..ImageOptions::default() });
    assert_eq!(content(&images, &name(&upstream)).await, "upstream");
}

/// Of a name at `registry`, with mirrors of it, on a node that has nothing.
async fn refused(registry: &str, mirrors: &[&Fake]) -> String {
    let (own, _) = serve(Registry::default()).await;
    let dir = tempfile::tempdir().expect("temp dir");
    let rule = |mirror: &&Fake| format!("{registry}=http://{}", host(mirror)).parse().expect("a mirror");
    let options = ImageOptions { mirrors: mirrors.iter().map(rule).collect(), ..ImageOptions::default() };
    let error = prepare(&open_with(&own, dir.path(), options), &format!("{registry}/web:1")).await.expect_err("none");
    assert_eq!(error.ecs_name(), "CannotPullContainerError", "{error}");
    error.to_string()
}

#[tokio::test]
async fn an_image_for_another_platform_is_asked_for_no_further() {
    let ((mirror, at_mirror), (upstream, _)) = (open_registry("x").await, open_registry("upstream").await);
    at_mirror.lock().image("other", &Platform::new("linux", "riscv64"));
    let error = refused(host(&upstream), &[&mirror]).await;
    assert!(error.ends_with("build it for that platform too"), "{error}");
    assert!(error.contains("failed to resolve ref ") && error.contains("image is for linux/riscv64"), "{error}");
    assert_eq!(upstream.words(), Vec::<String>::new());
}

#[tokio::test]
async fn each_source_s_reason_is_told() {
    let ((mirror, at_mirror), (upstream, at_upstream)) = (open_registry("x").await, open_registry("x").await);
    at_mirror.lock().content.clear();
    at_upstream.lock().content.clear();
    let name = format!("{}/web:1", host(&upstream));
    assert_eq!(
        refused(host(&upstream), &[&mirror]).await,
        format!(
            "pull image manifest has been retried 1 time(s): failed to resolve ref {name}: http://{}: {name}: not found; \
             http://{}: {name}: not found",
            host(&mirror),
            host(&upstream)
        )
    );
    // What is found at the mirror alone, but is broken there, has two reasons as well.
    at_mirror.lock().image("x", &here());
    at_mirror.lock().content.retain(|path, _| !path.starts_with("blobs/"));
    let error = refused(host(&upstream), &[&mirror]).await;
    let begins = "pull image manifest has been retried 1 time(s): failed to resolve ref ";
    assert!(error.starts_with(begins) && error.matches("has been retried").count() == 1, "{error}");
    assert!(error.contains(&format!("http://{}: sha256:", host(&mirror))), "{error}");
    assert!(error.contains(&format!("; http://{}: ", host(&upstream))), "{error}");
}

/// `depth` indexes, each within the next, that lead to the image whose digest is given.
fn nested(registry: &mut Registry, image: &Digest, depth: usize) -> Digest {
    let platform = json!({ "os": "linux", "architecture": here().architecture });
    let mut entry = json!({ "mediaType": OCI_MANIFEST, "digest": image, "size": 1, "platform": platform });
    let mut digest = image.clone();
    for _ in 0..depth {
        let other = json!({ "mediaType": OCI_MANIFEST, "digest": image, "size": 1, "platform": { "os": "linux", "architecture": "riscv64" } });
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other, entry] });
        digest = registry.manifest(OCI_INDEX, index.to_string().into());
        entry = json!({ "mediaType": OCI_INDEX, "digest": digest, "size": 1 });
    }
    digest
}

#[tokio::test]
async fn an_index_within_an_index_is_followed_to_a_bound() {
    let (fake, registry) = serve(Registry::default()).await;
    let image = registry.lock().image("deep", &here());
    for depth in [2, 16] {
        let digest = nested(&mut registry.lock(), &image, depth);
        let dir = tempfile::tempdir().expect("temp dir");
        let image = prepare(&open(&fake, dir.path()), &name(&fake)).await.expect("prepared");
        assert_eq!((image.digest.clone(), file_of(&image).as_str()), (digest, "deep"));
    }
    nested(&mut registry.lock(), &image, 17);
    let dir = tempfile::tempdir().expect("temp dir");
    let error = prepare(&open(&fake, dir.path()), &name(&fake)).await.expect_err("too deep");
    assert!(error.to_string().contains("more than 16 indexes within indexes"), "{error}");
}
