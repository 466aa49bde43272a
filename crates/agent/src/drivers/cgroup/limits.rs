//! Limits on all the containers beneath a control group together.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{Layout, MOUNT};

/// How often processor time is given out anew: what the ECS agent takes for tasks, and Linux by default.
const CPU_PERIOD_US: u64 = 100_000;
/// The least quota that Linux takes: 1 ms (the kernel's Documentation/scheduler/sched-bwc.rst).
const CPU_QUOTA_US_MIN: u64 = 1_000;
/// cgroups v1 `cpu.shares` and cgroups v2 `cpu.weight`, least and most (kernel/sched/sched.h; cgroup-v2.rst).
const SHARES: (u64, u64) = (2, 262_144);
const WEIGHT: (u64, u64) = (1, 10_000);

/// What a group has at most, and its weight among its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time of processors, 1024 for all of one.
    pub cpu_units: Option<u64>,
    /// Relative weight, as a container's.
    pub cpu_shares: u64,
    pub memory_bytes: Option<u64>,
}

/// Makes a group with its limits, or sets those of one that is there. What these limits need, and the runtime
/// makes the rest of it when it adds a container. Blocking.
pub(crate) fn make(layout: Layout, group: &str, limits: &Limits) -> io::Result<()> {
    let group = group.trim_start_matches('/');
    for (dir, file, value) in settings(layout, group, limits) {
        let path = Path::new(MOUNT).join(dir);
        fs::create_dir_all(&path)?;
        let path = path.join(file);
        let written = File::options().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("write {value:?} to {path:?}: {error}"));
        written.map_err(failed)?;
    }
    Ok(())
}

/// Directories below the mount, files in them and what is written there, in this order.
fn settings(layout: Layout, group: &str, limits: &Limits) -> Vec<(String, &'static str, String)> {
    let quota_us = limits.cpu_units.map(|units| (units.saturating_mul(CPU_PERIOD_US) / 1024).max(CPU_QUOTA_US_MIN));
    let shares = limits.cpu_shares.clamp(SHARES.0, SHARES.1);
    let mut settings = Vec::new();
    if layout == Layout::Unified {
        for (above, _) in std::iter::once((0, "")).chain(group.match_indices('/')) {
            settings.push((group[..above].to_owned(), "cgroup.subtree_control", "+cpu +memory".to_owned()));
        }
        let here = || group.to_owned();
        settings.push((here(), "cpu.weight", weight(shares).to_string()));
        settings.extend(quota_us.map(|quota_us| (here(), "cpu.max", format!("{quota_us} {CPU_PERIOD_US}"))));
        settings.extend(limits.memory_bytes.map(|bytes| (here(), "memory.max", bytes.to_string())));
        return settings;
    }
    let (cpu, memory) = (format!("cpu/{group}"), format!("memory/{group}"));
    settings.push((cpu.clone(), "cpu.shares", shares.to_string()));
    if let Some(quota_us) = quota_us {
        settings.push((cpu.clone(), "cpu.cfs_period_us", CPU_PERIOD_US.to_string()));
        settings.push((cpu, "cpu.cfs_quota_us", quota_us.to_string()));
    }
    settings.extend(limits.memory_bytes.map(|bytes| (memory, "memory.limit_in_bytes", bytes.to_string())));
    settings
}

/// A share as version 2 counts it, by the line through the ends of both scales that runtimes use for containers.
fn weight(shares: u64) -> u64 {
    WEIGHT.0 + (shares - SHARES.0) * (WEIGHT.1 - WEIGHT.0) / (SHARES.1 - SHARES.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(layout: Layout, limits: &Limits) -> Vec<String> {
        let settings = settings(layout, "node/task", limits);
        settings.into_iter().map(|(dir, file, value)| format!("{dir}/{file} = {value}")).collect()
    }

    #[test]
    fn limits_are_set_in_both_versions() {
        let limits = Limits { cpu_units: Some(512), cpu_shares: 512, memory_bytes: Some(64 << 20) };
        assert_eq!(
            told(Layout::Unified, &limits),
            [
                "/cgroup.subtree_control = +cpu +memory",
                "node/cgroup.subtree_control = +cpu +memory",
                "node/task/cpu.weight = 20",
                "node/task/cpu.max = 50000 100000",
                "node/task/memory.max = 67108864",
            ]
        );
        assert_eq!(
            told(Layout::Hybrid, &limits),
            [
                "cpu/node/task/cpu.shares = 512",
                "cpu/node/task/cpu.cfs_period_us = 100000",
                "cpu/node/task/cpu.cfs_quota_us = 50000",
                "memory/node/task/memory.limit_in_bytes = 67108864",
            ]
        );
    }

    #[test]
    fn what_is_not_limited_is_left_alone_and_what_is_little_is_the_least() {
        let memory = Limits { memory_bytes: Some(1), ..Limits::default() };
        assert_eq!(
            told(Layout::Legacy, &memory),
            ["cpu/node/task/cpu.shares = 2", "memory/node/task/memory.limit_in_bytes = 1"]
        );
        let cpu = Limits { cpu_units: Some(1), cpu_shares: u64::MAX, memory_bytes: None };
        assert_eq!(
            told(Layout::Unified, &cpu)[2..],
            ["node/task/cpu.weight = 10000", "node/task/cpu.max = 1000 100000"]
        );
    }
}
