//! Pages of one stream in every range and direction.

use super::{ALL, INGESTED, at_most, block_on, event, events, everything, group, in_order, store, stream};
use crate::model::event_bytes;
use crate::{Cursor, Limits, TimeRange};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::cell::Cell;
use std::ops::Range;

type Sent = (i64, String);

fn sent() -> impl Strategy<Value = Vec<Vec<Sent>>> {
    vec(vec((0..40_i64, "[a-z]{0,12}"), 0..12), 0..8)
}

/// How many of `events` a page takes.
fn fit<'a>(events: impl Iterator<Item = &'a Sent>, limits: Limits) -> usize {
    let sizes = events.scan(0, |sum, (_, message)| {
        *sum += event_bytes(message);
        Some(*sum)
    });
    sizes.enumerate().take_while(|(i, sum)| *i == 0 || (*i < limits.events && *sum <= limits.bytes)).count()
}

/// The indexes that a page has, going forward or not from a place between events.
fn page_of(model: &[Sent], forward: bool, from: usize, limits: Limits) -> Range<usize> {
    if forward {
        from..from + fit(model[from..].iter(), limits)
    } else {
        from - fit(model[..from].iter().rev(), limits)..from
    }
}

#[test]
fn any_walk_over_pages_sees_what_a_vector_holds() {
    let (_dir, telemetry) = store();
    let case = Cell::new(0);
    let limits = (1..8_usize, 0..200_usize).prop_map(|(events, bytes)| Limits { events, bytes });
    let range = (option::of(-5..45_i64), option::of(-5..45_i64));
    proptest!(ProptestConfig::with_cases(200), |(appends in sent(), limits in limits, range in range, walk in vec(any::<bool>(), 1..20))| {
        case.set(case.get() + 1);
        let range = TimeRange { start_ms: range.0, end_ms: range.1 };
        let model = in_order(appends.concat());
        let inside = |at: i64| range.start_ms.is_none_or(|start| at >= start) && range.end_ms.is_none_or(|end| at < end);
        let model: Vec<Sent> = model.into_iter().filter(|(at, _)| inside(*at)).collect();
        block_on(async {
            let stream = stream(group(case.get()), "s");
            for append in &appends {
                telemetry.append(&stream, events(append), INGESTED, None).await.expect("stored");
            }
            let mut from = if walk[0] { Cursor::Head } else { Cursor::Tail };
            let mut place = if walk[0] { 0 } else { model.len() };
            for (step, forward) in walk.iter().copied().enumerate() {
                let page = telemetry.get(&stream, range, from, limits).await.expect("a page");
                let expect = page_of(&model, forward, place, limits);
                let got: Vec<Sent> = page.events.into_iter().map(|event| (event.timestamp_ms, event.message)).collect();
                prop_assert_eq!(&got, &model[expect.clone()], "step {}", step);
                if got.is_empty() && let Cursor::Forward(asked) | Cursor::Backward(asked) = from {
                    prop_assert_eq!((page.backward, page.forward), (asked, asked), "an end repeats its token");
                }
                let next = walk.get(step + 1).copied().unwrap_or_default();
                place = if next { expect.end } else { expect.start };
                from = if next { Cursor::Forward(page.forward) } else { Cursor::Backward(page.backward) };
            }
            Ok(())
        })?;
    });
}

#[test]
fn following_a_stream_neither_loses_nor_doubles() {
    let (_dir, telemetry) = store();
    let case = Cell::new(0);
    let gaps = vec((vec(0..3_i64, 0..6), 0..4_usize), 0..12);
    proptest!(ProptestConfig::with_cases(100), |(rounds in gaps, limit in 1..5_usize, head: bool)| {
        case.set(case.get() + 1);
        block_on(async {
            let stream = stream(group(case.get()), "s");
            let (mut sent, mut seen, mut now) = (Vec::new(), Vec::new(), 0);
            let mut from = if head { Cursor::Head } else { Cursor::Tail };
            for (gaps, polls) in [(vec![], 1)].into_iter().chain(rounds).chain([(vec![], usize::MAX)]) {
                for gap in gaps {
                    now += gap;
                    let one = (now, format!("{}", sent.len()));
                    telemetry.append(&stream, events(std::slice::from_ref(&one)), INGESTED, None).await.expect("stored");
                    sent.push(one);
                }
                for _ in 0..polls {
                    let page = telemetry.get(&stream, ALL, from, at_most(limit)).await.expect("a page");
                    from = Cursor::Forward(page.forward);
                    if page.events.is_empty() {
                        break;
                    }
                    seen.extend(page.events.into_iter().map(|event| (event.timestamp_ms, event.message)));
                }
            }
            prop_assert_eq!(seen, sent);
            Ok(())
        })?;
    });
}

#[test]
fn a_tail_opened_on_an_empty_stream_sees_what_arrives() {
    let (_dir, telemetry) = store();
    block_on(async {
        let stream = stream(group(1), "s");
        let range = TimeRange { start_ms: Some(5), end_ms: None };
        let opened = telemetry.get(&stream, range, Cursor::Tail, Limits::default()).await.expect("a page");
        let sent = vec![event(4, "before the range"), event(5, "a"), event(9, "b")];
        telemetry.append(&stream, sent, INGESTED, None).await.expect("stored");
        let forward = Cursor::Forward(opened.forward);
        let page = telemetry.get(&stream, range, forward, Limits::default()).await.expect("a page");
        let messages: Vec<_> = page.events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(messages, ["a", "b"]);
        assert_eq!(page.events[0].ingestion_ms, INGESTED);
    });
}

#[test]
fn a_page_holds_one_event_at_least_and_a_megabyte_at_most() {
    let (_dir, telemetry) = store();
    block_on(async {
        let stream = stream(group(1), "s");
        let big = "x".repeat(crate::APPEND_BYTES_MAX - crate::EVENT_OVERHEAD_BYTES);
        for at in 0..3 {
            telemetry.append(&stream, vec![event(at, big.clone())], INGESTED, None).await.expect("stored");
        }
        let greedy = Limits { events: usize::MAX, bytes: usize::MAX };
        for limits in [greedy, Limits { events: 0, bytes: 0 }] {
            let page = telemetry.get(&stream, ALL, Cursor::Tail, limits).await.expect("a page");
            assert_eq!(page.events.iter().map(|event| event.timestamp_ms).collect::<Vec<_>>(), [2]);
        }
        assert_eq!(everything(&telemetry, &stream).await.len(), 3);
    });
}
