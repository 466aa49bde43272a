//! `tasks`: many short tasks one after another, beside the bare runtime, and many that stay.

use crate::bare::Bare;
use crate::cpu;
use crate::figures::Samples;
use crate::first;
use crate::server::{self, Server};
use crate::setting::Setting;
use crate::table::{Promise, Row};
use crate::tasks::Tasks;
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHORT_TASKS: usize = 500;
const IN_FLIGHT: usize = 4;
const STAYING: usize = 300;
/// Tasks of one RunTask call.
const BATCH: usize = 10;
/// How often is asked which tasks have ended.
const POLL: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(300);
/// Launches that are compared: on an empty node, and on a full one.
const LAUNCHES: usize = 15;
/// Of the bare runtime's rate.
const RATE: Promise = Promise::AtLeastTimes { floor: 0.4, goal: 0.7 };
/// A launch on a full node, against one on an empty node.
const FLAT: Promise = Promise::AtMostTimes(1.5);

pub fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = setting.folder()?;
    let data = folder.path().join("data");
    let program = first::compiled(&setting.scratch)?;
    let server = Server::start(&setting.longshore, &data)?;
    let measured = measure(&server, program, folder.path());
    let measured = measured.with_context(|| format!("the server said:\n{}", server.log()));
    let ended = server.end();
    // Also after a failure: nothing may stay behind.
    server::down(&setting.longshore, &data)?;
    ended?;
    measured
}

fn measure(server: &Server, program: Vec<u8>, folder: &Path) -> Result<Vec<Row>> {
    let tasks = Tasks::of(&server.paths)?;
    let image = tasks.push(program)?;
    let definition = tasks.register("none", &image)?;
    tasks.launch(&definition)?;
    let ours = short(&tasks, &definition)?;
    let bare = short_bare(&tasks, &definition, &server.paths.agent(), folder)?;
    let mut rows = vec![Row {
        what: format!("{SHORT_TASKS} short tasks, {IN_FLIGHT} in flight"),
        unit: "tasks/s",
        ours,
        peer: Some(("bare runtime", bare)),
        promise: RATE,
    }];
    rows.extend(staying(server, &tasks, &definition)?);
    Ok(rows)
}

/// Tasks a second, from the first RunTask to the last STOPPED.
fn short(tasks: &Tasks, definition: &str) -> Result<f64> {
    let begun = Instant::now();
    let (mut started, mut flying) = (0, Vec::new());
    while started < SHORT_TASKS || !flying.is_empty() {
        while flying.len() < IN_FLIGHT && started < SHORT_TASKS {
            flying.extend(tasks.start(definition, 1, false)?);
            started += 1;
        }
        thread::sleep(POLL);
        for state in tasks.states(&flying)? {
            if state["lastStatus"] != "STOPPED" {
                continue;
            }
            ensure!(state["containers"][0]["exitCode"] == 0, "a task failed: {state:#}");
            flying.retain(|task| state["taskArn"] != *task.as_str());
        }
        ensure!(begun.elapsed() < TIMEOUT, "tasks do not end: {flying:?}");
    }
    Ok(SHORT_TASKS as f64 / begun.elapsed().as_secs_f64())
}

/// Runs of the bare runtime a second, as many in flight, of the same bundle.
fn short_bare(tasks: &Tasks, definition: &str, agent: &Path, folder: &Path) -> Result<f64> {
    let held = tasks.hold(definition)?;
    let lanes: Vec<Bare> = (0..IN_FLIGHT)
        .map(|lane| {
            let bundle = folder.join(format!("bench-{lane}"));
            fs::create_dir_all(&bundle)?;
            Bare::copy_of_held(agent, &bundle)
        })
        .collect::<Result<_>>()?;
    tasks.stop(&held)?;
    let left = AtomicUsize::new(SHORT_TASKS);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let begun = Instant::now();
    thread::scope(|scope| {
        let work = |lane: Bare| -> Result<()> {
            while take() {
                lane.launch()?;
            }
            Ok(())
        };
        let workers: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(move || work(lane))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    Ok(SHORT_TASKS as f64 / begun.elapsed().as_secs_f64())
}

fn staying(server: &Server, tasks: &Tasks, definition: &str) -> Result<Vec<Row>> {
    let empty = launches(tasks, definition)?;
    let before = memory_kib(server)?;
    let begun = Instant::now();
    let mut all = Vec::new();
    while all.len() < STAYING {
        all.extend(tasks.start(definition, BATCH.min(STAYING - all.len()), true)?);
    }
    await_running(tasks, &all, begun)?;
    let time = begun.elapsed().as_secs_f64();
    let kib = (memory_kib(server)? - before) / STAYING as f64;
    let full = launches(tasks, definition)?;
    let row = |what: String, unit, ours, peer, promise| Row { what, unit, ours, peer, promise };
    let flat = format!("launch beside {STAYING} running tasks, against an empty node");
    Ok(vec![
        row(format!("{STAYING} tasks at once, until all run"), "s", time, None, Promise::Nothing),
        row("memory of each: shim, agent, server".to_owned(), "KiB", kib, None, Promise::Nothing),
        row(flat, "ms", full, Some(("empty", empty)), FLAT),
    ])
}

/// The median of launches, in milliseconds to the first instruction.
fn launches(tasks: &Tasks, definition: &str) -> Result<f64> {
    let times: Samples =
        (0..LAUNCHES).map(|_| Ok(tasks.launch(definition)?.first_instruction)).collect::<Result<_>>()?;
    Ok(times.median())
}

fn await_running(tasks: &Tasks, all: &[String], begun: Instant) -> Result<()> {
    for page in all.chunks(100) {
        while !tasks.states(page)?.iter().all(|state| state["lastStatus"] == "RUNNING") {
            ensure!(begun.elapsed() < TIMEOUT, "tasks do not all come to run");
            thread::sleep(POLL * 10);
        }
    }
    Ok(())
}

/// Of the server, the agent, and every shim, each page counted once.
fn memory_kib(server: &Server) -> Result<f64> {
    let mut sum = cpu::pss_kib(server.pid())? + cpu::pss_kib(server.agent_pid()?)?;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        let ours = |argument: Option<&[u8]>| {
            argument.is_some_and(|path| path.starts_with(server.paths.agent().as_os_str().as_encoded_bytes()))
        };
        if arguments.nth(1) == Some(b"shim") && ours(arguments.next()) {
            sum += cpu::pss_kib(pid).unwrap_or_default();
        }
    }
    Ok(sum as f64)
}
