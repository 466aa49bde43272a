//! BatchCheckLayerAvailability.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchCheckLayerAvailability.html>

use crate::errors::{EcrError, from_blobs};
use crate::image_ids::is_digest;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use oci::Digest;
use plan::garbage::promised_until;
use plan::image::within;
use request::{Caller, Checks, Flow};
use state::LAYERS;
use store::View;
use wire::types::ecr::{BatchCheckLayerAvailabilityRequest, BatchCheckLayerAvailabilityResponse, Layer, LayerFailure};

pub fn checks(_view: &View, input: &BatchCheckLayerAvailabilityRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:BatchCheckLayerAvailability", resource)])
}

pub async fn run(
    flow: Flow,
    input: BatchCheckLayerAvailabilityRequest,
) -> Result<BatchCheckLayerAvailabilityResponse, ApiError> {
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    find(&flow.requests.view(), input.registry_id.as_deref(), &input.repository_name, &flow.cx.caller)?;
    for digest in &input.layer_digests {
        match failure(digest) {
            Some(failure) => failures.push(failure),
            None => layers.push(shown(digest, available(&flow, &input, digest).await?)),
        }
    }
    Ok(BatchCheckLayerAvailabilityResponse { layers: Some(layers), failures: Some(failures) })
}

/// The layer's bytes, if it is here; then whoever asked may count on it for as long as a push takes.
async fn available(
    flow: &Flow,
    input: &BatchCheckLayerAvailabilityRequest,
    digest: &str,
) -> Result<Option<u64>, ApiError> {
    let Ok(digest) = digest.parse::<Digest>() else { return Ok(None) };
    let size = || -> Result<Option<u64>, EcrError> {
        let view = flow.requests.view();
        let repository = find(&view, input.registry_id.as_deref(), &input.repository_name, &flow.cx.caller)?;
        Ok(view.get(LAYERS, &within(repository).push(digest.as_str())).map(|layer| layer.size))
    };
    if size()?.is_none() {
        return Ok(None);
    }
    let stays = flow.requests.blobs().promise(&digest, promised_until(flow.cx.now));
    // Once more: what went before the promise is gone by now.
    match size()? {
        Some(size) if stays => {
            let here = flow.requests.blobs().has(&digest, size).await.map_err(|error| from_blobs(&error))?;
            Ok(here.then_some(size))
        }
        _ => Ok(None),
    }
}

fn failure(digest: &str) -> Option<LayerFailure> {
    let (code, reason) = match digest {
        "" => ("MissingLayerDigest", "Invalid request parameters: layer digest cannot be empty"),
        digest if !is_digest(digest) => {
            ("InvalidLayerDigest", "Invalid request parameters: layer digest should be algorithm:hexadecimal")
        }
        _ => return None,
    };
    Some(LayerFailure {
        layer_digest: Some(digest.to_owned()),
        failure_code: Some(code.to_owned()),
        failure_reason: Some(reason.to_owned()),
    })
}

fn shown(digest: &str, size: Option<u64>) -> Layer {
    Layer {
        layer_digest: Some(digest.to_owned()),
        layer_availability: Some(if size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }.to_owned()),
        layer_size: size.and_then(|size| i64::try_from(size).ok()),
        media_type: None,
    }
}
