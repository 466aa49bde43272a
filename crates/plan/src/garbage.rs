//! What of a registry nobody needs: layers of no image, blobs without a row, uploads that nobody goes on with.
//!
//! ```text
//! image deleted ─▶ its layers are loose ─GRACE─▶ their rows go ─▶ their blobs have no row ─GRACE─▶ their bytes go
//! ```
//! The grace is for whoever saw the image or layer just before: a pull that has read the manifest, a push
//! that was told that the layer need not be sent.

use base::Timestamp;
use oci::Digest;
use state::{IMAGES, LAYERS, Layer, UPLOADS, Upload};
use store::{View, key};

/// How long something stays after it was first seen to be needed by nobody. Ours: longer than a push or
/// pull of an image takes between its first request and its last.
pub const GRACE_MS: i64 = 3600 * 1000;

/// How long an upload waits for its next byte. Ours: a client that was stopped in the evening may go on
/// in the morning.
pub const UPLOAD_IDLE_MAX_MS: i64 = 24 * 3600 * 1000;

/// The same where the disk is short of room. Ours: longer than a client that is at work pauses.
pub const UPLOAD_IDLE_MAX_SHORT_MS: i64 = 10 * 60 * 1000;

/// How long an upload waits for its next byte, on a disk that has ample room or not.
pub fn upload_idle_max_ms(has_ample_room: bool) -> i64 {
    if has_ample_room { UPLOAD_IDLE_MAX_MS } else { UPLOAD_IDLE_MAX_SHORT_MS }
}

/// Until when a client that is told of a blob at `now` may count on it.
pub fn promised_until(now: Timestamp) -> Timestamp {
    now.plus_millis(GRACE_MS)
}

/// True for a layer that no image of its repository names.
pub fn is_loose(view: &View, layer: &Layer) -> bool {
    let named = key![layer.account, layer.region, layer.repository, layer.digest];
    view.by(IMAGES::BY_BLOB, &named).next().is_none()
}

/// Every layer that no image names.
pub fn loose(view: &View) -> impl Iterator<Item = &Layer> {
    view.scan(LAYERS, &key![]).filter(|layer| is_loose(view, layer))
}

/// True for content that a row of any repository names.
pub fn is_wanted(view: &View, digest: &Digest) -> bool {
    let named = key![digest.as_str()];
    view.by(LAYERS::BY_DIGEST, &named).next().is_some() || view.by(IMAGES::BY_DIGEST, &named).next().is_some()
}

/// Uploads that began so long ago that they may have been given up.
pub fn old_uploads(view: &View, now: Timestamp, idle_max_ms: i64) -> impl Iterator<Item = &Upload> {
    view.scan(UPLOADS, &key![]).filter(move |upload| is_given_up(upload.created_at, now, idle_max_ms))
}

/// True when nothing came since `changed_at` for as long as an upload waits.
pub fn is_given_up(changed_at: Timestamp, now: Timestamp, idle_max_ms: i64) -> bool {
    now.millis_since(changed_at) >= idle_max_ms
}

/// True when what was first seen unneeded at `since` may go.
pub fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now.millis_since(since) >= GRACE_MS
}
