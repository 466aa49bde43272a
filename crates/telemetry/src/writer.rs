//! The one thread that changes the store.

use crate::drops::Drops;
use crate::limits::{COMMIT_BYTES_MAX, QUEUE_APPENDS_MAX, QUEUE_BYTES_MAX};
use crate::spaces::Spaces;
use crate::stage::Stage;
use crate::{TelemetryError, keys, rows};
use fjall::PersistMode;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Stages a change, and gives what answers its caller once the commit is over.
type Work = Box<dyn FnOnce(&mut Stage) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), TelemetryError>) + Send>;

struct Request {
    bytes: usize,
    work: Work,
}

/// The callers' end. Dropping it lets what was submitted finish, then ends the thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Request>>,
    /// Bytes that may still be queued.
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(spaces: &Spaces) -> Result<Self, TelemetryError> {
        let next_number = match spaces.catalog.get(keys::counter())? {
            Some(row) => rows::decode(&row)?,
            None => 1,
        };
        let (queue, requests) = mpsc::channel(QUEUE_APPENDS_MAX);
        let run = Run { spaces: spaces.clone(), requests, next_number, drops: Drops::new() };
        let thread = std::thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(move || run.run())
            .map_err(|error| TelemetryError::Storage(Arc::new(error.into())))?;
        Ok(Self { queue: Some(queue), room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)), thread: Some(thread) })
    }

    /// Runs `work` in the next commit and answers once it is on the disk. Waits while the queue is
    /// full. A caller that goes away takes nothing back.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&mut Stage) -> Result<T, TelemetryError> + Send + 'static,
    ) -> Result<T, TelemetryError> {
        let queue = self.queue.as_ref().ok_or(TelemetryError::Stopped)?;
        let permits = u32::try_from(bytes.clamp(1, QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let permit = self.room.clone().acquire_many_owned(permits).await.map_err(|_| TelemetryError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |stage| {
            let done = work(stage);
            Box::new(move |committed| {
                drop(permit);
                // Fails only for a caller that has gone away.
                let _ = reply.send(committed.and(done));
            })
        });
        queue.send(Request { bytes, work }).await.map_err(|_| TelemetryError::Stopped)?;
        answer.await.map_err(|_| TelemetryError::Stopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the telemetry writer panicked: restart Longshore, and report what it printed");
        }
    }
}

struct Run {
    spaces: Spaces,
    requests: mpsc::Receiver<Request>,
    next_number: u64,
    drops: Drops,
}

impl Run {
    /// Commits what is submitted and works on drops between commits, until the callers' end goes.
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(first) => self.commit(first),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            self.step_drops();
        }
    }

    /// Waits for a request, unless there is a drop to work on.
    fn next(&mut self) -> Result<Request, TryRecvError> {
        if self.drops.pending {
            self.requests.try_recv()
        } else {
            self.requests.blocking_recv().ok_or(TryRecvError::Disconnected)
        }
    }

    /// Commits a request together with those that wait: one batch, one sync, then the answers.
    fn commit(&mut self, first: Request) {
        let mut stage = Stage::new(&self.spaces, &mut self.next_number);
        let mut bytes = first.bytes;
        let mut answers = vec![(first.work)(&mut stage)];
        while bytes < COMMIT_BYTES_MAX
            && let Ok(Request { bytes: more, work }) = self.requests.try_recv()
        {
            bytes += more;
            answers.push(work(&mut stage));
        }
        self.drops.pending |= stage.drops;
        let committed = stage.commit(PersistMode::SyncData);
        answers.into_iter().for_each(|answer| answer(committed.clone()));
    }

    fn step_drops(&mut self) {
        if !self.drops.pending {
            return;
        }
        if let Err(error) = self.drops.step(&self.spaces, &mut self.next_number) {
            self.drops.pending = false;
            tracing::error!(%error, "deleted or expired events keep their space until the next start");
        }
    }
}
