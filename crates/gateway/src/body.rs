//! Request bodies of API calls: read whole, since a signature covers them whole.

use base::ApiError;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as HttpBody;
use registry::Body;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The largest API request: UploadLayerPart's 10 MiB (Amazon ECR service quotas) as base64 in JSON;
/// PutLogEvents' 1 MiB and PutImage's 4 MiB of text, escaped as JSON, are less.
pub const BODY_BYTES_MAX: usize = 15 * 1024 * 1024;

/// How long a body may take in any case, and how fast it has to come beyond that, in bytes a second. Nobody knows yet
/// who sends it: without a bound, anybody could hold connections and memory for as long as he likes.
const TIME_MIN: Duration = Duration::from_secs(30);
const RATE_MIN: u64 = 16 * 1024;

/// The whole body of a request, of whoever sends it.
pub async fn read<B>(mut body: B) -> Result<Bytes, ApiError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Display,
{
    // What the client announces is believed where it is too much.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let (begun, mut whole) = (Instant::now(), BytesMut::new());
    loop {
        let due = begun + TIME_MIN + Duration::from_secs(whole.len() as u64 / RATE_MIN);
        let frame = timeout_at(due, body.frame()).await.map_err(|_elapsed| too_slow())?;
        let Some(frame) = frame else { return Ok(whole.freeze()) };
        let frame = frame
            .map_err(|error| ApiError::client("IncompleteBody", format!("the request body broke off: {error}")))?;
        // Trailers are no part of what is signed.
        let piece = frame.into_data().unwrap_or_default();
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
}

fn too_large() -> ApiError {
    let message = format!("the request is larger than {BODY_BYTES_MAX} bytes: send it in smaller parts");
    ApiError::client("RequestEntityTooLargeException", message).with_status(413)
}

fn too_slow() -> ApiError {
    let message = format!("the request body comes slower than {} KiB/s: send it again", RATE_MIN / 1024);
    ApiError::client("RequestTimeout", message).with_status(408)
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::convert::Infallible;

    /// Reads a body of so many pieces of so many bytes, one a second.
    async fn check(pieces: usize, bytes: usize, expect: Result<usize, Option<u16>>) {
        let next = |left: usize| async move {
            if left == 0 {
                return None;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; bytes]))), left - 1))
        };
        let body = StreamBody::new(Box::pin(stream::unfold(pieces, next)));
        let read = read(body).await.map(|body| body.len());
        assert_eq!(read.map_err(|error| error.status), expect, "{pieces} of {bytes}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_at_a_rate_that_is_worth_waiting_for() {
        check(0, 0, Ok(0)).await;
        check(25, 1, Ok(25)).await;
        check(100, 1, Err(Some(408))).await;
        check(200, 17 * 1024, Ok(200 * 17 * 1024)).await;
        check(200, 10 * 1024, Err(Some(408))).await;
        check(20, 1024 * 1024, Err(Some(413))).await;
    }

    #[tokio::test]
    async fn a_body_that_is_announced_too_large_is_not_waited_for() {
        let announced = Full::new(Bytes::from(vec![0; BODY_BYTES_MAX + 1]));
        assert_eq!(read(announced).await.expect_err("too large").status, Some(413));
        let just_so = Full::new(Bytes::from(vec![0; BODY_BYTES_MAX]));
        assert_eq!(read(just_so).await.expect("read").len(), BODY_BYTES_MAX);
    }
}
