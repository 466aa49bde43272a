//! Order-preserving composite keys.
//!
//! A key is a sequence of parts. Text is its UTF-8 bytes with `00` escaped as `00 FF`, then the
//! terminator `00 00`; a number is eight big-endian bytes. So keys sort part by part, and the first
//! parts of a key are a byte prefix of it, while `"web"` is no prefix of `"web-2"`.

use std::fmt;
use std::ops::Bound;

const ESCAPED_ZERO: [u8; 2] = [0x00, 0xFF];
const TERMINATOR: [u8; 2] = [0x00, 0x00];

/// The key of a row, or its first parts as a prefix to scan by.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key without parts: as a prefix, every row.
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn push(mut self, part: impl KeyPart) -> Self {
        part.append_to(&mut self);
        self
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key whose encoding these bytes are, as an engine or a table gave them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    fn append_text(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            match byte {
                0 => self.0.extend(ESCAPED_ZERO),
                _ => self.0.push(byte),
            }
        }
        self.0.extend(TERMINATOR);
    }

    fn append_number(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }
}

/// Printable bytes as they are, the rest as `\x00`.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// What a key is made of. Rooms implement it for their id types by pushing text or a number.
pub trait KeyPart {
    fn append_to(&self, key: &mut Key);
}

impl<P: KeyPart + ?Sized> KeyPart for &P {
    fn append_to(&self, key: &mut Key) {
        (**self).append_to(key);
    }
}

impl KeyPart for str {
    fn append_to(&self, key: &mut Key) {
        key.append_text(self);
    }
}

impl KeyPart for String {
    fn append_to(&self, key: &mut Key) {
        key.append_text(self);
    }
}

impl KeyPart for u64 {
    fn append_to(&self, key: &mut Key) {
        key.append_number(*self);
    }
}

/// As `u64`: both widths of a number make the same key.
impl KeyPart for u32 {
    fn append_to(&self, key: &mut Key) {
        key.append_number(u64::from(*self));
    }
}

/// Builds a [`Key`] from its parts, borrowing each: `key!["000000000000", region, 7_u64]`.
#[macro_export]
macro_rules! key {
    ($($part:expr),* $(,)?) => { $crate::Key::new()$(.push(&$part))* };
}

/// The byte range of every key that begins with `prefix`. The end owns its bytes.
pub(crate) fn range_of(prefix: &[u8]) -> (Bound<&[u8]>, Bound<Vec<u8>>) {
    let end = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(prefix), end)
}

/// The least byte string that is greater than every string beginning with `prefix`, if there is one.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(key: &Key, bytes: &str) {
        assert_eq!(key.as_bytes().escape_ascii().to_string(), bytes);
    }

    #[test]
    fn parts_are_terminated_and_numbers_big_endian() {
        check(&key![], "");
        check(&key!["web"], r"web\x00\x00");
        check(&key!["", "b"], r"\x00\x00b\x00\x00");
        check(&key!["a\0b"], r"a\x00\xffb\x00\x00");
        check(&key![258_u64], r"\x00\x00\x00\x00\x00\x00\x01\x02");
        check(&key![String::from("a"), &7_u32], r"a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07");
    }

    #[test]
    fn the_end_of_a_prefix_skips_full_bytes() {
        let check = |prefix: &[u8], end: Option<&[u8]>| assert_eq!(successor(prefix).as_deref(), end);
        check(b"", None);
        check(b"ab", Some(b"ac"));
        check(b"a\xFF\xFF", Some(b"b"));
        check(b"\xFF", None);
    }

    /// Text with many zeros, and bytes around them, because these are escaped.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('ÿ')], 0..5)
            .prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_parts(a in (text(), any::<u64>(), text()), b in (text(), any::<u64>(), text())) {
            let key = |(first, second, third): &(String, u64, String)| key![first, second, third];
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn a_prefix_holds_exactly_the_keys_that_begin_with_its_parts(a in (text(), text()), b in text(), n: u64) {
            let key = key![a.0, n, a.1];
            prop_assert!(key.as_bytes().starts_with(key![a.0, n].as_bytes()));
            prop_assert_eq!(key.as_bytes().starts_with(key![b].as_bytes()), a.0 == b);
            let (start, end) = range_of(key.as_bytes());
            prop_assert_eq!(start, Bound::Included(key.as_bytes()));
            let below_end = |key: &Key| match &end {
                Bound::Excluded(end) => key.as_bytes() < end.as_slice(),
                _ => true,
            };
            prop_assert!(below_end(&key) && below_end(&key.clone().push(u64::MAX)));
        }
    }
}
