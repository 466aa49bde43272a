//! Image references as people write them: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar is the one of the CNCF distribution project's reference package;
//! [`ImageReference::normalized`] adds what Docker adds to a short name.

use crate::digest::{Digest, DigestError};
use std::fmt;
use std::str::FromStr;

/// Longest repository name, in bytes (distribution reference grammar).
pub const REPOSITORY_BYTES_MAX: usize = 255;
/// Longest tag, in bytes (OCI distribution specification, "Pulling manifests").
pub const TAG_BYTES_MAX: usize = 128;
/// Docker's registry, meant where a name has none.
pub const DOCKER_REGISTRY: &str = "docker.io";
/// Docker's older name for its registry; means the same.
const DOCKER_REGISTRY_LEGACY: &str = "index.docker.io";
/// Where Docker keeps its official images.
const DOCKER_OFFICIAL: &str = "library/";
/// The tag meant where there is neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

/// A parsed reference. With both tag and digest, the digest decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    /// `host[:port]`; `None` where the text names no registry.
    pub registry: Option<String>,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("an image reference is empty: write it as [registry/]repository[:tag][@digest]")]
    Empty,
    #[error("'{0}' is not a registry: expected host or host:port")]
    Registry(String),
    #[error(
        "'{0}' is not a repository name: use lower-case letters and digits, separated by single '.', '_', '__' or '-', in parts separated by '/', {REPOSITORY_BYTES_MAX} bytes at most"
    )]
    Repository(String),
    #[error(
        "'{0}' is not a tag: use letters, digits, '_', '.' and '-', not first '.' or '-', 1 to {TAG_BYTES_MAX} of them"
    )]
    Tag(String),
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl ImageReference {
    /// The reference with what Docker leaves out: registry `docker.io`,
    /// `library/` for its official images, and tag `latest` where there is
    /// neither tag nor digest.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let registry = match self.registry.as_deref() {
            None | Some(DOCKER_REGISTRY_LEGACY) => DOCKER_REGISTRY,
            Some(registry) => registry,
        };
        let official = registry == DOCKER_REGISTRY && !self.repository.contains('/');
        let tag = match (&self.tag, &self.digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.clone(),
        };
        Self {
            registry: Some(registry.to_owned()),
            repository: format!("{}{}", if official { DOCKER_OFFICIAL } else { "" }, self.repository),
            tag,
            digest: self.digest.clone(),
        }
    }

    /// The same repository at one digest, without a tag: an index's child.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What a registry's manifest address ends with: the digest, else the tag, else `latest`.
    pub fn tag_or_digest(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest);
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if let Some(bad) = registry.filter(|registry| !is_registry(registry)) {
            return Err(ReferenceError::Registry(bad.to_owned()));
        }
        if !is_repository(repository) || is_image_id(repository) {
            return Err(ReferenceError::Repository(repository.to_owned()));
        }
        if let Some(bad) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(bad.to_owned()));
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Docker's rule: the first part is a registry if it could not be a repository's,
/// because it has a dot, a port or a capital letter, or is `localhost`.
fn split_registry(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, text),
    }
}

/// True for `host` or `host:port`, the host a name, an IPv4 address or an IPv6 address in brackets.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (Err(address), None),
            Some((address, port)) => (Err(address), port.strip_prefix(':').or(Some(""))),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (Ok(host), Some(port)),
            None => (Ok(text), None),
        },
    };
    let host_ok = match host {
        Ok(name) => name.split('.').all(is_host_label),
        Err(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
    };
    host_ok && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|_| port.bytes().all(|b| b.is_ascii_digit())))
}

fn is_host_label(label: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// True for a repository name: parts of lower-case letters and digits with single separators.
pub fn is_repository(text: &str) -> bool {
    text.len() <= REPOSITORY_BYTES_MAX && text.split('/').all(is_path_component)
}

/// One part: runs of `[a-z0-9]` with `.`, `_`, `__` or any number of `-` between two runs.
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = part.trim_matches(alphanumeric);
    let edges = part.starts_with(alphanumeric) && part.ends_with(alphanumeric);
    let separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    edges && inner.split(alphanumeric).all(separator)
}

/// Docker takes 64 hexadecimal digits for an image id, never for a name.
fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// True for a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_BYTES_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::{ImageReference, ReferenceError, is_registry, is_repository, is_tag};
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// `parts` is registry, repository, tag, digest, `-` for none; then the normalised text.
    fn check(text: &str, parts: [&str; 4], normalized: &str) {
        let text = text.replace("DIGEST", DIGEST);
        let got: ImageReference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let digest = got.digest.as_ref().map(ToString::to_string);
        let show = |part: Option<&str>| part.unwrap_or("-").to_owned();
        let shown =
            [show(got.registry.as_deref()), got.repository.clone(), show(got.tag.as_deref()), show(digest.as_deref())];
        assert_eq!(shown, parts.map(|part| part.replace("DIGEST", DIGEST)), "{text}");
        assert_eq!(got.to_string(), text);
        assert_eq!(got.normalized().to_string(), normalized.replace("DIGEST", DIGEST), "{text}");
    }

    #[test]
    fn references_have_the_parts_that_docker_sees() {
        check("busybox", ["-", "busybox", "-", "-"], "docker.io/library/busybox:latest");
        check("busybox:1.36", ["-", "busybox", "1.36", "-"], "docker.io/library/busybox:1.36");
        check("a/b", ["-", "a/b", "-", "-"], "docker.io/a/b:latest");
        check("docker.io/busybox", ["docker.io", "busybox", "-", "-"], "docker.io/library/busybox:latest");
        check("index.docker.io/a/b:x", ["index.docker.io", "a/b", "x", "-"], "docker.io/a/b:x");
        check("localhost/web", ["localhost", "web", "-", "-"], "localhost/web:latest");
        check("localhost:5000/web:1", ["localhost:5000", "web", "1", "-"], "localhost:5000/web:1");
        check("127.0.0.1:4566/team/web", ["127.0.0.1:4566", "team/web", "-", "-"], "127.0.0.1:4566/team/web:latest");
        check("[::1]:4566/web", ["[::1]:4566", "web", "-", "-"], "[::1]:4566/web:latest");
        check("Registry/web", ["Registry", "web", "-", "-"], "Registry/web:latest");
        check("web@DIGEST", ["-", "web", "-", "DIGEST"], "docker.io/library/web@DIGEST");
        check("h.io/web:1@DIGEST", ["h.io", "web", "1", "DIGEST"], "h.io/web:1@DIGEST");
        check(
            "000000000000.dkr.ecr.us-east-1.amazonaws.com/a__b/c-d--e.f_g:v",
            ["000000000000.dkr.ecr.us-east-1.amazonaws.com", "a__b/c-d--e.f_g", "v", "-"],
            "000000000000.dkr.ecr.us-east-1.amazonaws.com/a__b/c-d--e.f_g:v",
        );
    }

    #[test]
    fn what_is_not_a_reference_says_which_part_is_wrong() {
        let parse = |text: &str| text.parse::<ImageReference>().expect_err(text);
        assert_eq!(parse(""), ReferenceError::Empty);
        for text in [
            "Web",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a.",
            "a b",
            ":tag",
            "é",
            DIGEST.trim_start_matches("sha256:"),
        ] {
            assert!(matches!(parse(text), ReferenceError::Repository(_)), "{text}");
        }
        for text in ["a:", "a:.x", "a:-", "a:x y", &format!("a:{}", "x".repeat(129))] {
            assert!(matches!(parse(text), ReferenceError::Tag(_)), "{text}");
        }
        for text in ["-h.io/a", "h..io/a", "h:x/a", "h:70000/a", "h:+1/a", "[::1/a.b", "[x]:1/a", "[::1]1/a"] {
            assert!(matches!(parse(text), ReferenceError::Registry(_)), "{text}");
        }
        for text in ["a@", "a@sha256:1", "a@md5:00"] {
            assert!(matches!(parse(text), ReferenceError::Digest(_)), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(is_repository(&"a".repeat(255)) && !is_repository(&"a".repeat(256)));
        assert!(is_tag(&"a".repeat(128)) && !is_tag(&"a".repeat(129)) && !is_tag(""));
        assert!(is_registry("[::1]") && !is_registry("") && !is_registry("h:"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn text_survives_a_round_trip(text in "([a-z]{1,5}(\\.[a-z]{1,3}|:[0-9]{1,4})/)?[a-z0-9]{1,8}([_-][a-z0-9]{1,4}){0,2}(/[a-z]{1,4}){0,2}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,8})?") {
            let reference: ImageReference = text.parse().expect("a reference");
            prop_assert_eq!(reference.to_string(), text);
            let full = reference.normalized();
            prop_assert_eq!(full.to_string().parse::<ImageReference>().expect("normalised"), full.clone());
            prop_assert_eq!(full.normalized(), full);
        }
    }
}
