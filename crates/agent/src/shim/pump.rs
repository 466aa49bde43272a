//! Copying a container's output from its pipes into its sink until the container has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::Shim;
use super::lines::Lines;
use super::sink::Sink;
use crate::drivers::now;
use crate::drivers::spool::{READ_BYTES_MAX, Stream};

/// How often a full spool is looked at again: 20 ms.
const FULL_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How often what a full disk did not take is tried again: 250 ms.
const BEHIND_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// How often, and with what pauses, when nothing but that is left of a container.
const LAST_TRIES: u32 = 10;
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How long a pipe may stay open after the container ended, when some process outside holds it: 500 ms.
const LINGER: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

struct Source {
    stream: Stream,
    /// None once it has ended.
    pipe: Option<OwnedFd>,
    lines: Lines,
}

pub(super) struct Pump<'a> {
    sources: Vec<Source>,
    sink: Sink,
    shim: &'a Shim,
    buffer: Vec<u8>,
    linger: Timespec,
}

impl<'a> Pump<'a> {
    /// `pipes` are the reading ends of the container's output.
    pub(super) fn new(pipes: Vec<(Stream, OwnedFd)>, sink: Sink, shim: &'a Shim) -> io::Result<Self> {
        for (_, pipe) in &pipes {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        let source = |(stream, pipe)| Source { stream, pipe: Some(pipe), lines: Lines::default() };
        let sources = pipes.into_iter().map(source).collect();
        Ok(Self { sources, sink, shim, buffer: vec![0; READ_BYTES_MAX], linger: LINGER })
    }

    /// Returns when `container` (a pidfd) has ended and all it said is in the sink.
    pub(super) fn run(mut self, container: &OwnedFd) -> io::Result<()> {
        while !self.wait(Some(container))? {
            self.copy()?;
        }
        self.sink.last_words();
        while self.sources.iter().any(|source| source.pipe.is_some()) {
            if !self.copy()? && self.wait(None)? {
                break;
            }
        }
        for source in &mut self.sources {
            if let Some(rest) = source.lines.finish() {
                self.sink.push_rest(now(), source.stream, &rest)?;
            }
        }
        self.finish()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish(now())?;
        for _ in 0..LAST_TRIES {
            if self.sink.behind().is_none() {
                break;
            }
            std::thread::sleep(LAST_PAUSE);
            self.sink.flush();
        }
        self.sink.give_up(now());
        self.shim.wake_agent();
        Ok(())
    }

    /// Waits for output. True when there will be none: the container has ended, or, without one to watch, all
    /// pipes have, or nothing came for [`LINGER`].
    fn wait(&mut self, container: Option<&OwnedFd>) -> io::Result<bool> {
        let full = container.is_some() && !self.sink.accepts_more()?;
        let open = self.sources.iter().filter_map(|source| source.pipe.as_ref()).filter(|_| !full);
        let watched = container.into_iter().chain(open);
        let mut polled: Vec<PollFd<'_>> =
            watched.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        if polled.is_empty() {
            return Ok(true);
        }
        let limit = match self.sink.behind() {
            Some(_) if container.is_some() => Some(&BEHIND_WAIT),
            _ if full => Some(&FULL_WAIT),
            _ => container.is_none().then_some(&self.linger),
        };
        let ready = match poll(&mut polled, limit) {
            Err(Errno::INTR) => return Ok(false),
            other => other?,
        };
        Ok(match container {
            Some(_) => !polled[0].revents().is_empty(),
            None => ready == 0,
        })
    }

    /// Copies what is there, at most one read from each pipe; true when there was any.
    fn copy(&mut self) -> io::Result<bool> {
        let mut any = false;
        for source in &mut self.sources {
            if !self.sink.accepts_more()? {
                break;
            }
            let Some(pipe) = &source.pipe else { continue };
            match rustix::io::read(pipe, &mut self.buffer[..]) {
                // A terminal that nobody has open any more says EIO.
                Ok(0) | Err(Errno::IO) => source.pipe = None,
                Ok(count) => {
                    let (at, stream, sink) = (now(), source.stream, &mut self.sink);
                    source.lines.feed(&self.buffer[..count], |line, partial| sink.push(at, stream, line, partial))?;
                    any = true;
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if (any || self.sink.behind().is_some()) && self.sink.flush() {
            self.shim.wake_agent();
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rustix::pipe::pipe;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;
    use crate::drivers::spool::{Reader, Writer};
    use crate::drivers::{Overflow, records};

    /// A shim in `dir` whose record says what does not matter here.
    fn shim(dir: &Path) -> Shim {
        let runtime = serde_json::json!({ "name": "", "version": "", "path": "", "hides_hybrid_mount": false });
        let record = serde_json::json!({
            "id": "c", "runtime": runtime, "runtime_root": "", "cgroup": "",
            "output": "Nowhere", "stop_signal": 15, "keep_filter": null,
        });
        let record = serde_json::from_value(record).expect("a record");
        let (_, wake) = pipe().expect("pipe");
        Shim { dir: dir.to_owned(), record, wake }
    }

    /// A process that has ended and was not reaped.
    fn ended() -> (std::process::Child, OwnedFd) {
        let child = std::process::Command::new("true").spawn().expect("true");
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("pidfd");
        (child, handle)
    }

    /// Runs a pump over those pipes with `linger`, and fails when that takes a minute.
    fn pump(pipes: [OwnedFd; 2], linger: Timespec) -> usize {
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            let dir = tempfile::tempdir().expect("temp dir");
            let path = dir.path().join(records::SPOOL);
            let shim = shim(dir.path());
            let spool = Writer::open(&path, 1, Overflow::Drop).expect("spool");
            let (mut child, handle) = ended();
            let [out, err] = pipes;
            let pipes = vec![(Stream::Out, out), (Stream::Err, err)];
            let mut pump = Pump::new(pipes, Sink::Spool(spool), &shim).expect("pump");
            pump.linger = linger;
            pump.run(&handle).expect("run");
            child.wait().expect("reap");
            let mut reader = Reader::open(&path, 0).expect("reader");
            let lines = std::iter::from_fn(|| reader.next_record().expect("read")).count();
            done.send(lines).expect("send");
        });
        wait.recv_timeout(Duration::from_secs(60)).expect("the pump comes to an end")
    }

    const FOR_EVER: Timespec = Timespec { tv_sec: 1 << 30, tv_nsec: 0 };

    #[test]
    fn closed_pipes_are_the_end() {
        let ((out, out_end), (err, err_end)) = (pipe().expect("pipe"), pipe().expect("pipe"));
        rustix::io::write(&out_end, b"last\nwords").expect("write");
        drop((out_end, err_end));
        assert_eq!(pump([out, err], FOR_EVER), 2);
    }

    #[test]
    fn a_pipe_that_someone_holds_open_is_not_waited_for_for_ever() {
        let ((out, out_end), (err, _)) = (pipe().expect("pipe"), pipe().expect("pipe"));
        rustix::io::write(&out_end, b"last\n").expect("write");
        assert_eq!(pump([out, err], Timespec { tv_sec: 0, tv_nsec: 1 }), 1);
    }
}
