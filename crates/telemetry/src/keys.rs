//! The keys of every keyspace. Numbers are big-endian, so that byte order is their order.

use crate::model::check_name;
use crate::{GroupId, Position, TelemetryError};
use std::ops::Range;

/// The kinds of catalog rows: the first byte of their keys. Append-only.
const FORMAT: u8 = 0;
const COUNTER: u8 = 1;
const GROUP: u8 = 2;
const STREAM: u8 = 3;
const PRODUCER: u8 = 4;
const DROP: u8 = 5;

/// Bytes of a number in a key.
const NUMBER: usize = 8;

/// The row with the format's number.
pub(crate) fn format() -> Vec<u8> {
    vec![FORMAT]
}

/// The row with the next number for a group, stream, event or drop.
pub(crate) fn counter() -> Vec<u8> {
    vec![COUNTER]
}

pub(crate) fn group(id: &GroupId) -> Vec<u8> {
    let mut key = vec![GROUP];
    [&id.account, &id.region, &id.name].into_iter().for_each(|text| push_text(&mut key, text));
    key.extend(id.generation.to_be_bytes());
    key
}

/// The name stands between parts of fixed length, so it needs no escape.
pub(crate) fn stream(group: u64, name: &str, generation: u64) -> Vec<u8> {
    let mut key = streams_named(group, name);
    key.extend(generation.to_be_bytes());
    key
}

/// What the keys of a group's streams begin with whose names begin with `prefix`. Other keys may
/// begin so too, where a shorter name's generation continues the prefix: check [`stream_name`].
pub(crate) fn streams_named(group: u64, prefix: &str) -> Vec<u8> {
    [&numbered(STREAM, group), prefix.as_bytes()].concat()
}

/// All streams of a group.
pub(crate) fn streams_of(group: u64) -> Range<Vec<u8>> {
    numbered(STREAM, group)..numbered(STREAM, group + 1)
}

/// The name in a stream's key.
pub(crate) fn stream_name(key: &[u8]) -> Option<&str> {
    let name = key.get(1 + NUMBER..key.len().checked_sub(NUMBER)?)?;
    std::str::from_utf8(name).ok()
}

pub(crate) fn producer(stream: u64, producer: &str) -> Vec<u8> {
    [&numbered(PRODUCER, stream), producer.as_bytes()].concat()
}

pub(crate) fn producers_of(stream: u64) -> Range<Vec<u8>> {
    numbered(PRODUCER, stream)..numbered(PRODUCER, stream + 1)
}

pub(crate) fn drop_row(number: u64) -> Vec<u8> {
    numbered(DROP, number)
}

pub(crate) fn drops() -> Range<Vec<u8>> {
    vec![DROP]..vec![DROP + 1]
}

/// An event in its keyspace: stream, timestamp, sequence.
pub(crate) fn event(stream: u64, position: Position) -> Vec<u8> {
    [stream.to_be_bytes().as_slice(), &position.to_bytes()].concat()
}

pub(crate) fn event_position(key: &[u8]) -> Option<Position> {
    Some(Position::from_bytes(key.get(NUMBER..)?.try_into().ok()?))
}

/// What the keys of an account's and region's trail begin with.
pub(crate) fn trail_of(account: &str, region: &str) -> Result<Vec<u8>, TelemetryError> {
    let mut key = Vec::new();
    for text in [account, region] {
        check_name(text)?;
        push_text(&mut key, text);
    }
    Ok(key)
}

pub(crate) fn trail(prefix: &[u8], sequence: u64) -> Vec<u8> {
    [prefix, &sequence.to_be_bytes()].concat()
}

pub(crate) fn trail_sequence(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The first key after `key`.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    [[kind].as_slice(), &number.to_be_bytes()].concat()
}

/// The length goes first, so that no two tuples of texts share a key.
fn push_text(key: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    key.extend(length.to_be_bytes());
    key.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stream_key_gives_its_name_back(group: u64, name in "\\PC{0,40}", generation: u64) {
            let key = stream(group, &name, generation);
            prop_assert_eq!(stream_name(&key), Some(name.as_str()));
        }

        #[test]
        fn event_keys_sort_by_stream_then_position(a: (u64, i64, u64), b: (u64, i64, u64)) {
            let [left, right] = [a, b].map(|(stream, ms, sequence)| event(stream, Position::at(ms, sequence)));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(event_position(&left), Some(Position::at(a.1, a.2)));
        }
    }

    #[test]
    fn no_two_groups_share_a_key() {
        let id = |account: &str, region: &str, name: &str| GroupId {
            account: account.to_owned(),
            region: region.to_owned(),
            name: name.to_owned(),
            generation: 1,
        };
        assert_ne!(group(&id("a", "bc", "d")), group(&id("ab", "c", "d")));
        assert_ne!(group(&id("a", "b", "cd")), group(&id("a", "bc", "d")));
    }
}
