//! Rows as the API shows them.

mod cluster;
mod definition;
mod instance;
mod task;

pub(crate) use cluster::{ClusterParts, cluster};
pub(crate) use definition::definition;
pub(crate) use instance::{InstanceParts, instance};
pub(crate) use task::task;

use crate::names::Member;
use plan::placement::Refusal;
use wire::types::ecs::Failure;

/// `reason` of failures about what does not exist.
pub(crate) const MISSING: &str = "MISSING";

/// A failure that names what was asked for.
pub(crate) fn failure(arn: impl Into<String>, reason: &str) -> Failure {
    Failure { arn: Some(arn.into()), reason: Some(reason.to_owned()), detail: None }
}

/// An instance that cannot take a task.
pub(crate) fn refusal(refusal: Refusal) -> Failure {
    Failure { detail: refusal.detail, ..failure(refusal.instance, refusal.reason.as_str()) }
}

pub(crate) fn missing(member: Member) -> Failure {
    failure(member.arn, MISSING)
}

/// A row's counter as the wire's 64-bit integers hold it.
pub(crate) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count as the wire's 32-bit integers hold it.
pub(crate) fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A quantity of a row as the wire's 32-bit integers hold it.
pub(crate) fn quantity(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
