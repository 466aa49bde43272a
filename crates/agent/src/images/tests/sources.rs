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
