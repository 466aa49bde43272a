//! Which lines of awslogs are one event: those from one that matches a pattern to the next.

use super::Options;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// How old an event becomes before it is shipped without having been ended by the next (Docker Engine documentation,
/// "Amazon CloudWatch Logs logging driver", awslogs-force-flush-interval-seconds).
const FLUSH_INTERVAL_S_DEFAULT: u32 = 5;

const PATTERN: &str = "awslogs-multiline-pattern";
const DATETIME: &str = "awslogs-datetime-format";
const INTERVAL: &str = "awslogs-force-flush-interval-seconds";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiline {
    /// A regular expression of a syntax that Go's and ours share; a line that it matches begins an event.
    pub pattern: String,
    pub flush_interval_s: u32,
}

impl Multiline {
    /// None where the options ask for none.
    pub(super) fn read(options: &Options) -> Result<Option<Self>, String> {
        let value = |name: &str| options.get(name).filter(|value| !value.is_empty());
        let flush_interval_s = match value(INTERVAL) {
            None => FLUSH_INTERVAL_S_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .ok_or_else(|| format!("must specify a positive integer for log opt '{INTERVAL}': {text}"))?,
        };
        let pattern = match (value(DATETIME), value(PATTERN)) {
            (Some(_), Some(_)) => {
                return Err(format!("you cannot configure log opt '{DATETIME}' and '{PATTERN}' at the same time"));
            }
            (Some(format), None) => of_datetime(format),
            (None, Some(pattern)) => pattern.clone(),
            (None, None) => return Ok(None),
        };
        match Regex::new(&pattern) {
            Ok(_) => Ok(Some(Self { pattern, flush_interval_s })),
            Err(error) => Err(format!("awslogs could not parse multiline pattern key {pattern:?}: {error}")),
        }
    }
}

/// The regular expression of a strftime format: its text as it is, with what each sequence stands for. A sequence
/// that is not known stands for nothing.
fn of_datetime(format: &str) -> String {
    let (mut pattern, mut rest) = (String::new(), format.chars());
    while let Some(next) = rest.next() {
        match (next, rest.clone().next()) {
            ('%', Some(letter)) => {
                pattern.push_str(sequence(letter));
                rest.next();
            }
            _ => pattern.push(next),
        }
    }
    pattern
}

/// Docker Engine documentation, "Amazon CloudWatch Logs logging driver", awslogs-datetime-format.
fn sequence(letter: char) -> &'static str {
    match letter {
        'a' => "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
        'A' => "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
        'w' => "[0-6]",
        'd' => "(?:0[1-9]|[12][0-9]|3[01])",
        'b' => "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
        'B' => "(?:January|February|March|April|May|June|July|August|September|October|November|December)",
        'm' => "(?:0[1-9]|1[0-2])",
        'Y' => r"\d{4}",
        'y' => r"\d{2}",
        'H' => "(?:[01][0-9]|2[0-3])",
        'I' => "(?:0[0-9]|1[0-2])",
        'p' => "[AP]M",
        'M' | 'S' => "[0-5][0-9]",
        'f' => r"\d{6}",
        'z' => r"[+-]\d{4}",
        'Z' => "[A-Z]{1,4}T",
        'j' => "(?:[0-2][0-9][0-9]|3[0-5][0-9]|36[0-6])",
        'L' => r"\.\d{3}",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(option: &str, value: &str, line: &str) -> bool {
        let options = [(option.to_owned(), value.to_owned())].into();
        let multiline = Multiline::read(&options).expect("read").expect("a pattern");
        Regex::new(&multiline.pattern).expect("a pattern").is_match(line)
    }

    #[test]
    fn formats_of_times_become_patterns() {
        for (format, line, expect) in [
            ("%Y-%m-%d %H:%M:%S", "[2026-09-01 23:59:01] GET /", true),
            ("%Y-%m-%d %H:%M:%S", "  at main (2026-13-01)", false),
            (r"\[%b %d, %Y %H:%M:%S\]", "[Sep 01, 2026 12:00:00] x", true),
            (r"\[%b %d, %Y %H:%M:%S\]", "Sep 01, 2026 12:00:00", false),
            ("%A %I %p%L %j", "Friday 11 PM.123 244", true),
            ("%y%z %Z%f", "26+0200 CEST123456", true),
            ("%a%w", "Mon7", false),
            ("100%", "at 100% of it", true),
        ] {
            assert_eq!(matches(DATETIME, format, line), expect, "{format} in {line}");
        }
        assert!(matches(PATTERN, "^INFO", "INFO x") && !matches(PATTERN, "^INFO", " INFO x"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        fn check(options: &[(&str, &str)], expect: &str) {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let text = Multiline::read(&options).expect_err("refused");
            assert!(text.contains(expect), "{text}");
        }
        check(&[(PATTERN, "(")], "awslogs could not parse multiline pattern key \"(\"");
        check(&[(PATTERN, "a"), (DATETIME, "%Y")], "at the same time");
        check(&[(INTERVAL, "0")], "must specify a positive integer");
        assert_eq!(Multiline::read(&[(INTERVAL.to_owned(), "7".to_owned())].into()), Ok(None));
    }
}
