//! A container's standard streams: pipes, or a terminal.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::drivers::files::absent_is_fine;
use crate::drivers::records::ContainerRecord;
use crate::drivers::spool::Stream;

/// Where the runtime hands over the terminal that it made.
const CONSOLE: &str = "console";

/// The runtime's ends, until it has made the container.
pub(super) enum Theirs {
    Pipes {
        /// None: nothing to read.
        stdin: Option<OwnedFd>,
        out: OwnedFd,
        err: OwnedFd,
    },
    Terminal(Console),
}

/// What the shim keeps.
#[derive(Default)]
pub(super) struct Ours {
    pub outputs: Vec<(Stream, OwnedFd)>,
    /// Of an input that stays open: closed, it would end.
    _stdin: Option<OwnedFd>,
}

/// A socket on which the runtime sends a terminal, which docs/terminals.md of runc calls `--console-socket`.
pub(super) struct Console {
    listener: UnixListener,
    /// Keeps the paths below alive.
    folder: File,
}

/// Both ends for the container whose directory is `dir`.
pub(super) fn pair(record: &ContainerRecord, dir: &Path) -> io::Result<(Ours, Theirs)> {
    if record.terminal {
        return Ok((Ours::default(), Theirs::Terminal(Console::open(dir)?)));
    }
    let (out, out_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (err, err_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let input = record.stdin_open.then(|| pipe_with(PipeFlags::CLOEXEC)).transpose()?;
    let (stdin_end, kept) = input.unzip();
    let ours = Ours { outputs: vec![(Stream::Out, out), (Stream::Err, err)], _stdin: kept };
    Ok((ours, Theirs::Pipes { stdin: stdin_end, out: out_end, err: err_end }))
}

impl Theirs {
    /// Gives the runtime's `create` its ends, which the command then owns.
    pub fn attach(self, create: &mut Command) -> Option<Console> {
        match self {
            Self::Pipes { stdin, out, err } => {
                create.stdin(stdin.map_or_else(Stdio::null, Stdio::from)).stdout(out).stderr(err);
                None
            }
            Self::Terminal(console) => {
                create.arg("--console-socket").arg(console.path(std::process::id().into()));
                create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                Some(console)
            }
        }
    }
}

impl Console {
    fn open(dir: &Path) -> io::Result<Self> {
        absent_is_fine(fs::remove_file(dir.join(CONSOLE)))?;
        let folder = File::open(dir)?;
        // The directory's own path may be longer than a socket's may be.
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{CONSOLE}", folder.as_raw_fd()))?;
        Ok(Self { listener, folder })
    }

    fn path(&self, pid: i64) -> String {
        format!("/proc/{pid}/fd/{}/{CONSOLE}", self.folder.as_raw_fd())
    }

    /// The terminal's master, once the runtime has made the container: it was sent before.
    pub fn receive(self) -> io::Result<OwnedFd> {
        self.listener.set_nonblocking(true)?;
        let (stream, _) = self.listener.accept()?;
        receive(&stream)
    }
}

fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // Beside it comes the terminal's name, of no use here.
    let mut name = [0; 64];
    recvmsg(stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sent = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    sent.ok_or_else(|| io::Error::other("the runtime sent no terminal"))
}

impl Ours {
    /// What a terminal shows is its standard output; errors are not told apart.
    pub fn with_terminal(master: OwnedFd) -> Self {
        Self { outputs: vec![(Stream::Out, master)], _stdin: None }
    }
}
