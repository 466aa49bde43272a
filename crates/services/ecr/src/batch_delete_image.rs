//! BatchDeleteImage.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html>
//!
//! A batch may take away more rows than one transaction holds: then it is
//! committed in slices, each with an audit record of what it took.

use crate::commit::{Commits, ROWS_MAX};
use crate::image_ids::{self, IdFailure, identifier};
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use plan::image::{Removal, within};
use request::{Caller, Checks, Cx, Flow};
use serde::Serialize;
use state::{IMAGE_TAGS, IMAGES, Repository};
use store::{Tx, View};
use wire::types::ecr::{BatchDeleteImageRequest, BatchDeleteImageResponse, ImageFailure, ImageIdentifier};

pub fn checks(_view: &View, input: &BatchDeleteImageRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:BatchDeleteImage", resource)])
}

pub async fn run(flow: Flow, input: BatchDeleteImageRequest) -> Result<BatchDeleteImageResponse, ApiError> {
    let commits = Commits::new(flow, input, checks);
    let (mut deleted, mut failures, mut place) = (Vec::new(), Vec::new(), 0);
    while place < commits.input().image_ids.len() {
        let slice = commits.commit(move |tx, input, cx| Slice::run(tx, input, cx, place)).await?;
        deleted.extend(slice.image_ids);
        failures.extend(slice.failures);
        place = slice.next;
    }
    Ok(BatchDeleteImageResponse { image_ids: Some(deleted), failures: Some(failures) })
}

/// What one transaction did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    image_ids: Vec<ImageIdentifier>,
    failures: Vec<ImageFailure>,
    /// The place of the first id that is not done.
    #[serde(skip)]
    next: usize,
}

impl Slice {
    /// Deletes by the ids from `place` on, as far as there is room.
    fn run(tx: &mut Tx, input: &BatchDeleteImageRequest, cx: &mut Cx, place: usize) -> Result<Self, ApiError> {
        let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
        let mut slice = Self { image_ids: Vec::new(), failures: Vec::new(), next: place };
        let mut room = ROWS_MAX;
        for id in input.image_ids.iter().skip(place) {
            match removal(tx, &repository, id, room) {
                Err(failure) => slice.failures.push(failure.shown(id)),
                Ok(removal) => {
                    room -= removal.rows();
                    slice.take(tx, &repository, &removal);
                    if removal.more {
                        return Ok(slice);
                    }
                }
            }
            slice.next += 1;
        }
        Ok(slice)
    }

    fn take(&mut self, tx: &mut Tx, repository: &Repository, removal: &Removal) {
        for tag in &removal.tags {
            tx.delete(IMAGE_TAGS, &within(repository).push(tag));
            self.image_ids.push(identifier(&removal.digest, Some(tag)));
        }
        if removal.image {
            tx.delete(IMAGES, &within(repository).push(&removal.digest));
        }
        // An image without tags is answered by its digest alone, one with tags by each tag.
        if removal.image && removal.tags.is_empty() {
            self.image_ids.push(identifier(&removal.digest, None));
        }
    }
}

fn removal(tx: &Tx, repository: &Repository, id: &ImageIdentifier, room: usize) -> Result<Removal, IdFailure> {
    Ok(plan::image::delete(tx, repository, &image_ids::read(id)?, room)?)
}
