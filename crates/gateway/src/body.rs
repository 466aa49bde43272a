//! Request bodies of API calls: read whole, since a signature covers them whole.

use base::ApiError;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use registry::Body;

/// The largest API request: UploadLayerPart's 10 MiB (Amazon ECR service quotas) as base64 in JSON;
/// PutLogEvents' 1 MiB and PutImage's 4 MiB of text, escaped as JSON, are less.
pub const BODY_BYTES_MAX: usize = 15 * 1024 * 1024;

pub async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the request is larger than {BODY_BYTES_MAX} bytes: send it in smaller parts");
            Err(ApiError::client("RequestEntityTooLargeException", message).with_status(413))
        }
        Err(error) => Err(ApiError::client("IncompleteBody", format!("the request body broke off: {error}"))),
    }
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
