//! Deletion and retention.

use super::{INGESTED, block_on, event, events, everything, group, in_order, store, stream};
use crate::model::event_bytes;
use crate::spaces::Spaces;
use crate::stage::Stage;
use crate::view::View;
use crate::{GroupId, GroupStats, StreamId, Telemetry, TelemetryError, keys};
use fjall::PersistMode;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::time::Duration;

/// Longest that a drop of a test may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until no drop is under way.
async fn settled(telemetry: &Telemetry) {
    let waiting = async {
        while telemetry
            .read(|view| Ok(view.range(&view.spaces.catalog, keys::drops()).next().is_some()))
            .await
            .expect("a read")
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SETTLED_WITHIN, waiting).await.expect("drops end");
}

/// Rows in the events' keyspace, readable or not.
async fn rows(telemetry: &Telemetry) -> usize {
    let count = |view: View| Ok(view.prefix(&view.spaces.events, &[]).count());
    telemetry.read(count).await.expect("a read")
}

/// Batch producers that are remembered, of all streams.
async fn producers(telemetry: &Telemetry) -> usize {
    let all = keys::producers_of(0).start..keys::drops().start;
    telemetry.read(|view| Ok(view.range(&view.spaces.catalog, all).count())).await.expect("a read")
}

async fn fill(telemetry: &Telemetry, stream: &StreamId, count: i64) {
    let sent: Vec<_> = (0..count).map(|i| (i, format!("old {i}"))).collect();
    telemetry.append(stream, events(&sent), INGESTED, Some("p:1")).await.expect("stored");
}

#[test]
fn a_deleted_stream_is_gone_at_once_and_its_name_starts_empty() {
    let (_dir, telemetry) = store();
    block_on(async {
        let (old, neighbour) = (stream(group(1), "s"), stream(group(1), "s2"));
        let new = StreamId { generation: 2, ..old.clone() };
        fill(&telemetry, &old, 2500).await;
        fill(&telemetry, &neighbour, 3).await;
        telemetry.delete_stream(&old).await.expect("deleted");
        assert_eq!(everything(&telemetry, &old).await, []);
        assert_eq!(telemetry.stream_stats(&old).await.expect("stats"), None);
        let late = telemetry.append(&old, vec![event(1, "late")], INGESTED, None).await;
        assert!(matches!(late, Err(TelemetryError::Deleted)), "{late:?}");
        let again = telemetry.append(&new, vec![event(1, "new")], INGESTED, Some("p:1")).await;
        assert_eq!(again.expect("stored"), crate::Appended::Stored, "the token was the old stream's");
        telemetry.delete_stream(&old).await.expect("a repeat is nothing");
        settled(&telemetry).await;
        assert_eq!(everything(&telemetry, &new).await, [(1, "new".to_owned())]);
        assert_eq!(everything(&telemetry, &neighbour).await.len(), 3);
        assert_eq!((rows(&telemetry).await, producers(&telemetry).await), (4, 2));
        let stored_bytes = (event_bytes("new") + 3 * event_bytes("old 0")) as u64;
        assert_eq!(telemetry.group_stats(&group(1)).await.expect("stats"), Some(GroupStats { stored_bytes }));
    });
}

#[test]
fn a_deleted_group_is_gone_at_once_with_all_its_streams() {
    let (_dir, telemetry) = store();
    let new = GroupId { generation: 2, ..group(1) };
    block_on(async {
        for name in ["a", "b", "c"] {
            fill(&telemetry, &stream(group(1), name), 1500).await;
        }
        telemetry.delete_stream(&stream(group(1), "c")).await.expect("deleted");
        telemetry.delete_group(&group(1)).await.expect("deleted");
        telemetry.delete_group(&group(1)).await.expect("a repeat is nothing");
        assert_eq!(everything(&telemetry, &stream(group(1), "a")).await, []);
        let late = telemetry.append(&stream(group(1), "d"), vec![event(1, "late")], INGESTED, None).await;
        assert!(matches!(late, Err(TelemetryError::Deleted)), "{late:?}");
        telemetry.append(&stream(new.clone(), "a"), vec![event(1, "new")], INGESTED, None).await.expect("stored");
        settled(&telemetry).await;
        assert_eq!((rows(&telemetry).await, producers(&telemetry).await), (1, 0));
        assert_eq!(everything(&telemetry, &stream(new, "a")).await, [(1, "new".to_owned())]);
        assert_eq!(telemetry.group_stats(&group(1)).await.expect("stats"), None);
    });
}

#[test]
fn a_drop_that_a_crash_left_is_finished_at_the_next_start() {
    let (dir, telemetry) = store();
    block_on(fill(&telemetry, &stream(group(1), "s"), 2500));
    drop(telemetry);
    let spaces = Spaces::open(dir.path()).expect("opens");
    let mut next_number = 1_000_000;
    let mut stage = Stage::new(&spaces, &mut next_number);
    crate::drops::delete_group(&mut stage, &group(1)).expect("staged");
    stage.commit(PersistMode::SyncData).expect("committed");
    drop(spaces);
    let reopened = Telemetry::open(dir.path()).expect("reopens");
    block_on(async {
        settled(&reopened).await;
        assert_eq!(rows(&reopened).await, 0);
    });
}

#[test]
fn deleting_what_was_never_there_still_refuses_late_appends() {
    let (_dir, telemetry) = store();
    block_on(async {
        telemetry.delete_stream(&stream(group(1), "s")).await.expect("deleted");
        telemetry.delete_group(&group(2)).await.expect("deleted");
        for generation in [1, 2] {
            let late = telemetry.append(&stream(group(generation), "s"), vec![event(1, "late")], INGESTED, None).await;
            assert!(matches!(late, Err(TelemetryError::Deleted)), "{late:?}");
        }
        settled(&telemetry).await;
    });
}

#[test]
fn retention_drops_the_old_events_that_were_there() {
    let (_dir, telemetry) = store();
    let case = Cell::new(0);
    let batch = || vec((0..40_i64, "[a-z]{0,4}"), 0..30);
    proptest!(ProptestConfig::with_cases(60), |(before in vec(batch(), 1..4), horizon in -1..42_i64, after in vec(batch(), 0..3))| {
        case.set(case.get() + 1);
        let kept = before.concat().into_iter().filter(|(at, _)| *at >= horizon);
        let model = in_order(kept.chain(after.concat()));
        block_on(async {
            let stream = stream(group(case.get()), "s");
            for sent in &before {
                telemetry.append(&stream, events(sent), INGESTED, None).await.expect("stored");
            }
            telemetry.expire(&stream.group, horizon).await.expect("noted");
            for sent in &after {
                telemetry.append(&stream, events(sent), INGESTED, None).await.expect("stored");
            }
            settled(&telemetry).await;
            prop_assert_eq!(everything(&telemetry, &stream).await, model.clone());
            let stats = telemetry.stream_stats(&stream).await.expect("stats").expect("a stream");
            let bytes: usize = model.iter().map(|(_, message)| event_bytes(message)).sum();
            prop_assert_eq!(stats.first_event_ms, model.first().map(|(at, _)| *at));
            prop_assert_eq!(stats.stored_bytes, bytes as u64);
            let group = telemetry.group_stats(&stream.group).await.expect("stats").expect("a group");
            prop_assert_eq!(group.stored_bytes, bytes as u64);
            Ok(())
        })?;
    });
}

#[test]
fn retention_of_many_slices_counts_what_arrives_meanwhile() {
    let (_dir, telemetry) = store();
    block_on(async {
        let streams = ["a", "b"].map(|name| stream(group(1), name));
        for stream in &streams {
            fill(&telemetry, stream, 7000).await;
        }
        telemetry.expire(&group(1), 6990).await.expect("noted");
        for late in 0..20 {
            for stream in &streams {
                telemetry.append(stream, vec![event(late, "late")], INGESTED, None).await.expect("stored");
            }
        }
        settled(&telemetry).await;
        for stream in &streams {
            let times: Vec<i64> = everything(&telemetry, stream).await.into_iter().map(|(at, _)| at).collect();
            assert_eq!(times, (0..20).chain(6990..7000).collect::<Vec<_>>());
            let stats = telemetry.stream_stats(stream).await.expect("stats").expect("a stream");
            assert_eq!(stats.first_event_ms, Some(0));
            assert_eq!(stats.stored_bytes, (20 * event_bytes("late") + 10 * event_bytes("old 6990")) as u64);
        }
    });
}
