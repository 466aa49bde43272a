//! When a registry is asked, and what is said when it is of no help.

use super::*;
use crate::images::options::PullBehavior;

/// What each behaviour makes of a tag that was pulled before, when it has moved since, and when it is gone.
#[tokio::test]
async fn each_behavior_treats_what_is_here_its_own_way() {
    async fn check(pull_behavior: PullBehavior, moved: &str, gone: Option<&str>) {
        let (fake, registry) = serve(Registry::default()).await;
        let dir = tempfile::tempdir().expect("temp dir");
        let options = ImageOptions { pull_behavior, ..ImageOptions::default() };
        let images = open_with(&fake, dir.path(), options);
        registry.lock().image("one", &here());
        assert_eq!(content(&images, &name(&fake)).await, "one", "{pull_behavior:?}");
        registry.lock().image("two", &here());
        assert_eq!(content(&images, &name(&fake)).await, moved, "{pull_behavior:?}");
        registry.lock().content.clear();
        let left = prepare(&images, &name(&fake)).await.ok().map(|image| file_of(&image));
        assert_eq!(left.as_deref(), gone, "{pull_behavior:?}");
    }
    check(PullBehavior::Default, "two", Some("two")).await;
    check(PullBehavior::Always, "two", None).await;
    check(PullBehavior::Once, "one", Some("one")).await;
    check(PullBehavior::PreferCached, "one", Some("one")).await;
}

#[tokio::test]
async fn always_asks_for_digests_too() {
    let (fake, registry) = serve(Registry::default()).await;
    let digest = registry.lock().image("one", &here());
    let dir = tempfile::tempdir().expect("temp dir");
    let options = ImageOptions { pull_behavior: PullBehavior::Always, ..ImageOptions::default() };
    let (pinned, images) = (name(&fake).replace(":1", &format!("@{digest}")), open_with(&fake, dir.path(), options));
    assert_eq!(content(&images, &pinned).await, "one");
    registry.lock().content.clear();
    let error = prepare(&images, &pinned).await.expect_err("gone");
    assert!(error.to_string().contains("not found"), "{error}");
    assert_eq!(content(&open(&fake, dir.path()), &pinned).await, "one");
}

#[tokio::test]
async fn failures_are_told_in_the_words_of_ecs() {
    async fn check(change: impl FnOnce(&mut Registry), name_of: impl Fn(&Fake) -> String, expect: [&str; 2]) {
        let (fake, registry) = serve(Registry::default()).await;
        registry.lock().image("one", &here());
        change(&mut registry.lock());
        let (dir, name) = (tempfile::tempdir().expect("temp dir"), name_of(&fake));
        let error = prepare(&open(&fake, dir.path()), &name).await.expect_err(&name);
        assert_eq!(error.ecs_name(), expect[0], "{error}");
        assert!(error.to_string().contains(expect[1]), "{error}");
    }
    let once = "pull image manifest has been retried 1 time(s): failed to resolve ref ";
    check(|_| (), |fake| name(fake).replace(":1", ":2"), ["CannotPullContainerError", once]).await;
    check(|_| (), |fake| name(fake).replace(":1", ":2"), ["CannotPullContainerError", "web:2: not found"]).await;
    check(|registry| registry.valid_from = 9, name, ["CannotPullContainerError", "pull access denied"]).await;
    let foreign = |_: &Fake| "999999999999.dkr.ecr.eu-west-1.amazonaws.com/a".to_owned();
    check(|_| (), foreign, ["CannotPullECRContainerError", "another account"]).await;
    check(
        |registry| _ = registry.manifest(OCI_MANIFEST, b"{}".to_vec()),
        name,
        ["CannotPullImageManifestError", "manifest is not valid"],
    )
    .await;
    let riscv = Platform::new("linux", "riscv64");
    check(
        |registry| _ = registry.image("other", &riscv),
        name,
        ["CannotPullContainerError", "image is for linux/riscv64"],
    )
    .await;
    // Nobody listens on port 1, and the second attempt finds nobody either.
    let closed = |_: &Fake| "127.0.0.1:1/web:1".to_owned();
    let (fake, _) = serve(Registry::default()).await;
    let told = Mutex::new(Vec::new());
    let error = {
        let dir = tempfile::tempdir().expect("temp dir");
        let images = open(&fake, dir.path());
        let image = closed(&fake).parse().expect("a name");
        let source = crate::images::registries::Registry::Other(
            oci::client::Endpoint::http("127.0.0.1:1"),
            oci::client::Credentials::Anonymous,
        );
        let pull = Pull { images: &images, sources: &[source], image: &image, tell: &|news| told.lock().push(news) };
        pull.resolve(crate::images::retry::MANIFEST_IF_CACHED).await.expect_err("nobody there")
    };
    let text = error.to_string();
    assert!(text.starts_with("pull image manifest has been retried 3 time(s): failed to resolve ref 127.0.0.1:1/web:1: failed to do request: "), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
    let again = |news: &News| matches!(news, News::Retrying { why, .. } if why.contains("Connection refused"));
    assert!(told.lock().len() == 2 && told.lock().iter().all(again), "{told:?}");
}

#[tokio::test]
async fn a_layer_that_breaks_off_is_fetched_further_and_told() {
    let (fake, registry) = serve(Registry::default()).await;
    registry.lock().image("one", &here());
    registry.lock().cut = 7;
    let dir = tempfile::tempdir().expect("temp dir");
    let (images, told) = (open(&fake, dir.path()), Mutex::new(Vec::new()));
    let image = images.prepare(&name(&fake), &nobody(), &|news| told.lock().push(news)).await.expect("prepared");
    assert_eq!(file_of(&image), "one");
    let told = told.into_inner();
    assert!(matches!(&told[..], [News::Resolved { .. }, News::Retrying { attempt: 1, .. }]), "{told:?}");
}
