//! Byte ranges: `Range` of downloads (RFC 9110, section 14) and `Content-Range` of upload chunks.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use std::ops::Range;

/// What a download asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range, or one of a form that we need not serve: the whole blob.
    Whole,
    Part(Range<u64>),
    /// A range that lies outside the blob.
    Outside,
}

/// Reads `Range` for a blob of `size` bytes. Only a single range is served.
pub fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some(text) = text.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = text.split_once('-') else { return Wanted::Whole };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(length)) if first.trim().is_empty() => size.saturating_sub(length)..size,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Outside } else { Wanted::Part(range) }
}

/// The bytes that an upload's chunk says it has: `first-last`, both inclusive.
///
/// # Errors
/// The header's text, when it is of another form.
pub fn chunk(headers: &HeaderMap) -> Result<Option<Range<u64>>, String> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let parts = text.split_once('-').and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match parts {
        Some((first, last)) if first <= last && last < u64::MAX => Ok(Some(first..last + 1)),
        _ => Err(text),
    }
}

/// `Content-Length`, where the client states it.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.to_str().ok()?)
}

/// Digits alone: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Wanted, chunk, wanted};
    use http::header::{CONTENT_RANGE, RANGE};
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    fn check(text: &str, expect: Wanted) {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(text).expect("a header"));
        assert_eq!(wanted(&headers, 10), expect, "{text}");
    }

    #[test]
    fn downloads_ask_for_one_range() {
        check("bytes=0-3", Wanted::Part(0..4));
        check("bytes=4-", Wanted::Part(4..10));
        check("bytes=-3", Wanted::Part(7..10));
        check("bytes=-30", Wanted::Part(0..10));
        check("bytes=9-99", Wanted::Part(9..10));
        check("bytes=10-", Wanted::Outside);
        check("bytes=12-14", Wanted::Outside);
        check("bytes=-0", Wanted::Outside);
        for whole in ["bytes=4-3", "bytes=a-b", "bytes=+1-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=1"] {
            check(whole, Wanted::Whole);
        }
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn chunks_say_where_they_lie() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_str(text).expect("a header"));
            chunk(&headers)
        };
        assert_eq!(read("0-9"), Ok(Some(0..10)));
        assert_eq!(chunk(&HeaderMap::new()), Ok(None));
        for bad in ["9-0", "bytes 0-9/10", "0", "-", "a-b", "0-18446744073709551615", "0-99999999999999999999"] {
            assert_eq!(read(bad), Err(bad.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_outside(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in any::<u64>()) {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_str(&text).expect("a header"));
            if let Wanted::Part(range) = wanted(&headers, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
