//! Words of strangers, put so that they can stand in a line of ours: names in layers, what registries and images say.

use std::borrow::Cow;

/// Characters of a stranger's name that are shown. A path may have 4,095 bytes, and a broken one any number.
pub const NAME_CHARS_MAX: usize = 256;
/// Characters of a stranger's message that are shown.
pub const MESSAGE_CHARS_MAX: usize = 1_024;

/// A name in the form of Rust's `escape_debug` (`a\nb\u{1b}`), which tells any two names apart, and cut off where it
/// is long. Bytes that are no UTF-8 show as U+FFFD.
pub fn name(bytes: &[u8]) -> String {
    // Four bytes a character at most; the rest need not be looked at.
    let head = &bytes[..bytes.len().min(4 * (NAME_CHARS_MAX + 1))];
    cut(&String::from_utf8_lossy(head), NAME_CHARS_MAX).escape_debug().to_string()
}

/// A message with its control characters escaped, and cut off where it is long.
pub fn message(text: &str) -> String {
    printable(&cut(text, MESSAGE_CHARS_MAX)).into_owned()
}

/// Text with what steers a terminal, or the order of what is shown, escaped as in [`name`]; all else as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if steers(c) { c.escape_debug().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Control characters (Unicode's category Cc), line and paragraph separators, and directional formatting
/// characters (Unicode Standard Annex 9).
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_short() {
        fn check(bytes: &[u8], expect: &str) {
            assert_eq!(name(bytes), expect);
        }
        check(b"usr/bin/env", "usr/bin/env");
        check("süß/日本".as_bytes(), "süß/日本");
        check(b"a\nb\x1b[31m", "a\\nb\\u{1b}[31m");
        check(b"a\0'b'\\n", "a\\0\\'b\\'\\\\n");
        check("\u{202e}gpj.exe".as_bytes(), "\\u{202e}gpj.exe");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
        check(&[b'n'; 256], &"n".repeat(256));
        check(&[b'n'; 6_000], &format!("{}…", "n".repeat(256)));
        check("日".repeat(2_000).as_bytes(), &format!("{}…", "日".repeat(256)));
    }

    #[test]
    fn messages_keep_their_words() {
        assert_eq!(printable("it's \"not\" C:\\found"), "it's \"not\" C:\\found");
        assert_eq!(printable("a\r\x1b]0;x\x07\u{9b}1m\u{2028}"), "a\\r\\u{1b}]0;x\\u{7}\\u{9b}1m\\u{2028}");
        assert_eq!(message(&"m".repeat(2_000)).chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}
