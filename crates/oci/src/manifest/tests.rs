use super::{Descriptor, Index, Manifest, ManifestError, Platform, media_type, parse};
use crate::digest::Digest;
use proptest::prelude::*;

fn descriptor(media_type: &str, content: &str) -> Descriptor {
    Descriptor::new(media_type, Digest::of(content.as_bytes()), content.len() as u64)
}

/// An image manifest's text with a config, two layers and `extra` members.
fn image(config_type: &str, layer_type: &str, extra: &str) -> String {
    let json = |d: &Descriptor| serde_json::to_string(d).expect("json");
    let config = json(&descriptor(config_type, "config"));
    let layers = ["one", "three"].map(|text| json(&descriptor(layer_type, text))).join(",");
    format!(r#"{{"schemaVersion":2,{extra}"config":{config},"layers":[{layers}]}}"#)
}

/// Of `os/architecture` or `os/architecture/variant`.
fn platform(text: &str) -> Platform {
    let parts: Vec<&str> = text.split('/').collect();
    Platform { variant: parts.get(2).map(ToString::to_string), ..Platform::new(parts[0], parts[1]) }
}

fn index(platforms: &[&str]) -> Index {
    let manifests = platforms.iter().enumerate().map(|(at, text)| {
        let mut entry = descriptor(media_type::OCI_MANIFEST, &at.to_string());
        entry.platform = (*text != "-").then(|| platform(text));
        entry
    });
    let text = serde_json::json!({"schemaVersion": 2, "manifests": manifests.collect::<Vec<_>>()}).to_string();
    match parse(text.as_bytes(), Some(media_type::OCI_INDEX)).expect("an index") {
        Manifest::Index(index) => *index,
        Manifest::Image(_) => panic!("not an index"),
    }
}

#[test]
fn both_formats_of_images_are_read() {
    let oci = image(media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP, "");
    let docker_type = format!("\"mediaType\":\"{}\",", media_type::DOCKER_MANIFEST);
    let docker = image(media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER_GZIP, &docker_type);
    let oci_type = format!("{}; charset=utf-8", media_type::OCI_MANIFEST);
    for (text, content_type, expect) in [
        (&oci, Some(oci_type.as_str()), media_type::OCI_MANIFEST),
        (&docker, None, media_type::DOCKER_MANIFEST),
        (&docker, Some(media_type::DOCKER_MANIFEST), media_type::DOCKER_MANIFEST),
    ] {
        let manifest = parse(text.as_bytes(), content_type).expect(text);
        assert_eq!(manifest.media_type(), expect);
        assert_eq!((manifest.layers().len(), manifest.children().len()), (2, 0));
        assert_eq!(manifest.content_bytes(), "config".len() as u64 + "one".len() as u64 + "three".len() as u64);
        assert_eq!(manifest.blobs().count(), 3);
        assert_eq!(manifest.artifact_type(), manifest.config().map(|config| config.media_type.as_str()));
    }
}

#[test]
fn foreign_layers_need_not_be_pushed() {
    let text = image(media_type::DOCKER_CONFIG, media_type::DOCKER_FOREIGN_LAYER_GZIP, "");
    let manifest = parse(text.as_bytes(), Some(media_type::DOCKER_MANIFEST)).expect("a manifest");
    assert_eq!(manifest.blobs().count(), 1);
}

#[test]
fn artifacts_name_their_type_and_subject() {
    let subject = serde_json::to_string(&descriptor(media_type::OCI_MANIFEST, "image")).expect("json");
    let extra = format!(r#""artifactType":"application/x-signature","subject":{subject},"annotations":{{"a":"b"}},"#);
    let text = image(media_type::OCI_EMPTY, "application/x-signature", &extra);
    let manifest = parse(text.as_bytes(), Some(media_type::OCI_MANIFEST)).expect("a manifest");
    assert_eq!(manifest.artifact_type(), Some("application/x-signature"));
    assert_eq!(manifest.subject().map(|subject| &subject.digest), Some(&Digest::of(b"image")));
    assert_eq!(manifest.annotations()["a"], "b");
}

#[test]
fn what_is_not_a_manifest_says_why() {
    let oci = image(media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP, "");
    let typed = image("c", "l", &format!("\"mediaType\":\"{}\",", media_type::OCI_MANIFEST));
    let both = image("c", "l", "\"manifests\":[],");
    let cases: [(&str, Option<&str>, &str); 11] = [
        ("", Some(media_type::OCI_MANIFEST), "not a JSON object"),
        ("[2]", Some(media_type::OCI_MANIFEST), "not a JSON object"),
        ("{}", Some(media_type::OCI_MANIFEST), "not valid"),
        (r#"{"schemaVersion":2,"manifests":{}}"#, Some(media_type::OCI_INDEX), "not valid"),
        (&oci, None, "no media type"),
        (&oci, Some("application/json"), "not supported"),
        (&typed, Some(media_type::OCI_INDEX), "send them alike"),
        (&both, Some(media_type::OCI_INDEX), "not both"),
        (&both, Some(media_type::OCI_MANIFEST), "not both"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "manifest.v1+json' is not supported"),
        (r#"{"schemaVersion":3,"manifests":[]}"#, Some(media_type::OCI_INDEX), "schemaVersion is 3"),
    ];
    for (text, content_type, expect) in cases {
        let error = parse(text.as_bytes(), content_type).expect_err(text).to_string();
        assert!(error.contains(expect), "{text}: {error}");
    }
    let large = vec![b' '; super::MANIFEST_BYTES_MAX + 1];
    assert!(matches!(parse(&large, None), Err(ManifestError::TooLarge(_))));
}

/// `expect` is the place of the chosen entry in `platforms`.
fn check(platforms: &[&str], wanted: &str, expect: Option<usize>) {
    let index = index(platforms);
    let chosen = index.choose(&platform(wanted));
    let place = chosen.and_then(|chosen| index.manifests.iter().position(|entry| entry.digest == chosen.digest));
    assert_eq!(place, expect, "{wanted} of {platforms:?}");
}

#[test]
fn an_index_gives_the_manifest_that_runs_best() {
    let usual = ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "unknown/unknown", "windows/amd64"];
    check(&usual, "linux/amd64", Some(0));
    check(&usual, "linux/arm64", Some(3));
    check(&usual, "linux/arm64/v8", Some(3));
    check(&usual, "linux/arm", Some(2));
    check(&usual, "linux/arm/v6", Some(1));
    check(&usual, "linux/arm/v5", None);
    check(&usual, "windows/amd64", Some(5));
    check(&usual, "linux/riscv64", None);
    check(&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1));
    check(&["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", Some(1));
    check(&["linux/amd64", "linux/amd64"], "linux/amd64", Some(0));
    check(&["linux/arm64", "linux/arm64/v9"], "linux/arm64/v8", Some(0));
    check(&["linux/ppc64le/power9"], "linux/ppc64le/power9", Some(0));
    check(&["linux/ppc64le/power9"], "linux/ppc64le", None);
    check(&["-"], "linux/amd64", Some(0));
    check(&["-", "-"], "linux/amd64", None);
    check(&[], "linux/amd64", None);
}

#[test]
fn an_index_without_the_platform_may_list_one_that_has_it() {
    let mut index = index(&["linux/amd64", "-", "-"]);
    index.manifests[2].media_type = media_type::OCI_INDEX.to_owned();
    let candidates = |wanted: &str| index.candidates(&platform(wanted)).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(candidates("linux/amd64"), index.manifests[..1]);
    assert_eq!(candidates("linux/arm64"), index.manifests[2..]);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..4) {
        let _ = parse(&bytes, Some(media_type::MANIFESTS[at]));
    }

    #[test]
    fn any_choice_is_made_without_panic(os in ".{0,4}", architecture in ".{0,4}", variant in proptest::option::of(".{0,4}")) {
        let index = index(&["linux/amd64", "linux/arm/v7"]);
        let _ = index.choose(&Platform { variant, ..Platform::new(&os, &architecture) });
    }
}
