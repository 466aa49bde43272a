//! ListImageReferrers: the artifacts of a repository that are about an image.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html>

use crate::errors::from_blobs;
use crate::page::Page;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use blobs::BlobError;
use oci::Digest;
use oci::manifest::{self, MANIFEST_BYTES_MAX};
use plan::image::within;
use request::{Caller, Checks, Flow, List, Requests};
use state::{IMAGES, Image};
use std::collections::BTreeMap;
use store::View;
use wire::types::ecr::{ImageReferrer, ListImageReferrersRequest, ListImageReferrersResponse};

/// Entries on a page unless told otherwise (API reference, `maxResults`).
const ENTRIES_DEFAULT: i32 = 20;

/// As the API reference says, what may be listed is what may be pulled.
pub fn checks(_view: &View, input: &ListImageReferrersRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:BatchGetImage", resource)])
}

pub async fn run(flow: Flow, input: ListImageReferrersRequest) -> Result<ListImageReferrersResponse, ApiError> {
    let (images, next_token) = page(&flow.requests.view(), &input, &flow.cx.caller)?;
    let mut referrers = Vec::with_capacity(images.len());
    for image in images {
        let annotations = annotations(&flow.requests, &image).await?;
        referrers.push(shown(image, annotations));
    }
    Ok(ListImageReferrersResponse { referrers: Some(referrers), next_token })
}

fn page(
    view: &View,
    input: &ListImageReferrersRequest,
    caller: &Caller,
) -> Result<(Vec<Image>, Option<String>), ApiError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, caller)?;
    let list = List::of(caller, "ListImageReferrers", input);
    let page = Page::read(list, input.max_results.or(Some(ENTRIES_DEFAULT)), input.next_token.as_deref(), None)?;
    let filter = input.filter.clone().unwrap_or_default();
    // Artifacts here are never archived, so any other status than these finds none.
    let active = filter.artifact_status.as_deref().is_none_or(|status| matches!(status, "ACTIVE" | "ANY"));
    let types = filter.artifact_types.unwrap_or_default();
    let wanted = |image: &&Image| {
        let kind = image.artifact_type.as_deref();
        active && (types.is_empty() || types.iter().any(|wanted| Some(wanted.as_str()) == kind))
    };
    let after = page.after.clone().unwrap_or_default();
    let all = view.by(IMAGES::BY_SUBJECT, &within(repository).push(&input.subject_id.image_digest));
    let rest = all.filter(|image| image.digest > after).filter(wanted).cloned();
    Ok(page.cut(rest, |image| image.digest.clone()))
}

/// Those of the manifest; of one that is damaged there are none to show.
async fn annotations(requests: &Requests, image: &Image) -> Result<BTreeMap<String, String>, ApiError> {
    let Ok(digest) = image.digest.parse::<Digest>() else { return Ok(BTreeMap::new()) };
    let bytes = match requests.blobs().get_bytes(&digest, MANIFEST_BYTES_MAX as u64).await {
        Err(BlobError::Damaged(_)) => None,
        bytes => bytes.map_err(|error| from_blobs(&error))?,
    };
    let manifest = bytes.and_then(|bytes| manifest::parse(&bytes, Some(&image.media_type)).ok());
    Ok(manifest.map(|manifest| manifest.annotations().clone()).unwrap_or_default())
}

fn shown(image: Image, annotations: BTreeMap<String, String>) -> ImageReferrer {
    ImageReferrer {
        digest: Some(image.digest),
        media_type: Some(image.media_type),
        artifact_type: image.artifact_type,
        size: i64::try_from(image.manifest_size).ok(),
        annotations: (!annotations.is_empty()).then_some(annotations),
        artifact_status: Some("ACTIVE".to_owned()),
    }
}
