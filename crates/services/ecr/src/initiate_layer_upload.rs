//! InitiateLayerUpload.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_InitiateLayerUpload.html>

use crate::commit::Commits;
use crate::errors::from_blobs;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use plan::upload::{PART_BYTES, begin};
use request::{Caller, Checks, Cx, Flow};
use state::UPLOADS;
use store::{Tx, View};
use wire::types::ecr::{InitiateLayerUploadRequest, InitiateLayerUploadResponse};

pub fn checks(_view: &View, input: &InitiateLayerUploadRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:InitiateLayerUpload", resource)])
}

/// The row first, then the file that the parts go to: a file without a row is nobody's.
pub async fn run(flow: Flow, input: InitiateLayerUploadRequest) -> Result<InitiateLayerUploadResponse, ApiError> {
    let commits = Commits::new(flow, input, checks);
    let answer = commits.commit(put).await?;
    let id = answer.upload_id.as_deref().unwrap_or_default();
    commits.flow().requests.blobs().stage(id).await.map_err(|error| from_blobs(&error))?;
    Ok(answer)
}

fn put(tx: &mut Tx, input: &InitiateLayerUploadRequest, cx: &mut Cx) -> Result<InitiateLayerUploadResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
    let id = cx.names.uuid();
    tx.put(UPLOADS, begin(&repository, id.clone(), cx.now));
    Ok(InitiateLayerUploadResponse { upload_id: Some(id), part_size: i64::try_from(PART_BYTES).ok() })
}
