//! Patterns of the models: Java regular expressions that a whole value must match.

use regex::Regex;
use std::sync::OnceLock;

/// One pattern, compiled at its first use.
#[derive(Debug)]
pub struct Pattern {
    /// As the model writes it and as errors show it.
    pub source: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub const fn new(source: &'static str) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// Whether all of `text` matches. A pattern that cannot be compiled matches nothing; a test
    /// compiles every pattern of every model.
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(&translate(self.source)).ok()).as_ref()
    }
}

/// Java's pattern in the words of the `regex` crate, anchored at both ends.
///
/// Java's `\d`, `\w` and `\s` mean ASCII only, and a `-` after one of them in a class means itself.
fn translate(java: &str) -> String {
    let mut out = String::from(r"\A(?:");
    let (mut letters, mut class_depth) = (java.chars().peekable(), 0_usize);
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let escaped = letters.next();
                out += &shorthand(escaped);
                if class_depth > 0 && is_shorthand(escaped) && letters.next_if_eq(&'-').is_some() {
                    out += r"\-";
                }
                continue;
            }
            '[' => class_depth += 1,
            ']' => class_depth = class_depth.saturating_sub(1),
            _ => {}
        }
        out.push(letter);
    }
    out + r")\z"
}

fn is_shorthand(escaped: Option<char>) -> bool {
    matches!(escaped, Some('d' | 'w' | 's' | 'D' | 'W' | 'S'))
}

fn shorthand(escaped: Option<char>) -> String {
    match escaped {
        Some('d') => "[0-9]".to_owned(),
        Some('D') => "[^0-9]".to_owned(),
        Some('w') => "[0-9A-Za-z_]".to_owned(),
        Some('W') => "[^0-9A-Za-z_]".to_owned(),
        Some('s') => r"[ \t\n\x0B\f\r]".to_owned(),
        Some('S') => r"[^ \t\n\x0B\f\r]".to_owned(),
        other => std::iter::once('\\').chain(other).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use crate::model::Kind;
    use crate::services;

    #[test]
    fn every_pattern_of_every_model_compiles() {
        let shapes = services().iter().flat_map(|service| service.shapes);
        let patterns = shapes.filter_map(|shape| match &shape.kind {
            Kind::String { pattern, .. } => pattern.as_ref(),
            _ => None,
        });
        let broken: Vec<_> = patterns.filter(|pattern| pattern.regex().is_none()).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn patterns_mean_what_java_means() {
        for (pattern, text, expected) in [
            ("[0-9]{12}", "000000000000", true),
            ("[0-9]{12}", "x000000000000", false),
            ("[0-9]{12}", "000000000000\n", false),
            (r"^\d{3}$", "123", true),
            (r"^\d{3}$", "\u{0661}\u{0662}\u{0663}", false),
            (r"[\w-_]*", "a-b_c", true),
            (r"[\w-_]*", "é", false),
            (r"[\w+=,.@-]*", "a@b-c", true),
            (r"\S{2,3}", "ab", true),
            (r"\S{2,3}", "a b", false),
            (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "größe 1", true),
            (r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+", "sha-2_56:0af", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text:?}");
        }
    }
}
