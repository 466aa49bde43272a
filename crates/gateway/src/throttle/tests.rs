use super::limits::{GROUPS, Limit};
use super::{Bucket, Throttle};
use base::Timestamp;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// How many of `calls` at each moment (milliseconds from the start) a bucket lets through.
fn check(burst: u32, per_second: u32, moments: &[(i64, usize)], expect: &[usize]) {
    let mut bucket = Bucket::full(Limit { burst, per_second }, NOW);
    let mut taken = Vec::new();
    for (at_ms, calls) in moments {
        let now = NOW.plus_millis(*at_ms);
        taken.push((0..*calls).filter(|_| bucket.take(now)).count());
    }
    assert_eq!(taken, expect, "{burst}/{per_second} {moments:?}");
}

#[test]
fn a_bucket_gives_its_burst_at_once_and_its_rate_from_then_on() {
    check(20, 1, &[(0, 30), (999, 5), (1000, 5), (3000, 5)], &[20, 0, 1, 2]);
    check(100, 40, &[(0, 100), (25, 5), (100, 5), (1100, 100)], &[100, 1, 3, 40]);
    check(5, 1, &[(0, 5), (3_600_000, 100)], &[5, 5]);
    check(2, 1, &[(0, 2), (-5000, 1), (0, 1)], &[2, 0, 0]);
}

/// Codes of refusals among `calls` calls of an operation.
fn refused(throttle: &Throttle, account: &str, region: &str, name: &str, calls: usize, now: Timestamp) -> usize {
    let (service, operation) = name.split_once(':').expect("service:Operation");
    let service = wire::service(service).expect("modelled");
    (0..calls).filter(|_| throttle.admit(account, region, service, operation, now).is_err()).count()
}

#[test]
fn accounts_regions_and_groups_have_buckets_of_their_own() {
    let throttle = Throttle::default();
    let refused = |account, region, name, calls| refused(&throttle, account, region, name, calls, NOW);
    assert_eq!(refused("1", "r", "ecs:DescribeClusters", 49), 0);
    assert_eq!(refused("1", "r", "ecs:ListClusters", 2), 1);
    assert_eq!(refused("1", "r", "ecs:DescribeClusters", 1), 1);
    assert_eq!(refused("2", "r", "ecs:ListClusters", 50), 0);
    assert_eq!(refused("1", "s", "ecs:ListClusters", 50), 0);
    assert_eq!(refused("1", "r", "ecs:RunTask", 101), 1);
    assert_eq!(refused("1", "r", "ecs:DiscoverPollEndpoint", 1000), 0);
    assert_eq!(refused("1", "r", "sts:GetCallerIdentity", 601), 1);
}

#[test]
fn a_refusal_has_the_services_own_code() {
    let throttle = Throttle::default();
    for (name, burst, code) in [
        ("ecs:DeleteTaskDefinitions", 5, "ThrottlingException"),
        ("ecr:PutImage", 10, "ThrottlingException"),
        ("logs:CreateLogGroup", 10, "ThrottlingException"),
        ("sts:GetCallerIdentity", 600, "Throttling"),
    ] {
        assert_eq!(refused(&throttle, "1", "r", name, burst, NOW), 0, "{name}");
        let (service, operation) = name.split_once(':').expect("service:Operation");
        let service = wire::service(service).expect("modelled");
        let error = throttle.admit("1", "r", service, operation, NOW).expect_err("refused");
        assert_eq!((error.code.as_ref(), error.message.as_str()), (code, "Rate exceeded"));
    }
}

#[test]
fn full_buckets_are_let_go() {
    let throttle = Throttle::default();
    for region in 0..=super::BUCKETS_MAX {
        refused(&throttle, "1", &format!("r{region}"), "ecs:RunTask", 1, NOW);
    }
    refused(&throttle, "1", "last", "ecs:RunTask", 1, NOW.plus_secs(1));
    assert_eq!(throttle.buckets.lock().len(), 1);
}

#[test]
fn every_limit_is_of_a_modelled_operation_and_stands_once() {
    let mut seen = BTreeSet::new();
    for (service, groups) in GROUPS {
        for operation in groups.iter().flat_map(|group| group.operations) {
            let modelled = wire::service(service).is_some_and(|service| service.operation(operation).is_some());
            assert!(modelled, "{service}:{operation}");
            assert!(seen.insert((service, operation)), "{service}:{operation} twice");
        }
    }
}
