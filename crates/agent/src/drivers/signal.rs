//! Signals by the names that images and task definitions use.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal as Named;

use super::Error;

/// The first and last real-time signal that a program may use; glibc keeps 32 and 33 (signal(7)).
const RT_MIN: i32 = 34;
const RT_MAX: i32 = 64;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    pub const TERM: Self = Self(15);
    pub const KILL: Self = Self(9);

    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Reads `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`, as an image's StopSignal may be written.
impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = name.parse().ok().or_else(|| real_time(name)).or_else(|| named(name));
        match number {
            Some(number) if (1..=RT_MAX).contains(&number) => Ok(Self(number)),
            _ => Err(Error::Spec { field: "stop signal", problem: format!("{text} is not a signal") }),
        }
    }
}

fn named(name: &str) -> Option<i32> {
    format!("SIG{name}").parse::<Named>().ok().map(|signal| signal as i32)
}

fn real_time(name: &str) -> Option<i32> {
    let number = match name {
        "RTMIN" => RT_MIN,
        "RTMAX" => RT_MAX,
        _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
            (Some(up), _) => RT_MIN.checked_add(up.parse().ok()?)?,
            (_, Some(down)) => RT_MAX.checked_sub(down.parse().ok()?)?,
            _ => return None,
        },
    };
    (RT_MIN..=RT_MAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        fn check(text: &str, expect: Option<i32>) {
            assert_eq!(text.parse::<Signal>().ok().map(Signal::number), expect, "{text}");
        }
        check("SIGTERM", Some(15));
        check("quit", Some(3));
        check("9", Some(9));
        check("SIGRTMIN+3", Some(37));
        check("RTMAX-1", Some(63));
        check("RTMIN+31", None);
        check("0", None);
        check("65", None);
        check("SIGNOTHING", None);
        check("", None);
    }
}
