//! How often, and after which pauses, what failed is tried again: the ECS agent's numbers.

use crate::backoff::prolonged;
use std::time::Duration;

/// What a pause is longer at most than it is due, in percent.
const JITTER_PERCENT: u32 = 20;

/// Attempts of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    attempts: u32,
    pause_min: Duration,
    pause_max: Duration,
    /// How many times the pause before each is.
    factor: u32,
}

/// To learn what a name means: quick at first.
pub(super) const MANIFEST: Policy =
    Policy { attempts: 9, pause_min: Duration::from_millis(10), pause_max: Duration::from_secs(5), factor: 3 };

/// As [`MANIFEST`], where an image that is here already would do: nobody waits long for what is there.
pub(super) const MANIFEST_IF_CACHED: Policy = Policy { attempts: 3, ..MANIFEST };

/// To fetch a layer; counted anew with every byte that comes.
pub(super) const LAYER: Policy =
    Policy { attempts: 5, pause_min: Duration::from_millis(1100), pause_max: Duration::from_secs(5), factor: 2 };

/// How far the attempts at one thing are.
#[derive(Debug)]
pub(super) struct Tries {
    policy: Policy,
    failed: u32,
}

impl Tries {
    pub fn new(policy: Policy) -> Self {
        Self { policy, failed: 0 }
    }

    /// Attempts that failed.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// There was some success.
    pub fn reset(&mut self) {
        self.failed = 0;
    }

    /// Notes a failure; after which pause to try again, if it is worth another attempt.
    pub fn fail(&mut self, transient: bool) -> Option<Duration> {
        self.failed += 1;
        let again = transient && self.failed < self.policy.attempts;
        again.then(|| prolonged(self.due(), JITTER_PERCENT))
    }

    fn due(&self) -> Duration {
        let grown = self.policy.factor.saturating_pow(self.failed - 1);
        self.policy.pause_min.saturating_mul(grown).min(self.policy.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_the_ecs_agents() {
        fn check(policy: Policy, expect_ms: &[u128]) {
            let (mut tries, mut due) = (Tries::new(policy), Vec::new());
            while let Some(pause) = tries.fail(true) {
                due.push(tries.due().as_millis());
                assert!(pause >= tries.due() && pause <= tries.due() * 6 / 5, "{pause:?}");
            }
            assert_eq!(due, expect_ms);
            assert_eq!(tries.failed() as usize, expect_ms.len() + 1);
        }
        check(MANIFEST, &[10, 30, 90, 270, 810, 2430, 5000, 5000]);
        check(MANIFEST_IF_CACHED, &[10, 30]);
        check(LAYER, &[1100, 2200, 4400, 5000]);
    }

    #[test]
    fn what_will_not_change_is_not_tried_again() {
        let mut tries = Tries::new(LAYER);
        assert_eq!((tries.fail(false), tries.failed()), (None, 1));
        tries.reset();
        assert!(tries.fail(true).is_some());
    }
}
