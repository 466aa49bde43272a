//! Images: what pushing a manifest or deleting an image changes, or why it is refused.
//!
//! Texts of refusals are the ones that Amazon ECR answers, shared by its JSON
//! API and by the registry's HTTP API; each gives them codes of its own.

use base::{ApiError, Timestamp};
use oci::Digest;
use state::{IMAGE_TAGS, IMAGES, Image, ImageTag, LAYERS, REPOSITORIES, Repository};
use std::collections::BTreeSet;
use store::{Key, View, key};

mod pushed;
mod tag;
#[cfg(test)]
mod tests;

pub use pushed::Pushed;
pub use tag::{MutabilityRefusal, is_immutable, mutability, mutability_text};

/// Images in a repository (Amazon ECR service quotas).
pub const IMAGES_MAX: usize = 100_000;
/// Tags of an image (Amazon ECR service quotas).
pub const TAGS_MAX: usize = 1_000;
/// Layers of an image or manifests of an index. Ours: the row must fit one transaction.
pub const PARTS_MAX: usize = 4_096;
/// Digests that a refusal lists. Ours: enough to see what is missing, short enough to read.
const DIGESTS_SHOWN_MAX: usize = 20;
/// How old a recorded pull time may become before a pull renews it (ImageDetail, lastRecordedPullTime).
const PULL_TIME_AGE_SECS: i64 = 24 * 3600;

/// Why a push is refused, or the repository that it names is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("The repository with name '{name}' does not exist in the registry with id '{account}'")]
    RepositoryNotFound { name: String, account: String },
    #[error(
        "Layers with digests '{}' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist",
        shown(digests)
    )]
    LayersNotFound { digests: Vec<String>, name: String, account: String },
    #[error(
        "Images with digests '{}' required for pushing image into repository with name '{name}' in the registry with id '{account}' do not exist",
        shown(digests)
    )]
    ImagesNotFound { digests: Vec<String>, name: String, account: String },
    #[error(
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Limit on number of layers per image exceeded'"
    )]
    TooManyParts,
    #[error(
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'size of {digest} is {actual} bytes, not {stated}'"
    )]
    WrongSize { digest: String, stated: u64, actual: u64 },
    #[error(
        "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the {} is immutable.",
        if *excluded { "tag" } else { "repository" }
    )]
    ImmutableTag {
        tag: String,
        name: String,
        /// It is an exclusion of a mutable repository that makes this tag immutable.
        excluded: bool,
    },
    #[error("The repository with name '{name}' has {IMAGES_MAX} images, the most that it can have: delete some first")]
    TooManyImages { name: String },
    #[error("The image with digest '{digest}' has {TAGS_MAX} tags, the most that it can have: delete some first")]
    TooManyTags { digest: String },
}

impl Refusal {
    /// The code of ECR's JSON API and of audit records.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RepositoryNotFound { .. } => "RepositoryNotFoundException",
            Self::LayersNotFound { .. } => "LayersNotFoundException",
            Self::ImagesNotFound { .. } => "ReferencedImagesNotFoundException",
            Self::ImmutableTag { .. } => "ImageTagAlreadyExistsException",
            Self::TooManyParts | Self::WrongSize { .. } => "InvalidParameterException",
            Self::TooManyImages { .. } | Self::TooManyTags { .. } => "LimitExceededException",
        }
    }
}

impl Refusal {
    /// A layer that the repository has by its row, but whose bytes are lost.
    pub fn layer_lost(digest: &str, name: &str, account: &str) -> Self {
        Self::LayersNotFound { digests: vec![digest.to_owned()], name: name.to_owned(), account: account.to_owned() }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::client(refusal.code(), refusal.to_string())
    }
}

/// Why an image id names no image, or one that must stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdRefusal {
    #[error("Invalid request parameters: both tag and digest cannot be null")]
    MissingDigestAndTag,
    #[error("Requested image not found")]
    NotFound,
    #[error("Requested image not found: the tag is not one of the image with that digest")]
    TagDoesNotMatchDigest,
    #[error("Requested image referenced by manifest list: {}", shown(indexes))]
    Referenced { indexes: Vec<String> },
}

impl IdRefusal {
    /// The `failureCode` of ECR's batch operations.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingDigestAndTag => "MissingDigestAndTag",
            Self::NotFound => "ImageNotFound",
            Self::TagDoesNotMatchDigest => "ImageTagDoesNotMatchDigest",
            Self::Referenced { .. } => "ImageReferencedByManifestList",
        }
    }
}

/// An image by its digest, one of its tags, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageId {
    pub digest: Option<String>,
    pub tag: Option<String>,
}

/// The rows that a push puts; none at all where it repeats an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Push {
    pub image: Option<Image>,
    pub tag: Option<ImageTag>,
}

/// The rows that a deletion takes away.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub digest: String,
    pub tags: Vec<String>,
    /// The image goes too, not its tags alone.
    pub image: bool,
    /// There was no room for all of it: ask again.
    pub more: bool,
}

/// The repository of a name, if there is one.
pub fn repository<'a>(view: &'a View, account: &str, region: &str, name: &str) -> Result<&'a Repository, Refusal> {
    view.get(REPOSITORIES, &key![account, region, name])
        .ok_or_else(|| Refusal::RepositoryNotFound { name: name.to_owned(), account: account.to_owned() })
}

/// The key of the repository's rows, to which a digest or tag is pushed: a prefix of all of them.
pub fn within(repository: &Repository) -> Key {
    key![repository.account, repository.region, repository.name]
}

/// The tags of an image, in order.
pub fn tags<'a>(view: &'a View, repository: &Repository, digest: &str) -> impl Iterator<Item = &'a ImageTag> + use<'a> {
    view.by(IMAGE_TAGS::BY_DIGEST, &within(repository).push(digest))
}

/// The image that `id` names.
pub fn find<'a>(view: &'a View, repository: &Repository, id: &ImageId) -> Result<&'a Image, IdRefusal> {
    let digest = match (&id.tag, &id.digest) {
        (None, None) => return Err(IdRefusal::MissingDigestAndTag),
        (None, Some(digest)) => digest,
        (Some(tag), wanted) => {
            let tag = view.get(IMAGE_TAGS, &within(repository).push(tag)).ok_or(IdRefusal::NotFound)?;
            if wanted.as_ref().is_some_and(|digest| *digest != tag.digest) {
                return Err(IdRefusal::TagDoesNotMatchDigest);
            }
            &tag.digest
        }
    };
    view.get(IMAGES, &within(repository).push(digest)).ok_or(IdRefusal::NotFound)
}

/// Decides a push: everything that the manifest names must be there already.
pub fn push(view: &View, repository: &Repository, pushed: Pushed, now: Timestamp) -> Result<Push, Refusal> {
    present(view, repository, &pushed)?;
    let known = view.get(IMAGES, &within(repository).push(&pushed.digest)).is_some();
    if !known && view.scan(IMAGES, &within(repository)).nth(IMAGES_MAX - 1).is_some() {
        return Err(Refusal::TooManyImages { name: repository.name.clone() });
    }
    let tag = match &pushed.tag {
        Some(tag) => retag(view, repository, tag, &pushed.digest, now)?,
        None => None,
    };
    let image = (!known).then(|| image(view, repository, pushed, now));
    Ok(Push { image, tag })
}

impl Push {
    /// True when image and tag were there already.
    pub fn is_repeat(&self) -> bool {
        self.image.is_none() && self.tag.is_none()
    }
}

fn present(view: &View, repository: &Repository, pushed: &Pushed) -> Result<(), Refusal> {
    if pushed.blobs.len() > PARTS_MAX || pushed.children.len() > PARTS_MAX {
        return Err(Refusal::TooManyParts);
    }
    let within = within(repository);
    let (name, account) = (repository.name.clone(), repository.account.clone());
    let digests = absent(&pushed.blobs, |digest| view.get(LAYERS, &within.clone().push(digest)).is_some());
    if !digests.is_empty() {
        return Err(Refusal::LayersNotFound { digests, name, account });
    }
    let digests = absent(&pushed.children, |digest| view.get(IMAGES, &within.clone().push(digest)).is_some());
    if !digests.is_empty() {
        return Err(Refusal::ImagesNotFound { digests, name, account });
    }
    truthful(view, repository, pushed)
}

/// Refuses a manifest that says other sizes than what it names has: those who pull count what comes. What is not
/// there has no size.
pub fn truthful(view: &View, repository: &Repository, pushed: &Pushed) -> Result<(), Refusal> {
    let size = |digest: &str| {
        let key = within(repository).push(digest);
        match pushed.children.is_empty() {
            true => view.get(LAYERS, &key).map(|layer| layer.size),
            false => view.get(IMAGES, &key).map(|image| image.manifest_size),
        }
    };
    for (digest, stated) in &pushed.stated {
        if let Some(actual) = size(digest).filter(|actual| actual != stated) {
            return Err(Refusal::WrongSize { digest: digest.clone(), stated: *stated, actual });
        }
    }
    Ok(())
}

/// Config and layers of a push as the repository has them, each with its size in bytes.
pub fn stored(view: &View, repository: &Repository, pushed: &Pushed) -> Vec<(Digest, u64)> {
    let rows = pushed.blobs.iter().filter_map(|digest| view.get(LAYERS, &within(repository).push(digest)));
    rows.filter_map(|row| Some((row.digest.parse().ok()?, row.size))).collect()
}

/// Those that are not there, each once.
fn absent(digests: &[String], is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let missing: BTreeSet<&String> = digests.iter().filter(|digest| !is_there(digest)).collect();
    missing.into_iter().cloned().collect()
}

/// The tag's row as the push leaves it; `None` where it is at this image already.
fn retag(
    view: &View,
    repository: &Repository,
    tag: &str,
    digest: &str,
    now: Timestamp,
) -> Result<Option<ImageTag>, Refusal> {
    if let Some(row) = view.get(IMAGE_TAGS, &within(repository).push(tag)) {
        // At the very image that is pushed again too: so does Amazon ECR.
        if is_immutable(&repository.mutability, tag) {
            let (tag, name, excluded) = (tag.to_owned(), repository.name.clone(), !repository.mutability.immutable);
            return Err(Refusal::ImmutableTag { tag, name, excluded });
        }
        if row.digest == digest {
            return Ok(None);
        }
    }
    if tags(view, repository, digest).nth(TAGS_MAX - 1).is_some() {
        return Err(Refusal::TooManyTags { digest: digest.to_owned() });
    }
    Ok(Some(ImageTag {
        account: repository.account.clone(),
        region: repository.region.clone(),
        repository: repository.name.clone(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
        tagged_at: now,
    }))
}

fn image(view: &View, repository: &Repository, pushed: Pushed, now: Timestamp) -> Image {
    let children = pushed.children.iter().filter_map(|child| view.get(IMAGES, &within(repository).push(child)));
    let largest_child = children.map(|child| child.size).max().unwrap_or_default();
    Image {
        account: repository.account.clone(),
        region: repository.region.clone(),
        repository: repository.name.clone(),
        digest: pushed.digest,
        media_type: pushed.media_type,
        artifact_type: pushed.artifact_type,
        subject: pushed.subject,
        size: pushed.content_bytes.max(largest_child),
        manifest_size: pushed.manifest_bytes,
        pushed_at: now,
        last_pulled_at: None,
        children: pushed.children,
        blobs: pushed.blobs,
    }
}

/// Decides a deletion that takes away at most `room` rows, or some of it where that needs more.
///
/// By tag, or by tag and digest, that tag goes, and with the last tag the
/// image; by digest the image goes with all its tags, the image last. An image
/// that an index lists stays, and so does its only tag.
pub fn delete(view: &View, repository: &Repository, id: &ImageId, room: usize) -> Result<Removal, IdRefusal> {
    let digest = find(view, repository, id)?.digest.clone();
    let one_of_many = id.tag.is_some() && tags(view, repository, &digest).nth(1).is_some();
    let wanted = match (&id.tag, one_of_many) {
        (Some(tag), true) => vec![tag.clone()],
        _ => {
            unreferenced(view, repository, &digest)?;
            tags(view, repository, &digest).map(|tag| tag.tag.clone()).collect()
        }
    };
    let rows = wanted.len() + usize::from(!one_of_many);
    let more = rows > room;
    // The last tag goes with the image: by that tag nobody could ask for the rest.
    let taken = if more { room.min(wanted.len().saturating_sub(1)) } else { wanted.len() };
    let tags = wanted.into_iter().take(taken).collect();
    Ok(Removal { digest, tags, image: !one_of_many && !more, more })
}

fn unreferenced(view: &View, repository: &Repository, digest: &str) -> Result<(), IdRefusal> {
    let indexes = view.by(IMAGES::BY_CHILD, &within(repository).push(digest));
    let indexes: Vec<String> = indexes.map(|index| index.digest.clone()).collect();
    if indexes.is_empty() { Ok(()) } else { Err(IdRefusal::Referenced { indexes }) }
}

impl Removal {
    /// How many rows it takes away.
    pub fn rows(&self) -> usize {
        self.tags.len() + usize::from(self.image)
    }
}

/// True when a pull at `now` is to be written down: the time recorded is a day old, or there is none.
pub fn pull_is_recorded(image: &Image, now: Timestamp) -> bool {
    image.last_pulled_at.is_none_or(|at| now >= at.plus_secs(PULL_TIME_AGE_SECS))
}

/// `[a, b]`, as ECR lists digests in its messages.
fn shown(digests: &[String]) -> String {
    match digests.get(..DIGESTS_SHOWN_MAX) {
        Some(first) if first.len() < digests.len() => {
            format!("[{}, and {} more]", first.join(", "), digests.len() - first.len())
        }
        _ => format!("[{}]", digests.join(", ")),
    }
}
