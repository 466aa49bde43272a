//! Pauses between attempts: each twice as long as the one before, shortened at random so that many
//! nodes do not come back in step.

use base::{OsSecrets, Secrets};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.next = self.min;
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.pause(random_byte())).await;
    }

    /// Between half of what is due and all of it, as `dice` has it.
    fn pause(&mut self, dice: u8) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(self.max);
        due / 2 + due / 2 * u32::from(dice) / 255
    }
}

/// Between `least` and twice that.
pub fn jittered(least: Duration) -> Duration {
    least + least * u32::from(random_byte()) / 255
}

/// Between `due` and so many percent more.
pub fn prolonged(due: Duration, percent: u32) -> Duration {
    due + due * percent / 100 * u32::from(random_byte()) / 255
}

fn random_byte() -> u8 {
    let mut byte = [0];
    OsSecrets.fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));
        let full: Vec<u128> = (0..5).map(|_| backoff.pause(255).as_millis()).collect();
        assert_eq!(full, [250, 500, 1000, 2000, 2000]);
        assert_eq!(backoff.pause(0).as_millis(), 1000);
        backoff.reset();
        assert_eq!(backoff.pause(255).as_millis(), 250);
    }
}
