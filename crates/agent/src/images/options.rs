//! How a node treats images, as whoever starts it says.

use super::credentials::RegistryAuth;
use oci::client::{Endpoint, Scheme};
use oci::reference::is_registry;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

/// When a registry is asked: the values of `ECS_IMAGE_PULL_BEHAVIOR` (Amazon ECS Developer Guide, "Amazon ECS
/// container agent configuration").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullBehavior {
    /// Each time; if that fails, the image that is here serves.
    #[default]
    Default,
    /// Each time; if that fails, the task fails.
    Always,
    /// If the image was not pulled before, or was removed since.
    Once,
    /// If there is no image of that name here. Then none is ever removed.
    PreferCached,
}

impl FromStr for PullBehavior {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "default" => Ok(Self::Default),
            "always" => Ok(Self::Always),
            "once" => Ok(Self::Once),
            "prefer-cached" => Ok(Self::PreferCached),
            _ => Err("it is one of default, always, once and prefer-cached".to_owned()),
        }
    }
}

/// Where to pull from in place of a registry: tried before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// As in references: `docker.io`, `host` or `host:port`.
    pub registry: String,
    pub endpoint: Endpoint,
}

impl FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as REGISTRY=https://HOST[:PORT], such as docker.io=https://mirror.example.com";
        let (registry, url) = text.split_once('=').ok_or(form)?;
        let (scheme, host) = match url.split_once("://") {
            Some(("https", host)) => (Scheme::Https, host),
            Some(("http", host)) => (Scheme::Http, host),
            _ => return Err(form.to_owned()),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        if !is_registry(registry) || !is_registry(host) {
            return Err(format!("{form}; a mirror has no path"));
        }
        let endpoint = Endpoint { scheme, host: host.to_owned() };
        Ok(Self { registry: registry.to_owned(), endpoint })
    }
}

/// What is removed, and when. All but the last are the ECS agent's: `ECS_DISABLE_IMAGE_CLEANUP`,
/// `ECS_IMAGE_CLEANUP_INTERVAL`, `ECS_IMAGE_MINIMUM_CLEANUP_AGE`, `ECS_NUM_IMAGES_DELETE_PER_CYCLE` and
/// `ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// False: no image is ever removed.
    pub enabled: bool,
    pub interval: Duration,
    /// Since the pull.
    pub minimum_age: Duration,
    pub images_per_cycle: usize,
    /// How long what is left of a stopped container stays.
    pub task_wait: Duration,
    /// Where the disk is fuller than this, in percent, stopped containers and images that nobody needs are removed
    /// at once.
    pub disk_high_water_percent: u64,
}

pub const CLEANUP_INTERVAL_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// The ECS agent ignores a shorter interval; here it is refused.
pub const CLEANUP_INTERVAL_MIN: Duration = Duration::from_secs(10 * 60);
pub const MINIMUM_AGE_DEFAULT: Duration = Duration::from_secs(60 * 60);
pub const IMAGES_PER_CYCLE_DEFAULT: usize = 5;
pub const TASK_WAIT_DEFAULT: Duration = Duration::from_secs(3 * 3600);
/// The ECS agent ignores a shorter wait; here it is refused.
pub const TASK_WAIT_MIN: Duration = Duration::from_secs(1);
/// Kubernetes' number for the same (kubelet's `imageGCHighThresholdPercent`).
pub const DISK_HIGH_WATER_PERCENT_DEFAULT: u64 = 85;
/// How long a pull may bring nothing: `ECS_IMAGE_PULL_INACTIVITY_TIMEOUT`, its default and least value on Linux.
pub const INACTIVITY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
pub const INACTIVITY_TIMEOUT_MIN: Duration = Duration::from_secs(60);

impl Default for Cleanup {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: CLEANUP_INTERVAL_DEFAULT,
            minimum_age: MINIMUM_AGE_DEFAULT,
            images_per_cycle: IMAGES_PER_CYCLE_DEFAULT,
            task_wait: TASK_WAIT_DEFAULT,
            disk_high_water_percent: DISK_HIGH_WATER_PERCENT_DEFAULT,
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    pub pull_behavior: PullBehavior,
    pub inactivity_timeout: Duration,
    /// A registry's own are tried in the order in which they stand here.
    pub mirrors: Vec<Mirror>,
    /// Registries that are asked over plain HTTP.
    pub insecure: BTreeSet<String>,
    pub auth: RegistryAuth,
    /// PEM text of certificate authorities that are trusted beside the system's.
    pub ca: Vec<u8>,
    pub cleanup: Cleanup,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            pull_behavior: PullBehavior::default(),
            inactivity_timeout: INACTIVITY_TIMEOUT_DEFAULT,
            mirrors: Vec::new(),
            insecure: BTreeSet::new(),
            auth: RegistryAuth::default(),
            ca: Vec::new(),
            cleanup: Cleanup::default(),
        }
    }
}

/// A duration as the ECS agent's variables are written, which is Go's way without fractions: `90s`, `10m`, `1h30m`.
///
/// # Errors
/// What it should have been.
pub fn duration(text: &str) -> Result<Duration, String> {
    let form = || "write it with units, such as 90s, 10m or 1h30m".to_owned();
    let units: BTreeMap<char, u64> = [('h', 3600), ('m', 60), ('s', 1)].into();
    let (mut seconds, mut number) = (0_u64, String::new());
    for c in text.chars() {
        match units.get(&c) {
            None => number.push(c),
            Some(unit) => {
                let count: u64 = number.parse().map_err(|_| form())?;
                seconds = count.checked_mul(*unit).and_then(|more| seconds.checked_add(more)).ok_or_else(form)?;
                number.clear();
            }
        }
    }
    if !number.is_empty() || text.is_empty() {
        return Err(form());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_for_the_ecs_agent() {
        fn check(text: &str, expect: Option<u64>) {
            assert_eq!(duration(text).ok(), expect.map(Duration::from_secs), "{text}");
        }
        check("90s", Some(90));
        check("10m", Some(600));
        check("1h30m", Some(5400));
        check("0s", Some(0));
        for text in ["", "10", "m", "1.5h", "-1s", "1d", "99999999999999999999h", "+1s2"] {
            check(text, None);
        }
    }

    #[test]
    fn a_mirror_names_a_registry_and_an_address() {
        let mirror: Mirror = "docker.io=https://m.example.com:5000/".parse().expect("a mirror");
        assert_eq!((mirror.registry.as_str(), mirror.endpoint), ("docker.io", Endpoint::https("m.example.com:5000")));
        let mirror: Mirror = "h:1=http://[::1]:2".parse().expect("a mirror");
        assert_eq!(mirror.endpoint, Endpoint::http("[::1]:2"));
        for text in [
            "docker.io",
            "docker.io=m",
            "=https://m",
            "a=ftp://m",
            "a=https://m/path",
            "a=https://u@m",
            "a b=https://m",
        ] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }
}
