//! UploadLayerPart: the next bytes of an upload, each part after the one before.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html>

use crate::errors::{EcrError, from_blobs};
use crate::repositories::{find, resource};
use crate::uploads::resume;
use auth::Check;
use base::ApiError;
use blobs::BlobError;
use plan::image::within;
use plan::upload::{self, PART_BYTES, PART_BYTES_MIN, UploadRefusal};
use request::{Caller, Checks, Flow};
use state::{Repository, UPLOADS};
use std::convert::Infallible;
use store::{Tx, View};
use wire::types::ecr::{UploadLayerPartRequest, UploadLayerPartResponse};

pub fn checks(_view: &View, input: &UploadLayerPartRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:UploadLayerPart", resource)])
}

pub async fn run(flow: Flow, input: UploadLayerPartRequest) -> Result<UploadLayerPartResponse, ApiError> {
    let repository = {
        let view = flow.requests.view();
        let found = find(&view, input.registry_id.as_deref(), &input.repository_name, &flow.cx.caller)?;
        upload::find(&view, found, &input.upload_id).map_err(EcrError::from)?;
        found.clone()
    };
    let mut staged = resume(&flow, &repository, &input.upload_id).await?;
    let UploadLayerPartRequest { upload_id: id, part_first_byte, part_last_byte, layer_part_blob, .. } = input;
    let (bytes, received) = (layer_part_blob.0, staged.len());
    if let Some(reason) = misplaced(part_first_byte, part_last_byte, bytes.len() as u64, received) {
        return Err(UploadRefusal::invalid_part(&repository, &id, reason, received).into());
    }
    let length = bytes.len() as u64;
    let content = futures_util::stream::iter([Ok::<_, Infallible>(bytes.into())]);
    let end = staged.append(content).await.map_err(|error| match error {
        BlobError::TooLarge { limit } => {
            let reason = format!("the layer would have more than {limit} bytes");
            UploadRefusal::invalid_part(&repository, &id, reason, received).into()
        }
        error => from_blobs(&error),
    })?;
    if length < PART_BYTES_MIN {
        note_short_part(&flow, &repository, &id, end).await?;
    }
    Ok(UploadLayerPartResponse {
        registry_id: Some(repository.account),
        repository_name: Some(repository.name),
        upload_id: Some(id),
        last_byte_received: i64::try_from(end - 1).ok(),
    })
}

/// Why a part cannot be taken: it must have the bytes that it says, and follow what was received.
fn misplaced(first: i64, last: i64, length: u64, received: u64) -> Option<String> {
    let stated = last.checked_sub(first).and_then(|span| u64::try_from(span.checked_add(1)?).ok());
    if stated != Some(length) || length == 0 {
        return Some(format!("it has {length} bytes, but is said to be those from {first} to {last}"));
    }
    if length > PART_BYTES {
        return Some(format!("it has {length} bytes, but a part has {PART_BYTES} at most"));
    }
    let next = u64::try_from(first) == Ok(received);
    (!next).then(|| format!("it begins at byte {first}, but the next to be sent is byte {received}"))
}

/// A part of this length may only be the last. Only the first such part needs to be known.
async fn note_short_part(flow: &Flow, repository: &Repository, id: &str, end: u64) -> Result<(), ApiError> {
    let key = within(repository).push(id);
    let note = move |tx: &mut Tx| {
        if tx.get(UPLOADS, &key).is_some_and(|upload| upload.short_part_end.is_none()) {
            tx.update(UPLOADS, &key, |upload| upload.short_part_end = Some(end));
        }
        Ok(())
    };
    flow.requests.transact(note).await
}

#[cfg(test)]
mod tests {
    use super::misplaced;
    use plan::upload::PART_BYTES;

    #[test]
    fn parts_follow_one_another() {
        let check = |first, last, length, received, expect: &str| {
            let got = misplaced(first, last, length, received).unwrap_or_default();
            assert!(got.starts_with(expect) && got.is_empty() == expect.is_empty(), "{first}-{last}: {got}");
        };
        check(0, 4, 5, 0, "");
        check(5, 9, 5, 5, "");
        check(0, 4, 5, 5, "it begins at byte 0, but the next to be sent is byte 5");
        check(6, 10, 5, 5, "it begins at byte 6");
        check(0, 5, 5, 0, "it has 5 bytes, but is said to be those from 0 to 5");
        check(0, -1, 0, 0, "it has 0 bytes");
        check(9, 4, 5, 9, "it has 5 bytes");
        check(i64::MIN, i64::MAX, 5, 0, "it has 5 bytes");
        check(0, PART_BYTES as i64, PART_BYTES + 1, 0, "it has 10485761 bytes, but a part has 10485760 at most");
    }
}
