//! The way of a request, in order: admit, identify, lead (a server that stands by refuses), authenticate,
//! throttle, decode, validate, then (in `request`) begin, authorise, run, audit, commit, and encode.

use crate::server::{Gateway, Peer};
use crate::{OPERATIONS, anyone, body, reset, trust};
use auth::Identity;
use base::ApiError;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use registry::Body;
use request::{Call, Caller, Entry};
use serde_json::Value;
use wire::codec::{self, Dialect, Encoded};
use wire::model::{Operation, Service};

/// The signed header that makes a repeated log batch recognisable.
const LOG_BATCH_HEADER: &str = "x-longshore-batch";

pub async fn handle(gate: &Gateway, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let request_id = gate.requests.names().uuid();
    let (head, incoming) = request.into_parts();
    let path = head.uri.path();
    let of_registry = path == "/v2" || path.starts_with("/v2/");
    if let Err(error) = trust::admit(&gate.requests.installation().hosts, &head) {
        return match of_registry {
            true => registry::refuse(error, &head.method, &request_id),
            false => failed(codec::spoken(&head), &error, &request_id),
        };
    }
    if of_registry {
        if let Err(error) = check_leads(gate) {
            return registry::refuse(error, &head.method, &request_id);
        }
        let meta = registry::Meta { source_ip: peer.address.ip().to_string(), request_id };
        return registry::handle(&gate.requests, Request::from_parts(head, incoming), meta).await;
    }
    if let Some(resets) = gate.resets.as_ref().filter(|_| path == reset::RESET_PATH) {
        return match resets.ask(&head.method, peer).await {
            Ok(()) => status(StatusCode::NO_CONTENT),
            Err(error) => failed(codec::spoken(&head), &error, &request_id),
        };
    }
    if path == "/ws" {
        return agent_session(gate, peer, Request::from_parts(head, incoming), request_id).await;
    }
    match body::read(incoming).await {
        Ok(body) => call(gate, peer, head, body, request_id).await,
        Err(error) => failed(codec::spoken(&head), &error, &request_id),
    }
}

/// Refuses in a server that stands by: what it would answer may be old, and it changes nothing.
fn check_leads(gate: &Gateway) -> Result<(), ApiError> {
    gate.requests.check_leads().and_then(|()| gate.control.check_begun())
}

/// One API call: identified, authenticated, decoded, validated, executed, encoded.
async fn call(gate: &Gateway, peer: Peer, head: Parts, body: Bytes, request_id: String) -> Response<Body> {
    let (service, operation) = match codec::identify(&head, &body) {
        Ok(identified) => identified,
        Err(unknown) => return encoded(unknown.encode(&request_id)),
    };
    let outcome = async {
        check_leads(gate)?;
        let caller = authenticate(gate, peer, &head, &body, service, &request_id)?;
        throttle(gate, &caller, service, operation)?;
        let document = codec::decode(service, operation, &head, &body)?;
        codec::validate(service, operation, &document)?;
        let entry = find(service, operation);
        execute(gate, entry, caller, service, operation, document).await
    };
    match outcome.await {
        Ok(answer) => encoded(codec::encode(service, operation, &answer, &request_id)),
        Err(error) => failed(service, &error, &request_id),
    }
}

fn authenticate(
    gate: &Gateway,
    peer: Peer,
    head: &Parts,
    body: &[u8],
    service: &'static Service,
    request_id: &str,
) -> Result<Caller, ApiError> {
    let (view, now) = (gate.requests.view(), gate.requests.now());
    let installation = gate.requests.installation();
    let identity = auth::authenticate(&view, &installation.master, head, body, service, now);
    let identity = match (&installation.open, identity) {
        (Some(open), Err(_)) => anyone::identity(&view, open, head)?,
        (_, identity) => identity?,
    };
    Ok(caller(identity, peer, head, request_id))
}

fn caller(identity: Identity, peer: Peer, head: &Parts, request_id: &str) -> Caller {
    let Identity { principal, region, access_key_id, signed_headers } = identity;
    let signed = |name: &str| signed_headers.iter().any(|signed| signed == name);
    Caller {
        account: principal.account().to_owned(),
        principal,
        region,
        access_key_id: Some(access_key_id),
        request_id: request_id.to_owned(),
        source_ip: peer.address.ip().to_string(),
        user_agent: header(&head.headers, "user-agent").unwrap_or_default(),
        endpoint: format!("{}://{}", if peer.secure { "https" } else { "http" }, host(head)),
        log_batch: header(&head.headers, LOG_BATCH_HEADER).filter(|_| signed(LOG_BATCH_HEADER)),
    }
}

/// A refused call leaves no audit record: writing one would cost more than the call.
fn throttle(
    gate: &Gateway,
    caller: &Caller,
    service: &'static Service,
    operation: &'static Operation,
) -> Result<(), ApiError> {
    let Some(throttle) = &gate.throttle else { return Ok(()) };
    throttle.admit(&caller.account, &caller.region, service, operation.name, gate.requests.now())
}

/// The host that was asked; admission has seen that it is ours. HTTP/2 has it in the URI.
fn host(head: &Parts) -> String {
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    header(&head.headers, "host").or(authority).unwrap_or_default()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn find(service: &Service, operation: &Operation) -> Option<&'static Entry> {
    OPERATIONS.iter().find(|entry| entry.service == service.name && entry.operation == operation.name)
}

async fn execute(
    gate: &Gateway,
    entry: Option<&'static Entry>,
    caller: Caller,
    service: &'static Service,
    operation: &'static Operation,
    document: Value,
) -> Result<Value, ApiError> {
    match entry {
        Some(entry) => gate.requests.execute(entry, caller, document).await,
        None => {
            let error = not_implemented(service, operation);
            gate.requests
                .record_failure(caller, Call::new(service.name, operation.name, &document), error.clone())
                .await;
            Err(error)
        }
    }
}

/// The clear answer of every modelled operation that is not there yet.
fn not_implemented(service: &Service, operation: &Operation) -> ApiError {
    let message = format!(
        "Longshore does not implement {}:{} yet; docs/coverage.md lists what it does",
        service.name, operation.name
    );
    ApiError::server("NotImplementedException", message).with_status(501)
}

fn failed(dialect: impl Into<Dialect>, error: &ApiError, request_id: &str) -> Response<Body> {
    encoded(codec::encode_error(dialect, error, request_id))
}

fn encoded(encoded: Encoded) -> Response<Body> {
    let mut response = Response::new(body::full(encoded.body));
    *response.status_mut() = StatusCode::from_u16(encoded.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in encoded.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::full(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response
}

/// An agent's websocket: authenticated as any call, then handed to control.
async fn agent_session(gate: &Gateway, peer: Peer, request: Request<Incoming>, request_id: String) -> Response<Body> {
    let Some(ecs) = wire::service("ecs") else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "no ecs model".to_owned());
    };
    let (head, incoming) = request.into_parts();
    let outcome = check_leads(gate)
        .and_then(|()| authenticate(gate, peer, &head, &[], ecs, &request_id))
        .and_then(|caller| gate.control.open(caller, Request::from_parts(head, incoming)));
    match outcome {
        Ok(upgrade) => upgrade.map(|()| body::full(Bytes::new())),
        Err(error) => {
            let status = StatusCode::from_u16(error.status.unwrap_or(400)).unwrap_or(StatusCode::BAD_REQUEST);
            plain(status, serde_json::json!({ error.code.as_ref(): error.message }).to_string())
        }
    }
}
