//! ListImages: an id for each tag, and one by digest alone for each image without tags.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImages.html>

use crate::image_ids::identifier;
use crate::page::Page;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use plan::image::{tags, within};
use request::{Caller, Checks, Cx, List};
use state::{IMAGES, Image, Repository};
use store::View;
use wire::types::ecr::{ImageIdentifier, ListImagesRequest, ListImagesResponse};

/// Parts the digest from the tag in a page's token; in neither.
const SEPARATOR: char = '@';

pub fn checks(_view: &View, input: &ListImagesRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:ListImages", resource)])
}

pub fn run(view: &View, input: ListImagesRequest, cx: &mut Cx) -> Result<ListImagesResponse, ApiError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?;
    let page =
        Page::read(List::of(&cx.caller, "ListImages", &input), input.max_results, input.next_token.as_deref(), None)?;
    let (mut tagged, mut untagged) = (true, true);
    if let Some(filter) = &input.filter {
        // Images here are never archived, so any other status than these finds none.
        let active = filter.image_status.as_deref().is_none_or(|status| matches!(status, "ACTIVE" | "ANY"));
        tagged = active && filter.tag_status.as_deref() != Some("UNTAGGED");
        untagged = active && filter.tag_status.as_deref() != Some("TAGGED");
    }
    let ids = ids_after(view, repository, page.after.as_deref());
    let wanted = ids.filter(|id| if id.image_tag.is_some() { tagged } else { untagged });
    let (image_ids, next_token) = page.cut(wanted, place);
    Ok(ListImagesResponse { image_ids: Some(image_ids), next_token })
}

/// The ids in order of digest, then tag, that come after `after`.
fn ids_after<'a>(
    view: &'a View,
    repository: &'a Repository,
    after: Option<&'a str>,
) -> impl Iterator<Item = ImageIdentifier> + 'a {
    let (digest, tag) = after.and_then(|after| after.split_once(SEPARATOR)).unwrap_or_default();
    let started = view.get(IMAGES, &within(repository).push(digest)).into_iter();
    let rest = view.scan_after(IMAGES, &within(repository), &within(repository).push(digest));
    let ids = started.chain(rest).flat_map(move |image| ids_of(view, repository, image));
    ids.skip_while(move |id| {
        let same = id.image_digest.as_deref() == Some(digest);
        same && id.image_tag.as_deref().unwrap_or_default() <= tag
    })
}

fn ids_of<'a>(
    view: &'a View,
    repository: &Repository,
    image: &'a Image,
) -> impl Iterator<Item = ImageIdentifier> + use<'a> {
    let mut tags = tags(view, repository, &image.digest).peekable();
    let bare = tags.peek().is_none().then(|| identifier(&image.digest, None));
    tags.map(|tag| identifier(&image.digest, Some(&tag.tag))).chain(bare)
}

fn place(id: &ImageIdentifier) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}{SEPARATOR}{}", part(&id.image_digest), part(&id.image_tag))
}
