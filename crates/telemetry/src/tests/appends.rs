//! Appends: repeats, refusals, many at once, statistics.

use super::{INGESTED, block_on, event, events, everything, group, in_order, store, stream};
use crate::model::event_bytes;
use crate::{APPEND_EVENTS_MAX, Appended, GroupStats, StreamStats, Telemetry, TelemetryError};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use tempfile::TempDir;

#[test]
fn a_repeated_batch_is_acknowledged_and_not_stored() {
    let (_dir, telemetry) = store();
    let case = Cell::new(0);
    proptest!(ProptestConfig::with_cases(50), |(batches in vec(("[ab]", "[pq]", 0..6_u64), 0..20))| {
        case.set(case.get() + 1);
        let mut highest: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut kept: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
        block_on(async {
            for (i, (name, producer, sequence)) in batches.into_iter().enumerate() {
                let known = highest.get(&(name.clone(), producer.clone())).copied();
                let stream = stream(group(case.get()), &name);
                let token = format!("{producer}:{sequence}");
                let sent = (i as i64, token.clone());
                let answer = telemetry.append(&stream, events(std::slice::from_ref(&sent)), INGESTED, Some(&token)).await;
                let expect = if known >= Some(sequence) { Appended::Repeat } else { Appended::Stored };
                prop_assert_eq!(answer.expect("an answer"), expect);
                if expect == Appended::Stored {
                    highest.insert((name.clone(), producer), sequence);
                    kept.entry(name).or_default().push(sent);
                }
            }
            for (name, kept) in kept {
                prop_assert_eq!(everything(&telemetry, &stream(group(case.get()), &name)).await, kept);
            }
            Ok(())
        })?;
    });
}

#[test]
fn a_repeat_in_the_same_commit_is_not_stored() {
    let (_dir, telemetry) = store();
    block_on(async {
        let stream = stream(group(1), "s");
        let append = || telemetry.append(&stream, vec![event(1, "once")], INGESTED, Some("p:1"));
        let answers = tokio::join!(append(), append(), append(), append());
        let answers = [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.expect("an answer"));
        assert_eq!(answers.iter().filter(|answer| **answer == Appended::Stored).count(), 1);
        assert_eq!(everything(&telemetry, &stream).await.len(), 1);
    });
}

#[test]
fn what_is_refused_is_not_stored() {
    let (_dir, telemetry) = store();
    block_on(async {
        let stream = stream(group(1), "s");
        let many = vec![event(1, "m"); APPEND_EVENTS_MAX + 1];
        let large = vec![event(1, "x".repeat(600_000)), event(1, "x".repeat(600_000))];
        let refused = telemetry.append(&stream, many, INGESTED, None).await;
        assert!(matches!(refused, Err(TelemetryError::TooLarge { events: 10_001, .. })), "{refused:?}");
        let refused = telemetry.append(&stream, large, INGESTED, None).await;
        assert!(matches!(refused, Err(TelemetryError::TooLarge { bytes: 1_200_052, .. })), "{refused:?}");
        let refused = telemetry.append(&stream, vec![event(1, "m")], INGESTED, Some("nonsense")).await;
        assert!(matches!(refused, Err(TelemetryError::BatchToken(_))), "{refused:?}");
        let long = super::stream(group(1), &"n".repeat(2049));
        let refused = telemetry.append(&long, vec![event(1, "m")], INGESTED, None).await;
        assert!(matches!(refused, Err(TelemetryError::NameTooLong(2049))), "{refused:?}");
        assert_eq!(telemetry.stream_stats(&stream).await.expect("stats"), None);
    });
}

#[test]
fn many_writers_at_once_store_every_event_once() {
    let (dir, telemetry) = store();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let names: Vec<String> = (0..32).map(|i| format!("s{i}")).collect();
    let sent = |name: &str| (0..20).map(|i| (i, format!("{name}.{i}"))).collect::<Vec<_>>();
    let writers: Vec<_> = names
        .iter()
        .map(|name| {
            let (telemetry, stream, sent) = (telemetry.clone(), stream(group(1), name), sent(name));
            runtime.spawn(async move {
                for one in sent {
                    telemetry.append(&stream, events(&[one]), INGESTED, None).await.expect("stored");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| runtime.block_on(writer).expect("wrote"));
    drop(telemetry);
    let reopened = Telemetry::open(dir.path()).expect("reopens");
    block_on(async {
        for name in &names {
            assert_eq!(everything(&reopened, &stream(group(1), name)).await, sent(name));
        }
    });
}

#[test]
fn statistics_follow_what_is_stored() {
    let (_dir, telemetry) = store();
    let sent = in_order([(30, "c".to_owned()), (10, "aa".to_owned())]);
    block_on(async {
        let (one, other) = (stream(group(1), "one"), stream(group(1), "other"));
        telemetry.append(&one, events(&sent), INGESTED, None).await.expect("stored");
        telemetry.append(&one, vec![event(20, "b")], INGESTED + 5, None).await.expect("stored");
        telemetry.append(&other, vec![event(1, "o")], INGESTED, None).await.expect("stored");
        let stored_bytes = ["c", "aa", "b"].into_iter().map(|message| event_bytes(message) as u64).sum();
        let expect = StreamStats {
            first_event_ms: Some(10),
            last_event_ms: Some(30),
            last_ingestion_ms: Some(INGESTED + 5),
            stored_bytes,
        };
        assert_eq!(telemetry.stream_stats(&one).await.expect("stats"), Some(expect));
        let expect = GroupStats { stored_bytes: stored_bytes + event_bytes("o") as u64 };
        assert_eq!(telemetry.group_stats(&group(1)).await.expect("stats"), Some(expect));
        assert_eq!(telemetry.group_stats(&group(2)).await.expect("stats"), None);
    });
}

#[test]
fn arrival_goes_on_counting_after_a_restart() {
    let dir = TempDir::new().expect("a folder");
    let stream = stream(group(1), "s");
    let sent: Vec<_> = (0..5).map(|i| (7, format!("{i}"))).collect();
    for one in &sent {
        let telemetry = Telemetry::open(dir.path()).expect("opens");
        block_on(telemetry.append(&stream, events(std::slice::from_ref(one)), INGESTED, None)).expect("stored");
    }
    let telemetry = Telemetry::open(dir.path()).expect("opens");
    assert_eq!(block_on(everything(&telemetry, &stream)), sent);
}

#[test]
fn a_second_process_is_kept_out() {
    let (dir, _telemetry) = store();
    assert!(matches!(Telemetry::open(dir.path()), Err(TelemetryError::Locked(_))));
}
