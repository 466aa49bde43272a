//! DescribeImages.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>

use crate::errors::EcrError;
use crate::image_ids::{self, IdFailure};
use crate::page::Page;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use plan::image::{IdRefusal, tags, within};
use request::{Caller, Checks, Cx, List};
use state::{IMAGES, Image, Repository};
use store::View;
use wire::types::ecr::{
    DescribeImagesFilter, DescribeImagesRequest, DescribeImagesResponse, ImageDetail, ImageIdentifier,
};

pub fn checks(_view: &View, input: &DescribeImagesRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:DescribeImages", resource)])
}

pub fn run(view: &View, input: DescribeImagesRequest, cx: &mut Cx) -> Result<DescribeImagesResponse, ApiError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?;
    let explicit = input.image_ids.as_ref().map(|_| "imageIds");
    let page = Page::read(
        List::of(&cx.caller, "DescribeImages", &input),
        input.max_results,
        input.next_token.as_deref(),
        explicit,
    )?;
    let filter = input.filter.unwrap_or_default();
    let (images, next_token) = match &input.image_ids {
        Some(ids) => (named(view, repository, ids, &filter)?, None),
        None => {
            let all = within(repository);
            let after = page.after.as_ref().map_or(all.clone(), |digest| all.clone().push(digest));
            let images = view.scan_after(IMAGES, &all, &after).filter(|image| wanted(view, repository, image, &filter));
            page.cut(images, |image| image.digest.clone())
        }
    };
    let details = images.into_iter().map(|image| shown(view, repository, image)).collect();
    Ok(DescribeImagesResponse { image_details: Some(details), next_token })
}

/// The images that `ids` name, each once, in their order.
fn named<'a>(
    view: &'a View,
    repository: &Repository,
    ids: &[ImageIdentifier],
    filter: &DescribeImagesFilter,
) -> Result<Vec<&'a Image>, EcrError> {
    let mut images: Vec<&Image> = Vec::new();
    for id in ids {
        let found = image_ids::read(id).and_then(|id| Ok(plan::image::find(view, repository, &id)?));
        let image = found.map_err(|failure| refused(&failure, id, repository))?;
        let again = images.iter().any(|earlier| earlier.digest == image.digest);
        if !again && wanted(view, repository, image, filter) {
            images.push(image);
        }
    }
    Ok(images)
}

fn refused(failure: &IdFailure, id: &ImageIdentifier, repository: &Repository) -> EcrError {
    match failure {
        IdFailure::Refused(IdRefusal::NotFound | IdRefusal::TagDoesNotMatchDigest) => EcrError::ImageNotFound {
            id: image_ids::quoted(id),
            name: repository.name.clone(),
            account: repository.account.clone(),
        },
        failure => EcrError::parameter("imageIds", failure.to_string()),
    }
}

fn wanted(view: &View, repository: &Repository, image: &Image, filter: &DescribeImagesFilter) -> bool {
    // Images here are never archived, so any other status than these finds none.
    let active = filter.image_status.as_deref().is_none_or(|status| matches!(status, "ACTIVE" | "ANY"));
    let has_tags = || tags(view, repository, &image.digest).next().is_some();
    active
        && match filter.tag_status.as_deref() {
            Some("TAGGED") => has_tags(),
            Some("UNTAGGED") => !has_tags(),
            _ => true,
        }
}

fn shown(view: &View, repository: &Repository, image: &Image) -> ImageDetail {
    let tags: Vec<String> = tags(view, repository, &image.digest).map(|tag| tag.tag.clone()).collect();
    ImageDetail {
        registry_id: Some(repository.account.clone()),
        repository_name: Some(repository.name.clone()),
        image_digest: Some(image.digest.clone()),
        image_tags: (!tags.is_empty()).then_some(tags),
        image_size_in_bytes: i64::try_from(image.size).ok(),
        image_pushed_at: Some(image.pushed_at),
        image_manifest_media_type: Some(image.media_type.clone()),
        artifact_media_type: image.artifact_type.clone(),
        last_recorded_pull_time: image.last_pulled_at,
        subject_manifest_digest: image.subject.clone(),
        image_status: Some("ACTIVE".to_owned()),
        ..ImageDetail::default()
    }
}
