//! Following one container: from what its shim writes and whether it lives, to its status.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};

use super::Status;
use super::again::Verdict;
use super::shim_process::{ShimCommand, ShimProcess};
use crate::drivers::files::absent_is_fine;
use crate::drivers::network::Network;
use crate::drivers::records::{BEGUN, ContainerRecord, EXIT, Exit, Outcome, STARTED, Started, WAKE};
use crate::drivers::spec::ContainerId;
use crate::drivers::{Error, now};

/// How often clearing up after a dead shim is tried before the container is given up as it is.
const RECOVERIES_MAX: u32 = 3;

/// What others see of a container that is followed.
pub(super) struct Seen {
    pub status: watch::Receiver<Status>,
    pub stirred: watch::Receiver<u64>,
    pub over: watch::Receiver<bool>,
    pub verdicts: mpsc::UnboundedSender<Verdict>,
}

pub(super) struct Follower {
    id: ContainerId,
    dir: PathBuf,
    shim_command: ShimCommand,
    network: Arc<Network>,
    status: watch::Sender<Status>,
    stirred: watch::Sender<u64>,
    over: watch::Sender<bool>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
    /// It is held at its end.
    restartable: bool,
}

impl Follower {
    pub fn new(id: &ContainerId, dir: &Path, shim_command: &ShimCommand, network: &Arc<Network>) -> (Self, Seen) {
        let (stirred, seen_stirred) = watch::channel(0);
        let (over, seen_over) = watch::channel(false);
        let (say_verdict, verdicts) = mpsc::unbounded_channel();
        let restartable = ContainerRecord::read(dir).ok().flatten().is_some_and(|record| record.restartable);
        let held = Exit::read(dir).ok().flatten().filter(|_| restartable).map(Status::Halted);
        let (status, seen_status) = watch::channel(held.unwrap_or_else(|| running_or_created(dir)));
        let (id, dir, shim_command, network) = (id.clone(), dir.to_owned(), shim_command.clone(), network.clone());
        let follower = Self { id, dir, shim_command, network, status, stirred, over, verdicts, restartable };
        (follower, Seen { status: seen_status, stirred: seen_stirred, over: seen_over, verdicts: say_verdict })
    }

    /// Follows the container to its end, however often it is started again.
    pub async fn follow(mut self, shim: Option<ShimProcess>) {
        self.follow_once(shim).await;
        loop {
            let held = match &*self.status.borrow() {
                Status::Halted(exit) => Some(exit.clone()),
                _ => None,
            };
            let Some(exit) = held else { break };
            match self.verdicts.recv().await {
                Some(Verdict::Restart(begun)) => self.again(begun).await,
                Some(Verdict::LetGo) | None => self.publish_exit(exit).await,
            }
        }
        let _nobody_asks = self.over.send(true);
    }

    /// From start to end, and a shim that dies before it with another that clears up.
    async fn follow_once(&self, shim: Option<ShimProcess>) {
        match shim {
            Some(shim) => self.follow_shim(&shim).await,
            // It may have recorded the container's end before it went.
            None => self.look().await,
        }
        for _ in 0..RECOVERIES_MAX {
            if self.is_over() || !self.dir.join(BEGUN).exists() {
                break;
            }
            tracing::warn!(container = %self.id, "the container's shim died; clearing up after it");
            match self.shim_command.spawn(&self.dir) {
                Ok(mut shim) => {
                    drop(shim.start_word.take());
                    self.follow_shim(&shim).await;
                }
                Err(error) => tracing::error!(container = %self.id, %error, "no shim to clear up"),
            }
        }
        self.give_up().await;
    }

    /// A new shim for a held container, whose last one has ended.
    async fn again(&self, begun: oneshot::Sender<()>) {
        let forgotten = self.forget_end().map_err(Error::io("forget the container's last end"));
        let spawned = forgotten.and_then(|()| self.shim_command.spawn(&self.dir));
        self.status.send_replace(Status::Created);
        let _nobody_waits = begun.send(());
        match spawned {
            Ok(mut shim) => {
                // A shim that died meanwhile is reported by the status.
                let _broken = shim.start_word.take().map(|mut word| word.write_all(b"!"));
                self.follow_once(Some(shim)).await;
            }
            Err(error) => {
                let outcome = Outcome::NotStarted { message: error.to_string() };
                self.ended(Exit { outcome, oom_killed: false, started_at: None, ended_at: now() }).await;
            }
        }
    }

    fn forget_end(&self) -> io::Result<()> {
        // The end itself last: an agent that takes over in between finds the container held.
        [STARTED, BEGUN, EXIT].iter().try_for_each(|file| absent_is_fine(fs::remove_file(self.dir.join(file))))
    }

    async fn follow_shim(&self, shim: &ShimProcess) {
        let wake = self.open_wake().inspect_err(|error| {
            tracing::error!(container = %self.id, %error, "the container's FIFO is gone: its output comes late");
        });
        let wake = wake.ok();
        self.look().await;
        loop {
            tokio::select! {
                () = shim.ended() => break,
                () = woken(wake.as_ref()) => self.look().await,
            }
        }
        self.look().await;
    }

    /// Publishes what the shim has written since the last look.
    async fn look(&self) {
        match Exit::read(&self.dir) {
            Ok(Some(exit)) if !self.is_over() => self.ended(exit).await,
            Err(error) => tracing::warn!(container = %self.id, %error, "the exit record cannot be read"),
            Ok(_) if *self.status.borrow() == Status::Created => {
                let _same = self.status.send_if_modified(|status| {
                    *status = running_or_created(&self.dir);
                    *status != Status::Created
                });
            }
            Ok(_) => {}
        }
        self.stirred.send_modify(|count| *count += 1);
    }

    async fn ended(&self, exit: Exit) {
        if self.restartable {
            self.status.send_replace(Status::Halted(exit));
        } else {
            self.publish_exit(exit).await;
        }
    }

    /// Whoever sees the container exited may count on its host ports being free. Its link takes longer to go.
    async fn publish_exit(&self, exit: Exit) {
        let unpublished = self.network.unpublish(&self.id).await;
        self.status.send_replace(Status::Exited(exit));
        if let Err(error) = unpublished.and(self.network.detach(&self.id).await) {
            tracing::warn!(container = %self.id, %error, "the container's network could not be freed");
        }
    }

    /// The end for a container whose shim ended without recording one.
    async fn give_up(&self) {
        if self.is_over() {
            return;
        }
        let outcome = if self.dir.join(BEGUN).exists() {
            let message = "the container's shim process died, and the container could not be cleared up; \
                           see its directory's runtime.log";
            Outcome::Lost { message: message.to_owned() }
        } else {
            Outcome::NotStarted {
                message: "the container's shim process ended before the container was started".into(),
            }
        };
        let started_at = Started::read(&self.dir).ok().flatten().map(|started| started.at);
        let exit = Exit { outcome, oom_killed: false, started_at, ended_at: now() };
        if let Err(error) = exit.write(&self.dir) {
            tracing::warn!(container = %self.id, %error, "the container's end could not be recorded");
        }
        self.ended(exit).await;
        self.stirred.send_modify(|count| *count += 1);
    }

    fn is_over(&self) -> bool {
        matches!(*self.status.borrow(), Status::Exited(_) | Status::Halted(_))
    }

    /// Opened for both, a FIFO never ends, whoever else has it open.
    fn open_wake(&self) -> io::Result<pipe::Receiver> {
        pipe::OpenOptions::new().read_write(true).open_receiver(self.dir.join(WAKE))
    }
}

fn running_or_created(dir: &Path) -> Status {
    match Started::read(dir) {
        Ok(Some(started)) => Status::Running { pid: started.init.pid, since: started.at },
        _ => Status::Created,
    }
}

/// Returns after the FIFO had something, which is then drained.
async fn woken(wake: Option<&pipe::Receiver>) {
    let Some(wake) = wake else { return std::future::pending().await };
    if wake.readable().await.is_err() {
        return std::future::pending().await;
    }
    // Until it would block; the bytes mean nothing.
    while wake.try_read(&mut [0; 256]).is_ok() {}
}
