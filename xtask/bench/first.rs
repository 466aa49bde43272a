//! What the measured containers run: it prints the time of its first instruction, in nanoseconds of
//! the wall clock since 1970, and ends. With an argument it stays, for at most that many seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    println!("{}", now.as_nanos());
    if let Some(seconds) = std::env::args().nth(1).and_then(|text| text.parse().ok()) {
        std::thread::sleep(Duration::from_secs(seconds));
    }
}
