//! What a process has cost.

use anyhow::{Context, Result};
use std::fs;

/// Processor seconds that the process has used so far, its threads' and its ended children's included
/// (proc(5), `stat`, fields 14 to 17).
pub fn seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the command's name, which may hold anything but ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("stat has no command")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Proportional share of memory that the process has in use, in KiB (proc(5), `smaps_rollup`).
pub fn pss_kib(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("smaps_rollup has no Pss")?;
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).context("Pss is no number")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_that_worked_has_cost_something() {
        let pid = std::process::id();
        let mut sum = 0_u64;
        while super::seconds(pid).expect("this process") < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(super::pss_kib(pid).expect("this process") > 0);
    }
}
