//! BatchCheckLayerAvailability.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchCheckLayerAvailability.html>

use crate::image_ids::is_digest;
use crate::repositories::{find, resource};
use auth::Check;
use base::ApiError;
use plan::image::within;
use request::{Caller, Checks, Cx};
use state::LAYERS;
use store::View;
use wire::types::ecr::{BatchCheckLayerAvailabilityRequest, BatchCheckLayerAvailabilityResponse, Layer, LayerFailure};

pub fn checks(_view: &View, input: &BatchCheckLayerAvailabilityRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:BatchCheckLayerAvailability", resource)])
}

pub fn run(
    view: &View,
    input: BatchCheckLayerAvailabilityRequest,
    cx: &mut Cx,
) -> Result<BatchCheckLayerAvailabilityResponse, ApiError> {
    let repository = find(view, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in input.layer_digests {
        match failure(&digest) {
            Some(failure) => failures.push(failure),
            None => {
                let size = view.get(LAYERS, &within(repository).push(&digest)).map(|layer| layer.size);
                layers.push(shown(digest, size));
            }
        }
    }
    Ok(BatchCheckLayerAvailabilityResponse { layers: Some(layers), failures: Some(failures) })
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

fn shown(digest: String, size: Option<u64>) -> Layer {
    Layer {
        layer_digest: Some(digest),
        layer_availability: Some(if size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }.to_owned()),
        layer_size: size.and_then(|size| i64::try_from(size).ok()),
        media_type: None,
    }
}
