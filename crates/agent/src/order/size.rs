//! Sizes as Docker writes them: `64m`, `1.5 GB`, `10MiB`.

/// Bytes of a size whose units are powers of 1,024, whatever they are called.
pub(super) fn binary_size(text: &str) -> Option<u64> {
    size(text, 1024)
}

/// Bytes of a size whose units are powers of 1,000, whatever they are called.
pub(super) fn decimal_size(text: &str) -> Option<u64> {
    size(text, 1000)
}

/// A number, perhaps with a space, one of `b`, `k`, `m`, `g`, `t` and `p`, and `b` or `ib` behind a unit.
fn size(text: &str, base: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit == "ib" => return None,
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = digits.strip_suffix(' ').unwrap_or(digits).parse().ok()?;
    let bytes = number * base.pow(power) as f64;
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, binary, decimal) in [
            ("1048576", 1 << 20, 1 << 20),
            ("10m", 10 << 20, 10_000_000),
            ("10MB", 10 << 20, 10_000_000),
            ("10 MiB", 10 << 20, 10_000_000),
            ("1.5k", 1536, 1500),
            ("4g", 4 << 30, 4_000_000_000),
            ("7b", 7, 7),
        ] {
            assert_eq!((binary_size(text), decimal_size(text)), (Some(binary), Some(decimal)), "{text}");
        }
        for text in ["", "m", "0", "0.5", "-1", "1x", "1kk", "1ib", "1 k k", "inf", "1e99"] {
            assert_eq!(binary_size(text), None, "{text}");
        }
    }
}
