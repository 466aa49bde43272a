//! Places between events, which is all that tokens and event ids are.

use crate::TelemetryError;
use std::fmt;
use std::str::FromStr;

/// Decimal digits of a rendered position, as in AWS's tokens and event ids.
const DIGITS: usize = 56;

/// Flips the sign bit, so that unsigned order is the order of signed timestamps.
const SIGN: u64 = 1 << 63;

/// The place before the event of one timestamp and sequence, in the order that every read has.
///
/// Opaque to callers: its text is 56 digits, and parses back. No two events
/// share a position, so it also serves as event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u128);

impl Position {
    pub(crate) const MIN: Self = Self(0);
    pub(crate) const MAX: Self = Self(u128::MAX);

    pub(crate) fn at(timestamp_ms: i64, sequence: u64) -> Self {
        Self(u128::from(timestamp_ms as u64 ^ SIGN) << 64 | u128::from(sequence))
    }

    /// The place before all events of `ms`.
    pub(crate) fn start_of(ms: i64) -> Self {
        Self::at(ms, 0)
    }

    /// The place after all events of `ms`.
    pub(crate) fn end_of(ms: i64) -> Self {
        ms.checked_add(1).map_or(Self::MAX, Self::start_of)
    }

    /// The place right after the event at this position.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) fn timestamp_ms(self) -> i64 {
        ((self.0 >> 64) as u64 ^ SIGN) as i64
    }

    pub(crate) fn sequence(self) -> u64 {
        self.0 as u64
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$}", self.0)
    }
}

impl FromStr for Position {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        let digits = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Self).ok_or_else(|| TelemetryError::Position(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Position;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_bytes_survive_a_round_trip(ms: i64, sequence: u64) {
            let position = Position::at(ms, sequence);
            let text = position.to_string();
            prop_assert_eq!(text.len(), 56);
            prop_assert_eq!(text.parse::<Position>().expect("a position"), position);
            prop_assert_eq!(Position::from_bytes(position.to_bytes()), position);
            prop_assert_eq!((position.timestamp_ms(), position.sequence()), (ms, sequence));
        }

        #[test]
        fn order_is_timestamp_then_sequence(a: (i64, u64), b: (i64, u64)) {
            prop_assert_eq!(Position::at(a.0, a.1).cmp(&Position::at(b.0, b.1)), a.cmp(&b));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let sign = format!("+{:055}", 1);
        let beyond = "9".repeat(56);
        for text in ["", "1", &"1".repeat(55), &"1".repeat(57), &sign, &beyond] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
