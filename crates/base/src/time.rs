//! Time as AWS's JSON protocols carry it: seconds since 1970 with milliseconds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since the Unix epoch, UTC. Serialised as epoch seconds (a float).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1000)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    #[must_use]
    pub const fn plus_millis(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1000)))
    }

    /// Milliseconds from `earlier` to this; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `2026-11-22T18:10:40.123Z`; a moment outside jiff's range shows as epoch milliseconds.
    pub fn iso8601(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S.%3fZ")
    }

    /// `20261122T181040Z`, the form that SigV4 signs.
    pub fn basic(self) -> String {
        self.format("%Y%m%dT%H%M%SZ")
    }

    /// Reads the form of [`Timestamp::basic`].
    pub fn parse_basic(text: &str) -> Option<Self> {
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        let utc = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(utc.timestamp().as_millisecond()))
    }

    /// Reads RFC 3339 text.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        Some(Self(at.as_millisecond()))
    }

    fn format(self, pattern: &str) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => at.strftime(pattern).to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let secs = f64::deserialize(from)?;
        Ok(Self((secs * 1000.0).round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn milliseconds_survive_a_round_trip() {
        for ms in [0, 1, 999, 1_700_000_000_123, 4_102_444_799_999] {
            let text = serde_json::to_string(&Timestamp::from_millis(ms)).expect("a number");
            assert_eq!(serde_json::from_str::<Timestamp>(&text).expect("back"), Timestamp::from_millis(ms));
        }
    }

    #[test]
    fn texts_are_the_ones_aws_uses() {
        let at = Timestamp::from_millis(1_440_938_160_250);
        assert_eq!(at.basic(), "20150830T123600Z");
        assert_eq!(at.iso8601(), "2015-08-30T12:36:00.250Z");
        assert_eq!(Timestamp::parse_basic("20150830T123600Z"), Some(Timestamp::from_secs(1_440_938_160)));
        assert_eq!(Timestamp::parse_basic("2015-08-30"), None);
        assert_eq!(Timestamp::parse_iso8601("2015-08-30T12:36:00.250Z"), Some(at));
    }
}
