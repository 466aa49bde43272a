//! Pauses between looks at what may be there soon, or in a while.

use std::time::Duration;

/// The first pause: what is over at once is seen at once.
const FIRST: Duration = Duration::from_millis(10);
/// The longest: four calls a second do not trouble a server.
const LONGEST: Duration = Duration::from_millis(250);

/// Each pause is half as long again as the one before.
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pauses {
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 3 / 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_short_at_first_and_bounded() {
        let mut pauses = Pauses::default();
        let all: Vec<_> = (0..20).map(|_| pauses.next()).collect();
        assert_eq!((all[0], all[1], all[19]), (FIRST, FIRST * 3 / 2, LONGEST));
        assert!(all.is_sorted(), "{all:?}");
        let first_second: Duration = all[..11].iter().sum();
        assert!(first_second > Duration::from_secs(1), "a second takes eleven looks at most: {all:?}");
    }
}
