//! Referrers: the manifests that are about another, such as signatures.

use crate::body::{self, Body};
use crate::errors::RegistryError;
use crate::query::Query;
use crate::session::Session;
use crate::set;
use ::blobs::BlobError;
use http::header::{CONTENT_TYPE, HeaderName, LINK};
use http::{Response, StatusCode};
use oci::manifest::{self, MANIFEST_BYTES_MAX};
use oci::{Descriptor, Digest, media_type};
use plan::image::within;
use serde_json::{Value, json};
use state::{IMAGES, Image};

/// Entries of a page at most. Ours: each costs the reading of a manifest.
const PAGE_MAX: usize = 100;
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// An index of the manifests whose subject is `digest`; of one that is not there too.
pub async fn list(
    session: &Session,
    name: &str,
    digest: &Digest,
    query: &Query,
) -> Result<Response<Body>, RegistryError> {
    let wanted = query.get("artifactType");
    let mut images = images(session, name, digest, query)?.into_iter().peekable();
    let (mut manifests, mut bytes, mut last) = (Vec::new(), 0, None);
    while let Some(image) = images.next_if(|_| manifests.len() < PAGE_MAX && bytes < MANIFEST_BYTES_MAX) {
        let entry = describe(session, &image).await?;
        bytes += entry.to_string().len();
        manifests.push(entry);
        last = Some(image.digest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    let mut response = body::json(StatusCode::OK, &index);
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, media_type::OCI_INDEX);
    if wanted.is_some() {
        set(headers, FILTERS_APPLIED, "artifactType");
    }
    if let (Some(last), Some(_)) = (last, images.peek()) {
        let filter = wanted.map(|wanted| format!("&artifactType={}", encoded(wanted))).unwrap_or_default();
        let next = format!("</v2/{name}/referrers/{digest}?last={}{filter}>; rel=\"next\"", encoded(&last));
        set(headers, LINK, &next);
    }
    Ok(response)
}

fn encoded(text: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// One more than a page, so that the page knows whether it is the last.
fn images(session: &Session, name: &str, digest: &Digest, query: &Query) -> Result<Vec<Image>, RegistryError> {
    let view = session.requests.view();
    let repository = session.repository(&view, "ecr:BatchGetImage", name)?;
    let wanted = query.get("artifactType");
    let after = query.get("last").unwrap_or_default();
    let referrers = view.by(IMAGES::BY_SUBJECT, &within(repository).push(digest.as_str()));
    let referrers = referrers.filter(|image| image.digest.as_str() > after);
    let referrers = referrers.filter(|image| wanted.is_none() || image.artifact_type.as_deref() == wanted);
    Ok(referrers.take(PAGE_MAX + 1).cloned().collect())
}

async fn describe(session: &Session, image: &Image) -> Result<Value, RegistryError> {
    let digest: Digest = image.digest.parse()?;
    let mut descriptor = Descriptor::new(&image.media_type, digest.clone(), image.manifest_size);
    descriptor.artifact_type = image.artifact_type.clone();
    // One that is damaged is listed still: it is pulled, and told of, by its digest.
    let bytes = match session.requests.blobs().get_bytes(&digest, MANIFEST_BYTES_MAX as u64).await {
        Err(BlobError::Damaged(_)) => None,
        bytes => bytes?,
    };
    let manifest = bytes.and_then(|bytes| manifest::parse(&bytes, Some(&image.media_type)).ok());
    if let Some(manifest) = manifest {
        descriptor.annotations = manifest.annotations().clone();
    }
    Ok(json!(descriptor))
}
