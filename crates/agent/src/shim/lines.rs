//! Cutting a byte stream into lines of bounded length.

use crate::drivers::spool::LINE_BYTES_MAX;

/// The begun line of one stream.
#[derive(Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Calls `take(line, partial)` for each line that `bytes` end, and for each piece of one that is too long.
    pub(super) fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8], bool) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.begun.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    self.begun.extend_from_slice(&window[..end]);
                    take(&self.begun, false)?;
                    self.begun.clear();
                    bytes = &bytes[end + 1..];
                }
                None if window.len() > room => {
                    self.begun.extend_from_slice(&window[..room]);
                    take(&self.begun, true)?;
                    self.begun.clear();
                    bytes = &bytes[room..];
                }
                None => {
                    self.begun.extend_from_slice(window);
                    bytes = &[];
                }
            }
        }
        Ok(())
    }

    /// The line that the stream's end left without a newline, if any.
    pub(super) fn finish(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.begun);
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            let take = |line: &[u8], partial| -> Result<(), Infallible> {
                out.push((line.to_vec(), partial));
                Ok(())
            };
            lines.feed(chunk, take).expect("infallible");
        }
        out.extend(lines.finish().map(|rest| (rest, false)));
        out
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        fn check(chunks: &[&str], expect: &[&str]) {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let lines = cut(&chunks);
            assert!(lines.iter().all(|(_, partial)| !partial));
            let lines: Vec<&str> = lines.iter().map(|(line, _)| std::str::from_utf8(line).expect("text")).collect();
            assert_eq!(lines, expect);
        }
        check(&[], &[]);
        check(&["a\nb\n"], &["a", "b"]);
        check(&["a", "b\n", "c"], &["ab", "c"]);
        check(&["\n\n"], &["", ""]);
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole_and_one_more_byte_is_not() {
        let mut text = vec![b'x'; LINE_BYTES_MAX];
        text.push(b'\n');
        assert_eq!(cut(&[&text]), [(vec![b'x'; LINE_BYTES_MAX], false)]);
        text.insert(0, b'x');
        assert_eq!(cut(&[&text]), [(vec![b'x'; LINE_BYTES_MAX], true), (b"x".to_vec(), false)]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(text in prop::collection::vec(prop_oneof![9 => Just(b'x'), 1 => Just(b'\n')], 0..60_000),
                           chunk in 1usize..9_000) {
            let chunks: Vec<&[u8]> = text.chunks(chunk).collect();
            let mut joined = Vec::new();
            for (line, partial) in cut(&chunks) {
                prop_assert!(line.len() <= LINE_BYTES_MAX);
                joined.extend_from_slice(&line);
                if !partial {
                    joined.push(b'\n');
                }
            }
            if !text.is_empty() && !text.ends_with(b"\n") {
                prop_assert_eq!(joined.pop(), Some(b'\n'));
            }
            prop_assert!(joined == text);
        }
    }
}
