//! The audit trail.

use super::{block_on, store};
use crate::{TRAIL_BYTES_MAX, Telemetry, TelemetryError};

fn record(sequence: u64, text: &str) -> (u64, Vec<u8>) {
    (sequence, text.as_bytes().to_vec())
}

#[test]
fn records_are_kept_once_in_order_and_across_restarts() {
    let (dir, telemetry) = store();
    block_on(async {
        assert_eq!(telemetry.last_trail_sequence("1", "eu").await.expect("a read"), None);
        telemetry.append_trail("1", "eu", vec![record(1, "a"), record(2, "b")]).await.expect("stored");
        telemetry
            .append_trail("1", "eu", vec![record(2, "again"), record(3, "c"), record(3, "d")])
            .await
            .expect("stored");
        telemetry.append_trail("1", "us", vec![record(9, "other")]).await.expect("stored");
    });
    drop(telemetry);
    let reopened = Telemetry::open(dir.path()).expect("reopens");
    block_on(async {
        let all = reopened.read_trail("1", "eu", 0, 10).await.expect("a read");
        assert_eq!(all, [record(1, "a"), record(2, "b"), record(3, "c")]);
        assert_eq!(reopened.read_trail("1", "eu", 2, 1).await.expect("a read"), [record(2, "b")]);
        assert_eq!(reopened.last_trail_sequence("1", "eu").await.expect("a read"), Some(3));
        assert_eq!(reopened.last_trail_sequence("1", "us").await.expect("a read"), Some(9));
        assert_eq!(reopened.last_trail_sequence("2", "eu").await.expect("a read"), None);
    });
}

#[test]
fn appends_and_reads_are_bounded() {
    let (_dir, telemetry) = store();
    block_on(async {
        let half = "x".repeat(TRAIL_BYTES_MAX / 2 + 1);
        let refused = telemetry.append_trail("1", "eu", vec![record(1, &half), record(2, &half)]).await;
        assert!(matches!(refused, Err(TelemetryError::TrailTooLarge(_))), "{refused:?}");
        for sequence in [1, 2] {
            telemetry.append_trail("1", "eu", vec![record(sequence, &half)]).await.expect("stored");
        }
        assert_eq!(telemetry.read_trail("1", "eu", 0, 10).await.expect("a read").len(), 1);
    });
}
