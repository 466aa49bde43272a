//! Filters over a group's streams.

use super::{INGESTED, at_most, block_on, event, events, group, store, stream};
use crate::{FILTER_SCAN_BYTES_MAX, FilterQuery, Limits, StreamSelection, Telemetry};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

type Found = (i64, String, String);

fn query(generation: u64, streams: StreamSelection) -> FilterQuery {
    let limits = Limits::default();
    FilterQuery { group: group(generation), streams, start_ms: None, end_ms: None, from: None, limits }
}

/// All pages of a query.
async fn filtered(telemetry: &Telemetry, mut query: FilterQuery, part: &str) -> Vec<Found> {
    let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
    let part = part.to_owned();
    let matches: crate::Predicate = Arc::new(move |message| message.contains(&part));
    loop {
        let page = telemetry.filter(query.clone(), matches.clone()).await.expect("a page");
        assert!(page.events.len() <= query.limits.events);
        for one in page.events {
            assert!(ids.insert(one.event_id()), "an id twice");
            found.push((one.event.timestamp_ms, one.stream, one.event.message));
        }
        query.from = page.next;
        if page.next.is_none() {
            return found;
        }
    }
}

fn selection() -> impl Strategy<Value = StreamSelection> {
    prop_oneof![
        Just(StreamSelection::All),
        "[ab]{0,2}".prop_map(StreamSelection::Prefix),
        vec("[ab]{1,2}", 0..4)
            .prop_map(|names| StreamSelection::Named(names.into_iter().map(|name| (name, 1)).collect())),
    ]
}

fn selects(selection: &StreamSelection, name: &str) -> bool {
    match selection {
        StreamSelection::All => true,
        StreamSelection::Prefix(prefix) => name.starts_with(prefix.as_str()),
        StreamSelection::Named(names) => names.iter().any(|(named, _)| named == name),
    }
}

#[test]
fn pages_of_a_filter_are_the_matching_events_of_all_its_streams_in_order() {
    let (_dir, telemetry) = store();
    let case = Cell::new(0);
    let appends = vec(("[ab]{1,2}", vec((0..30_i64, "[xyz]{0,3}"), 0..6)), 0..10);
    let range = (option::of(-2..32_i64), option::of(-2..32_i64));
    proptest!(ProptestConfig::with_cases(200), |(appends in appends, streams in selection(), range in range, limit in 1..6_usize, part in "[xy]?")| {
        case.set(case.get() + 1);
        let mut model: Vec<Found> = Vec::new();
        for (name, sent) in &appends {
            model.extend(sent.iter().map(|(at, message)| (*at, name.clone(), message.clone())));
        }
        let inside = |at: i64| range.0.is_none_or(|start| at >= start) && range.1.is_none_or(|end| at <= end);
        model.retain(|(at, name, message)| inside(*at) && selects(&streams, name) && message.contains(&part));
        model.sort_by_key(|(at, ..)| *at);
        block_on(async {
            for (name, sent) in &appends {
                let stream = stream(group(case.get()), name);
                telemetry.append(&stream, events(sent), INGESTED, None).await.expect("stored");
            }
            let query = FilterQuery { start_ms: range.0, end_ms: range.1, limits: at_most(limit), ..query(case.get(), streams) };
            prop_assert_eq!(filtered(&telemetry, query, &part).await, model);
            Ok(())
        })?;
    });
}

#[test]
fn a_page_that_finds_nothing_ends_after_its_share_and_goes_on() {
    let (_dir, telemetry) = store();
    block_on(async {
        let stream = stream(group(1), "s");
        let large = "x".repeat(500_000);
        for at in 0..20 {
            telemetry.append(&stream, vec![event(at, large.clone())], INGESTED, None).await.expect("stored");
        }
        telemetry.append(&stream, vec![event(20, "needle")], INGESTED, None).await.expect("stored");
        let query = query(1, StreamSelection::All);
        let page = telemetry.filter(query.clone(), Arc::new(|message| message == "needle")).await.expect("a page");
        let looked_at = FILTER_SCAN_BYTES_MAX.div_ceil(large.len() + crate::EVENT_OVERHEAD_BYTES) as i64;
        assert_eq!((page.events.len(), page.next.map(|next| next.timestamp_ms())), (0, Some(looked_at)));
        assert_eq!(filtered(&telemetry, query, "needle").await, [(20, "s".to_owned(), "needle".to_owned())]);
    });
}
