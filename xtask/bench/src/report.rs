//! The figures as a page of text, with the goals beside them.

use crate::figures::Samples;
use crate::launch::Measured;
use crate::server::Memory;
use crate::tasks::{Launch, MOMENTS};

/// Goal: a launch takes at most this much longer than the bare runtime, medians compared, in milliseconds.
const OVERHEAD_MS_GOAL: f64 = 30.0;
/// Goal: the 99th percentile of launches, in milliseconds.
const P99_MS_GOAL: f64 = 1000.0;
/// Goals: resident memory at rest, in MiB.
const SERVER_MIB_GOAL: f64 = 60.0;
const AGENT_MIB_GOAL: f64 = 30.0;

pub fn print(measured: &Measured) {
    let runs = measured.bare.len();
    let (runtime, [before, after]) = (&measured.runtime, &measured.load);
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{runs} launches of each kind in turn; {cpus} CPUs, load average {before} before and {after} after");
    println!("\n{:<44}{:>9}{:>9}{:>9}{:>9}", "RunTask to first instruction, ms", "lowest", "median", "p90", "p99");
    for (mode, launches) in &measured.modes {
        row(&format!("network {mode}"), &first_instructions(launches));
    }
    row(&format!("bare {} {} run, same bundle", runtime.name, runtime.version), &measured.bare);
    println!("\n{:<44}{}", "Medians since RunTask was called, ms", heads(measured));
    steps(measured);
    println!("\n{:<44}{:>9}{:>9}", "At rest after the last task, MiB", "RSS", "peak");
    let (server, agent) = measured.memory;
    memory_row("server", server);
    memory_row("agent", agent);
    println!("\n{:<44}{:>9}{:>9}{:>9}{:>9}", "Start to ready, ms", "lowest", "median", "p90", "p99");
    row("new data folder", &measured.cold_starts);
    row("existing data folder", &measured.later_starts);
    println!("\nGoals");
    goals(measured);
}

fn row(name: &str, samples: &Samples) {
    let [lowest, median, p90, p99] =
        [samples.lowest(), samples.median(), samples.percentile(90), samples.percentile(99)];
    println!("  {name:<42}{lowest:>9.1}{median:>9.1}{p90:>9.1}{p99:>9.1}");
}

fn heads(measured: &Measured) -> String {
    measured.modes.iter().map(|(mode, _)| format!("{mode:>9}")).collect()
}

/// What the API tells of a launch. Times of the service are of whole milliseconds.
fn steps(measured: &Measured) {
    step(measured, "answered", |launch| launch.answered);
    for (index, moment) in MOMENTS.iter().enumerate() {
        step(measured, moment, |launch| launch.moments[index]);
    }
    step(measured, "first instruction", |launch| launch.first_instruction);
}

fn step(measured: &Measured, name: &str, time: impl Fn(&Launch) -> f64) {
    let medians = measured.modes.iter().map(|(_, launches)| launches.iter().map(&time).collect::<Samples>().median());
    let columns: String = medians.map(|median| format!("{median:>9.1}")).collect();
    println!("  {name:<42}{columns}");
}

fn memory_row(name: &str, memory: Memory) {
    println!("  {name:<42}{:>9.1}{:>9.1}", mib(memory.rss_kib), mib(memory.peak_kib));
}

fn goals(measured: &Measured) {
    let [(mode, launches), ..] = &measured.modes[..] else { return };
    let times = first_instructions(launches);
    let bare = &measured.runtime.name;
    let limit = measured.bare.median() + OVERHEAD_MS_GOAL;
    goal(&format!("median, network {mode}: bare {bare} + {OVERHEAD_MS_GOAL} ms"), times.median(), limit, "ms");
    goal(&format!("p99, network {mode}"), times.percentile(99), P99_MS_GOAL, "ms");
    let (server, agent) = measured.memory;
    goal("server at rest", mib(server.rss_kib), SERVER_MIB_GOAL, "MiB");
    goal("agent at rest", mib(agent.rss_kib), AGENT_MIB_GOAL, "MiB");
}

fn goal(name: &str, found: f64, limit: f64, unit: &str) {
    let verdict = if found <= limit { "met" } else { "missed" };
    println!("  {name:<42}{verdict:>9}: {found:.1} of {limit:.1} {unit}");
}

fn first_instructions(launches: &[Launch]) -> Samples {
    launches.iter().map(|launch| launch.first_instruction).collect()
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
