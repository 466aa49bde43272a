//! Bodies: answers, and what clients send, as streams.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use std::io;
use std::time::Duration;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A client that sends nothing for so long is let go; what it sent of an upload stays.
const IDLE_MAX: Duration = Duration::from_secs(120);

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn stream(content: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(content.map_ok(Frame::data)).boxed_unsync()
}

pub fn full(bytes: Bytes) -> Body {
    Full::from(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    // RFC 9110, section 8.6: an answer of this status has no length.
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

pub fn json(status: StatusCode, document: &serde_json::Value) -> Response<Body> {
    let bytes = document.to_string();
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(full(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// What the client sends, piece by piece; a piece is asked for when the one before it is done with.
pub fn incoming(body: Incoming) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    let pieces = BodyDataStream::new(body);
    Box::pin(futures_util::stream::unfold(pieces, |mut pieces| async {
        let piece = match tokio::time::timeout(IDLE_MAX, pieces.next()).await {
            Ok(piece) => piece?.map_err(io::Error::other),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        Some((piece, pieces))
    }))
}
