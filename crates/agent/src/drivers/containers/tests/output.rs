//! Output under pressure.

use std::fs;

use super::node::{Node, all_output, id, patiently, until, wait};
use crate::drivers::spool::{LINE_BYTES_MAX, Record};
use crate::drivers::{ContainerSpec, OutputSpec, Overflow};

/// Some 4 MB in 40,000 numbered lines.
const MANY: &str = "x=0123456789012345678901234567890123456789; i=0; \
                    while test $i -lt 40000; do echo $i $x$x; i=$((i+1)); done";

fn numbers(records: &[Record]) -> Vec<u64> {
    let number = |record: &Record| match record {
        Record::Line { bytes, .. } => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.split(' ').next().and_then(|word| word.parse().ok())
        }
        Record::Dropped { .. } => None,
    };
    records.iter().filter_map(number).collect()
}

#[tokio::test]
async fn a_blocking_container_waits_for_its_reader_and_loses_nothing() {
    let node = Node::new();
    let containers = node.open();
    let output = OutputSpec::Spool { overflow: Overflow::Block, bytes_max: 1 };
    let name = id("blocking");
    containers.create(&name, &ContainerSpec { output, ..node.shell(MANY) }).await.expect("create");
    containers.start(&name).await.expect("start");
    let mut output = containers.output(&name, 0).expect("output");
    let mut records = Vec::new();
    while let Some(record) = patiently("output", output.next()).await.expect("read") {
        records.push(record);
        output.acknowledge(output.offset()).expect("acknowledge");
    }
    let got = numbers(&records);
    assert_eq!(got.len(), 40_000);
    assert!(got.iter().enumerate().all(|(index, number)| index as u64 == *number));
    assert_eq!(wait(&containers, &name).await.code(), Some(0));
    containers.remove(&name).await.expect("remove");
    node.assert_clean();
}

#[tokio::test]
async fn a_container_that_must_not_wait_ends_unread_and_what_is_missing_is_counted() {
    let node = Node::new();
    let containers = node.open();
    let output = OutputSpec::Spool { overflow: Overflow::Drop, bytes_max: 1 };
    let name = id("dropping");
    containers.create(&name, &ContainerSpec { output, ..node.shell(MANY) }).await.expect("create");
    containers.start(&name).await.expect("start");
    assert_eq!(wait(&containers, &name).await.code(), Some(0), "nobody reads, and it ends all the same");
    let size = fs::metadata(node.container_dir(&name).join("spool")).expect("spool").len();
    assert!(size < 4_000_000, "the spool is bounded: {size}");
    let records = all_output(&containers, &name).await;
    let dropped: u64 =
        records.iter().map(|record| if let Record::Dropped { records, .. } = record { *records } else { 0 }).sum();
    assert!(dropped > 0);
    assert_eq!(numbers(&records).len() as u64 + dropped, 40_000);
    containers.remove(&name).await.expect("remove");
    node.assert_clean();
}

#[tokio::test]
async fn output_is_seen_as_it_comes_and_long_lines_come_in_parts() {
    let node = Node::new();
    let containers = node.open();
    let name = id("slow");
    let script = "echo first; while ! test -e /tmp/go; do sleep 0.02; done; \
                  head -c 40000 /dev/zero; echo; while true; do sleep 1; done";
    containers.create(&name, &node.shell(script)).await.expect("create");
    containers.start(&name).await.expect("start");
    let mut output = containers.output(&name, 0).expect("output");
    let first = patiently("the first line", output.next()).await.expect("read").expect("a line");
    assert!(matches!(first, Record::Line { bytes, partial: false, .. } if bytes == b"first"));
    fs::write(node.container_dir(&name).join("rootfs/tmp/go"), "").expect("the root is seen from the host");
    let mut parts = Vec::new();
    for _ in 0..3 {
        match patiently("a part", output.next()).await.expect("read").expect("a part") {
            Record::Line { bytes, partial, .. } => parts.push((bytes.len(), partial)),
            dropped @ Record::Dropped { .. } => panic!("{dropped:?}"),
        }
    }
    assert_eq!(parts, [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX, true), (40_000 - 2 * LINE_BYTES_MAX, false)]);
    containers.signal(&name, crate::drivers::Signal::KILL).await.expect("kill");
    assert_eq!(wait(&containers, &name).await.code(), Some(137));
    assert_eq!(patiently("the end", output.next()).await.expect("read"), None);
    let status = containers.status(&name).expect("status");
    until("the end is seen", || matches!(*status.borrow(), crate::drivers::Status::Exited(_))).await;
    containers.remove(&name).await.expect("remove");
    node.assert_clean();
}
