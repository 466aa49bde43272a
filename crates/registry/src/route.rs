//! Which resource an address names.

use crate::errors::RegistryError;
use oci::Digest;
use oci::reference::{is_repository, is_tag};
use percent_encoding::percent_decode_str;

/// Length of an upload's id, a UUID.
const UPLOAD_ID_LEN: usize = 36;

/// A manifest's reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Base,
    Catalog,
    Tags { name: String },
    Manifest { name: String, reference: Reference },
    Blob { name: String, digest: Digest },
    Uploads { name: String },
    Upload { name: String, id: String },
    Referrers { name: String, digest: Digest },
}

impl Route {
    /// Reads a path such as `/v2/team/web/manifests/latest`. Names have slashes, so it is read from its end.
    pub fn parse(path: &str) -> Result<Self, RegistryError> {
        let unknown = || RegistryError::Path(path.to_owned());
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| unknown())?;
        if matches!(&*decoded, "/v2" | "/v2/") {
            return Ok(Self::Base);
        }
        let rest = decoded.strip_prefix("/v2/").ok_or_else(unknown)?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            ["_catalog"] => Ok(Self::Catalog),
            [ref name @ .., "tags", "list"] => Ok(Self::Tags { name: repository(name)? }),
            [ref name @ .., "blobs", "uploads"] | [ref name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads { name: repository(name)? })
            }
            [ref name @ .., "blobs", "uploads", id] => Ok(Self::Upload { name: repository(name)?, id: upload_id(id)? }),
            [ref name @ .., "blobs", text] => Ok(Self::Blob { name: repository(name)?, digest: text.parse()? }),
            [ref name @ .., "referrers", text] => {
                Ok(Self::Referrers { name: repository(name)?, digest: text.parse()? })
            }
            [ref name @ .., "manifests", text] => {
                Ok(Self::Manifest { name: repository(name)?, reference: reference(text)? })
            }
            _ => Err(unknown()),
        }
    }
}

fn repository(parts: &[&str]) -> Result<String, RegistryError> {
    let name = parts.join("/");
    if is_repository(&name) { Ok(name) } else { Err(RegistryError::Name(name)) }
}

fn reference(text: &str) -> Result<Reference, RegistryError> {
    if text.contains(':') {
        return Ok(Reference::Digest(text.parse()?));
    }
    if is_tag(text) { Ok(Reference::Tag(text.to_owned())) } else { Err(RegistryError::Tag(text.to_owned())) }
}

fn upload_id(text: &str) -> Result<String, RegistryError> {
    let is_uuid = text.len() == UPLOAD_ID_LEN && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_uuid { Ok(text.to_owned()) } else { Err(RegistryError::UploadUnknown(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::Route;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0b5c7a3e-1111-4222-8333-444455556666";

    /// `expect` is the start of what the route's Debug says, or an error's code.
    fn check(path: &str, expect: &str) {
        let path = path.replace("DIGEST", DIGEST).replace("ID", ID);
        let got = match Route::parse(&path) {
            Ok(route) => format!("{route:?}"),
            Err(error) => error.code().to_owned(),
        };
        assert!(got.starts_with(expect), "{path}: {got}");
    }

    #[test]
    fn paths_name_resources() {
        check("/v2", "Base");
        check("/v2/", "Base");
        check("/v2/_catalog", "Catalog");
        check("/v2/web/tags/list", "Tags { name: \"web\" }");
        check("/v2/a/b/c/tags/list", "Tags { name: \"a/b/c\" }");
        check("/v2/tags/list/tags/list", "Tags { name: \"tags/list\" }");
        check("/v2/web/manifests/v1", "Manifest { name: \"web\", reference: Tag(\"v1\") }");
        check("/v2/web/manifests/DIGEST", "Manifest { name: \"web\", reference: Digest(sha256:e3b0");
        check(
            "/v2/web/manifests/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "Manifest",
        );
        check("/v2/a%2Fb/blobs/DIGEST", "Blob { name: \"a/b\"");
        check("/v2/web/blobs/uploads/", "Uploads { name: \"web\" }");
        check("/v2/web/blobs/uploads", "Uploads { name: \"web\" }");
        check("/v2/web/blobs/uploads/ID", "Upload { name: \"web\", id: \"0b5c7a3e");
        check("/v2/web/referrers/DIGEST", "Referrers { name: \"web\"");
    }

    #[test]
    fn hostile_and_mistaken_paths_are_refused() {
        check("/v2/../../etc/passwd/manifests/v1", "NAME_INVALID");
        check("/v2/web/../web/manifests/v1", "NAME_INVALID");
        check("/v2/%2e%2e/blobs/DIGEST", "NAME_INVALID");
        check("/v2//manifests/v1", "NAME_INVALID");
        check("/v2/manifests/v1", "NAME_INVALID");
        check("/v2/Web/tags/list", "NAME_INVALID");
        check("/v2/web%00/tags/list", "NAME_INVALID");
        check("/v2/web/manifests/..", "TAG_INVALID");
        check("/v2/web/manifests/", "TAG_INVALID");
        check("/v2/web/manifests/sha256:zz", "DIGEST_INVALID");
        check("/v2/web/manifests/md5:00", "DIGEST_INVALID");
        check("/v2/web/blobs/..%2f..%2fetc", "NOT_FOUND");
        check("/v2/web/blobs/x", "DIGEST_INVALID");
        check("/v2/web/blobs/uploads/x", "BLOB_UPLOAD_UNKNOWN");
        check("/v2/web/blobs/uploads/..%2f..%2fx", "NOT_FOUND");
        check("/v2/web", "NOT_FOUND");
        check("/v2/%ff/tags/list", "NOT_FOUND");
        check("/v3/", "NOT_FOUND");
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "/v2/.*") {
            let _ = Route::parse(&path);
        }
    }
}
