//! Copying a container's output from its pipes into the spool until the container has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::Shim;
use super::lines::Lines;
use crate::drivers::now;
use crate::drivers::spool::{READ_BYTES_MAX, Stream, Writer};

/// How often a full spool is looked at again: 20 ms.
const FULL_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How long a pipe may stay open after the container ended, when some process outside holds it: 500 ms.
const LINGER: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

struct Source {
    stream: Stream,
    /// None once it has ended.
    pipe: Option<OwnedFd>,
    lines: Lines,
}

pub(super) struct Pump<'a> {
    sources: [Source; 2],
    spool: Writer,
    shim: &'a Shim,
    buffer: Vec<u8>,
}

impl<'a> Pump<'a> {
    /// `pipes` are the reading ends of standard output and standard error.
    pub(super) fn new(pipes: [OwnedFd; 2], spool: Writer, shim: &'a Shim) -> io::Result<Self> {
        for pipe in &pipes {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        let [out, err] = pipes;
        let source = |stream, pipe| Source { stream, pipe: Some(pipe), lines: Lines::default() };
        let sources = [source(Stream::Out, out), source(Stream::Err, err)];
        Ok(Self { sources, spool, shim, buffer: vec![0; READ_BYTES_MAX] })
    }

    /// Returns when `container` (a pidfd) has ended and all it said is in the spool.
    pub(super) fn run(mut self, container: &OwnedFd) -> io::Result<()> {
        while !self.wait(Some(container))? {
            self.copy()?;
        }
        self.spool.last_words();
        while self.sources.iter().any(|source| source.pipe.is_some()) {
            if !self.copy()? && self.wait(None)? {
                break;
            }
        }
        for source in &mut self.sources {
            if let Some(rest) = source.lines.finish() {
                self.spool.push(now(), source.stream, &rest, false)?;
            }
        }
        self.spool.finish(now())?;
        self.shim.wake_agent();
        Ok(())
    }

    /// Waits for output. True when there will be none: the container has ended, or, without one to watch, all
    /// pipes have, or nothing came for [`LINGER`].
    fn wait(&mut self, container: Option<&OwnedFd>) -> io::Result<bool> {
        let full = container.is_some() && !self.spool.accepts_more()?;
        let open = self.sources.iter().filter_map(|source| source.pipe.as_ref()).filter(|_| !full);
        let watched = container.into_iter().chain(open);
        let mut polled: Vec<PollFd<'_>> =
            watched.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        if polled.is_empty() {
            return Ok(true);
        }
        let limit = if full { Some(&FULL_WAIT) } else { container.is_none().then_some(&LINGER) };
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
            if !self.spool.accepts_more()? {
                break;
            }
            let Some(pipe) = &source.pipe else { continue };
            match rustix::io::read(pipe, &mut self.buffer[..]) {
                Ok(0) => source.pipe = None,
                Ok(count) => {
                    let (at, stream, spool) = (now(), source.stream, &mut self.spool);
                    source.lines.feed(&self.buffer[..count], |line, partial| spool.push(at, stream, line, partial))?;
                    any = true;
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if any {
            self.spool.flush();
            self.shim.wake_agent();
        }
        Ok(any)
    }
}
