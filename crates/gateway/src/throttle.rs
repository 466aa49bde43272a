//! How often an account may call: token buckets by account, region and group of operations, as AWS has them.
//!
//! Amazon ECS API reference, "Request throttling for the Amazon ECS API". Off unless the server is told to.

mod limits;

use base::{ApiError, Timestamp};
use limits::{Group, Limit, group_of};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use wire::model::{Protocol, Service};

/// Buckets that are kept before full ones are let go: a full one is as good as none. Ours.
const BUCKETS_MAX: usize = 4096;

/// Thousandths of a token.
const TOKEN: u64 = 1000;

/// The buckets of every account that calls.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: Mutex<BTreeMap<Key, Bucket>>,
}

/// Account, region, service and group.
type Key = (String, String, &'static str, &'static str);

impl Throttle {
    /// Takes a token for a call of `operation`; one that AWS publishes no rate of has no limit.
    ///
    /// # Errors
    /// When the account's bucket is empty.
    pub fn admit(
        &self,
        account: &str,
        region: &str,
        service: &Service,
        operation: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let Some(Group { name, limit, .. }) = group_of(service.name, operation) else { return Ok(()) };
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let key = (account.to_owned(), region.to_owned(), service.name, *name);
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::full(*limit, now));
        if bucket.take(now) { Ok(()) } else { Err(exceeded(service.protocol)) }
    }
}

/// Query services call it by another name (AWS STS, common errors).
fn exceeded(protocol: Protocol) -> ApiError {
    let code = match protocol {
        Protocol::AwsQuery | Protocol::Ec2Query => "Throttling",
        _ => "ThrottlingException",
    };
    ApiError::client(code, "Rate exceeded")
}

/// A bucket that is full at first, loses a token a call, and fills again with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Limit,
    /// Thousandths.
    tokens: u64,
    /// When `tokens` was true.
    at: Timestamp,
}

impl Bucket {
    fn full(limit: Limit, now: Timestamp) -> Self {
        Self { limit, tokens: u64::from(limit.burst) * TOKEN, at: now }
    }

    /// A clock that goes back fills nothing.
    fn filled(&self, now: Timestamp) -> u64 {
        let passed_ms = u64::try_from(now.millis_since(self.at)).unwrap_or_default();
        // A token is a thousand thousandths and a second a thousand milliseconds: the factors cancel out.
        let more = passed_ms.saturating_mul(u64::from(self.limit.per_second));
        self.tokens.saturating_add(more).min(u64::from(self.limit.burst) * TOKEN)
    }

    fn is_full(&self, now: Timestamp) -> bool {
        self.filled(now) == u64::from(self.limit.burst) * TOKEN
    }

    /// Takes a token, if there is one.
    fn take(&mut self, now: Timestamp) -> bool {
        (self.tokens, self.at) = (self.filled(now), self.at.max(now));
        let enough = self.tokens >= TOKEN;
        self.tokens -= if enough { TOKEN } else { 0 };
        enough
    }
}

#[cfg(test)]
mod tests;
