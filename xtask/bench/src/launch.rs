//! `launch`: how soon a container's first instruction runs after RunTask, beside the bare runtime,
//! and what Longshore costs while nothing happens.

use crate::bare::{Bare, Runtime};
use crate::figures::Samples;
use crate::server::{self, Memory, Server};
use crate::setting::Setting;
use crate::tasks::{Launch, Tasks};
use crate::{first, report};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Network modes in the order in which they are reported; the goals are about the first.
const MODES: [&str; 3] = ["none", "bridge", "host"];
/// Starts of each kind.
const STARTS: usize = 5;
/// How long nothing happens before memory is looked at.
const REST: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Arguments {
    /// Measured launches of each kind
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Launches of each kind before them
    #[arg(long, default_value_t = 5)]
    warm_up: u16,
}

/// All that was measured.
pub struct Measured {
    pub modes: Vec<(&'static str, Vec<Launch>)>,
    pub runtime: Runtime,
    pub bare: Samples,
    /// Server and agent.
    pub memory: (Memory, Memory),
    pub cold_starts: Samples,
    pub later_starts: Samples,
    /// One-minute load averages, before and after.
    pub load: [String; 2],
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Setting { longshore: binary, scratch } = Setting::here()?;
    let program = first::compiled(&scratch)?;
    let folder = tempfile::tempdir_in(&scratch)?;
    let cold_starts = cold_starts(&binary, folder.path())?;
    let data = folder.path().join("data");
    let outcome = measure(arguments, &binary, &data, program, cold_starts);
    // Also after a failure: nothing may stay behind.
    let down = server::down(&binary, &data);
    report::print(&outcome?);
    down
}

fn cold_starts(binary: &Path, folder: &Path) -> Result<Samples> {
    let mut times = Samples::default();
    for count in 0..STARTS {
        let data = folder.join(format!("cold-{count}"));
        let server = Server::start(binary, &data)?;
        times.push(ms(server.ready_in));
        server.end()?;
        server::down(binary, &data)?;
    }
    Ok(times)
}

fn measure(
    arguments: &Arguments,
    binary: &Path,
    data: &Path,
    program: Vec<u8>,
    cold_starts: Samples,
) -> Result<Measured> {
    let load_before = load()?;
    let server = Server::start(binary, data)?;
    let launched = launches(arguments, &server, program, &data.with_extension("bundle"));
    let (runtime, modes, bare) = launched.with_context(|| format!("the server said:\n{}", server.log()))?;
    let load = [load_before, load()?];
    std::thread::sleep(REST);
    let memory = server.memory()?;
    server.end()?;
    let mut later_starts = Samples::default();
    for _ in 0..STARTS {
        let server = Server::start(binary, data)?;
        later_starts.push(ms(server.ready_in));
        server.end()?;
    }
    Ok(Measured { modes, runtime, bare, memory, cold_starts, later_starts, load })
}

type Launches = (Runtime, Vec<(&'static str, Vec<Launch>)>, Samples);

/// Launches of all kinds in turn, so that what else the machine does meets all of them.
fn launches(arguments: &Arguments, server: &Server, program: Vec<u8>, bundle: &Path) -> Result<Launches> {
    let tasks = Tasks::of(&server.paths)?;
    let image = tasks.push(program)?;
    let definitions = MODES.iter().map(|mode| tasks.register(mode, &image)).collect::<Result<Vec<_>>>()?;
    // The node's first container is another bundle than all later ones: what it had to compile is kept for them.
    tasks.launch(&definitions[0])?;
    let bare = bare(&tasks, &definitions[0], &server.paths.agent(), bundle)?;
    let mut modes: Vec<_> = MODES.iter().map(|mode| (*mode, Vec::new())).collect();
    let mut bare_times = Samples::default();
    for round in 0..arguments.warm_up + arguments.runs {
        let measured = round >= arguments.warm_up;
        for ((_, launches), definition) in modes.iter_mut().zip(&definitions) {
            let launch = tasks.launch(definition)?;
            if measured {
                launches.push(launch);
            }
        }
        let time = bare.launch()?;
        if measured {
            bare_times.push(time);
        }
    }
    Ok((bare.runtime, modes, bare_times))
}

/// The bare runtime, with the bundle of a container that the agent runs meanwhile.
fn bare(tasks: &Tasks, definition: &str, agent: &Path, bundle: &Path) -> Result<Bare> {
    let bundle: PathBuf = bundle.to_owned();
    fs::create_dir_all(&bundle)?;
    let held = tasks.hold(definition)?;
    let bare = Bare::copy_of_held(agent, &bundle);
    tasks.stop(&held)?;
    bare
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The one-minute load average.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
