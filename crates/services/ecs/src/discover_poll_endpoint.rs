//! DiscoverPollEndpoint: where agents open their sessions.

use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::View;
use wire::types::ecs::{DiscoverPollEndpointRequest, DiscoverPollEndpointResponse};

pub fn checks(_view: &View, _input: &DiscoverPollEndpointRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:DiscoverPollEndpoint")])
}

/// The one that the agent asked: what it reaches once, it reaches again. There is none for telemetry yet.
pub fn run(
    _view: &View,
    _input: DiscoverPollEndpointRequest,
    cx: &mut Cx,
) -> Result<DiscoverPollEndpointResponse, ApiError> {
    Ok(DiscoverPollEndpointResponse {
        endpoint: Some(cx.caller.endpoint.clone()),
        ..DiscoverPollEndpointResponse::default()
    })
}
