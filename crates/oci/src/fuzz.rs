//! Fuzz targets of what registries and their users send. See docs/fuzzing.md.
//!
//! As tests they run a fixed number of inputs.

use crate::{Digest, ImageConfig, ImageReference, Platform, manifest};
use bolero::check;

/// Inputs of a target when it runs as a test.
const ITERATIONS: usize = 5_000;

#[test]
fn fuzz_manifest() {
    let types = [None, Some("application/vnd.oci.image.index.v1+json"), Some("text/html")];
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        for content_type in types {
            // Whatever is taken for a manifest can be walked.
            if let Ok(manifest::Manifest::Index(index)) = manifest::parse(bytes, content_type) {
                _ = index.choose(&Platform::new("linux", "amd64"));
            }
        }
    });
}

/// JSON that begins as a manifest does reaches further than bytes alone.
#[test]
fn fuzz_manifest_members() {
    type Member = (u8, u8, i64, String);
    check!().with_iterations(ITERATIONS).with_type::<Vec<Member>>().for_each(|members| {
        const NAMES: [&str; 10] =
            ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform", "os", "urls"];
        let name = |n: u8| NAMES[usize::from(n) % NAMES.len()].to_owned();
        let document = members.iter().fold(serde_json::Value::Null, |inner, (key, kind, number, text)| {
            let (key, other) = (name(*key), name(*number as u8));
            match kind % 5 {
                0 => serde_json::json!({ key: inner, other: number }),
                1 => serde_json::json!({ key: inner, other: text }),
                2 => serde_json::json!({ key: [inner], "schemaVersion": 2 }),
                3 => serde_json::json!({ key: inner, other: Digest::of(text.as_bytes()) }),
                _ => serde_json::json!([inner, { key: text }]),
            }
        });
        _ = manifest::parse(document.to_string().as_bytes(), None);
    });
}

#[test]
fn fuzz_image_config() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| _ = ImageConfig::parse(bytes));
}

#[test]
fn fuzz_reference() {
    check!().with_iterations(ITERATIONS).with_type::<String>().for_each(|text| {
        if let Ok(reference) = text.parse::<ImageReference>() {
            let again = reference.to_string().parse::<ImageReference>().expect("what we write, we read");
            assert_eq!(again, reference);
            // Its full name is a name, and is its own.
            let full = reference.normalized();
            assert_eq!(full.normalized(), full);
        }
    });
}

#[test]
fn fuzz_digest() {
    check!().with_iterations(ITERATIONS).with_type::<String>().for_each(|text| {
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.to_string(), *text);
        }
    });
}
