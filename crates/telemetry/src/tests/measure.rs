//! Speed, printed: `cargo nextest run -p telemetry --run-ignored only --no-capture measure`.

use super::{ALL, INGESTED, event, everything, group, store, stream};
use crate::{Cursor, FilterQuery, Limits, StreamSelection, Telemetry};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Prints how often a second `count` of something happened.
fn rate(what: &str, count: usize, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed();
    println!(
        "{what}: {:.0}/s ({count} in {took:.2?}), {} MB resident",
        count as f64 / took.as_secs_f64(),
        resident_mb()
    );
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

fn line(i: usize) -> String {
    format!(
        "2026-11-22T18:10:40.123Z INFO request id={i:08x} method=GET path=/items/{} status=200 took_ms={}",
        i % 977,
        i % 89
    )
}

/// `writers` tasks that append `appends` times `events` each, to a stream of their own.
fn write(runtime: &Runtime, telemetry: &Telemetry, generation: u64, writers: usize, appends: usize, events: usize) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (telemetry, stream) = (telemetry.clone(), stream(group(generation), &format!("s{writer}")));
            runtime.spawn(async move {
                for append in 0..appends {
                    let first = append * events;
                    let sent = (first..first + events).map(|i| event(i as i64, line(i))).collect();
                    telemetry.append(&stream, sent, INGESTED, None).await.expect("stored");
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| runtime.block_on(task).expect("wrote"));
}

fn read_filter(runtime: &Runtime, telemetry: &Telemetry, generation: u64) {
    let mut query = FilterQuery {
        group: group(generation),
        streams: StreamSelection::All,
        start_ms: None,
        end_ms: None,
        from: None,
        limits: Limits::default(),
    };
    loop {
        let page = runtime.block_on(telemetry.filter(query.clone(), Arc::new(|_| true))).expect("a page");
        query.from = page.next;
        if page.next.is_none() {
            return;
        }
    }
}

#[test]
#[ignore = "prints figures; says nothing about right or wrong"]
fn measure() {
    let (_dir, telemetry) = store();
    let runtime = Runtime::new().expect("a runtime");
    println!("idle: {} MB resident", resident_mb());
    rate("appends of 1 event, 1 writer", 2_000, || write(&runtime, &telemetry, 1, 1, 2_000, 1));
    rate("appends of 1 event, 32 writers", 100_000, || write(&runtime, &telemetry, 2, 32, 3_125, 1));
    rate("events, appends of 5,000, 1 writer", 500_000, || write(&runtime, &telemetry, 3, 1, 100, 5_000));
    rate("one-event appends, 1 stream, 32 at once", 100_000, || same_stream(&runtime, &telemetry, 4));
    let one = stream(group(4), "s");
    rate("events read of one-event appends", 100_000, || {
        assert_eq!(runtime.block_on(everything(&telemetry, &one)).len(), 100_000);
    });
    let large = stream(group(3), "s0");
    rate("events read of large appends", 500_000, || {
        assert_eq!(runtime.block_on(everything(&telemetry, &large)).len(), 500_000);
    });
    rate("tail pages of a long stream", 20, || {
        for _ in 0..20 {
            let page = runtime.block_on(telemetry.get(&large, ALL, Cursor::Tail, Limits::default())).expect("a page");
            assert!(page.events.len() > 5_000);
        }
    });
    rate("events filtered over 32 interleaved streams", 100_000, || read_filter(&runtime, &telemetry, 2));
    rate("events filtered over 1 stream", 100_000, || read_filter(&runtime, &telemetry, 4));
}

fn same_stream(runtime: &Runtime, telemetry: &Telemetry, generation: u64) {
    let tasks: Vec<_> = (0..32)
        .map(|writer| {
            let (telemetry, stream) = (telemetry.clone(), stream(group(generation), "s"));
            runtime.spawn(async move {
                for i in (writer..100_000).step_by(32) {
                    telemetry.append(&stream, vec![event(i as i64, line(i))], INGESTED, None).await.expect("stored");
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| runtime.block_on(task).expect("wrote"));
}
