//! Health checks: when the next is due, and what one means. As Docker has it.

use super::Probe;
use crate::order::HealthCheck;
use crate::task::{Health, HealthStatus};
use base::Timestamp;

/// Between checks while a container is starting up: Docker's default start interval.
const START_INTERVAL_MS: i64 = 5_000;

/// When the next check is due, counted from the end of the last one or from the start.
pub(super) fn due(check: &HealthCheck, health: Health, started: Timestamp, now: Timestamp) -> Timestamp {
    let left_ms = check.start_period_ms - now.millis_since(started);
    let pause_ms = if left_ms <= 0 {
        check.interval_ms
    } else if left_ms < check.interval_ms {
        // The first check that counts comes at once when failures begin to count.
        left_ms
    } else if health.status == HealthStatus::Unknown {
        START_INTERVAL_MS
    } else {
        check.interval_ms
    };
    Timestamp::from_millis(now.as_millis() + pause_ms)
}

/// The container's health after a check.
pub(super) fn after(check: &HealthCheck, health: Health, started: Timestamp, probe: &Probe) -> Health {
    if probe.code == Some(0) {
        return Health { status: HealthStatus::Healthy, failures_in_a_row: 0 };
    }
    let starting = health.status == HealthStatus::Unknown;
    if starting && probe.began.millis_since(started) < check.start_period_ms {
        return health;
    }
    let failures_in_a_row = health.failures_in_a_row.saturating_add(1);
    let status = if failures_in_a_row >= check.retries { HealthStatus::Unhealthy } else { health.status };
    Health { status, failures_in_a_row }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: HealthCheck =
        HealthCheck { args: Vec::new(), interval_ms: 30_000, timeout_ms: 5_000, retries: 3, start_period_ms: 0 };

    #[test]
    fn failures_in_a_row_count_once_the_start_is_over() {
        fn check(start_period_s: i64, probes: &[(i64, i32)], expect: HealthStatus) {
            let check = HealthCheck { start_period_ms: start_period_s * 1000, ..CHECK };
            let started = Timestamp::from_secs(100);
            let health = probes.iter().fold(Health::default(), |health, (at_s, code)| {
                let began = started.plus_secs(*at_s);
                after(&check, health, started, &Probe { began, code: Some(*code), output: String::new() })
            });
            assert_eq!(health.status, expect, "{start_period_s} {probes:?}");
        }
        check(0, &[], HealthStatus::Unknown);
        check(0, &[(5, 1), (10, 1)], HealthStatus::Unknown);
        check(0, &[(5, 1), (10, 1), (15, 1)], HealthStatus::Unhealthy);
        check(0, &[(5, 1), (10, 0), (15, 1), (20, 1)], HealthStatus::Healthy);
        check(0, &[(5, 0), (10, 1), (15, 1), (20, 1)], HealthStatus::Unhealthy);
        check(0, &[(5, 1), (10, 1), (15, 1), (20, 0)], HealthStatus::Healthy);
        check(20, &[(5, 1), (10, 1), (15, 1)], HealthStatus::Unknown);
        check(20, &[(5, 1), (10, 1), (15, 1), (20, 1), (50, 1), (80, 1)], HealthStatus::Unhealthy);
        check(20, &[(5, 0), (6, 1), (7, 1), (8, 1)], HealthStatus::Unhealthy);
    }

    #[test]
    fn checks_come_more_often_while_a_container_starts() {
        fn check(start_period_s: i64, status: HealthStatus, at_s: i64, expect_s: i64) {
            let check = HealthCheck { start_period_ms: start_period_s * 1000, ..CHECK };
            let (started, health) = (Timestamp::from_secs(100), Health { status, failures_in_a_row: 0 });
            let due = due(&check, health, started, started.plus_secs(at_s));
            assert_eq!(due.as_secs() - started.as_secs(), expect_s, "{start_period_s} {status:?} {at_s}");
        }
        check(0, HealthStatus::Unknown, 0, 30);
        check(100, HealthStatus::Unknown, 0, 5);
        check(100, HealthStatus::Healthy, 5, 35);
        check(100, HealthStatus::Unknown, 80, 100);
        check(100, HealthStatus::Unknown, 100, 130);
    }
}
