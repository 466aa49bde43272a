//! The two threads behind a store.
//!
//! The writer owns the head and runs transactions on it one by one, without waiting for the disk.
//! The committer owns the engine: it takes whatever transactions have run while it was busy, keeps
//! them as one batch, and only then publishes, feeds and answers.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::engine::{Batch, Engine, Write};
use crate::feed::FeedItem;
use crate::row::TableInfo;
use crate::tx::Sealed;
use crate::{Change, Commit, Committed, EngineError, StoreError, TransactError, Tx, View};

/// Transactions that wait to be run; more wait in their callers. Ours.
pub(crate) const WAITING_MAX: usize = 1_024;

/// Transactions that may run ahead of the disk. Ours.
pub(crate) const AHEAD_MAX: usize = 256;

/// Bytes after which a batch takes no further transaction. Ours: a large sync stays well under a
/// second on a disk of 100 MB/s.
const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// What all handles of a store see. Durable things only.
pub(crate) struct Shared {
    pub view: ArcSwap<View>,
    pub feed: broadcast::Sender<FeedItem>,
    /// Why the store does not write.
    pub failure: watch::Sender<Option<Arc<str>>>,
}

impl Shared {
    fn stopped(&self) -> Option<StoreError> {
        self.failure.borrow().clone().map(StoreError::Stopped)
    }
}

/// What the writer is asked for.
pub(crate) enum Job {
    Run(Box<dyn Transaction>),
    Reload(oneshot::Sender<Result<(), StoreError>>),
}

/// What the committer is asked for.
pub(crate) enum Work {
    Keep(Executed),
    Reload(SyncSender<Result<View, StoreError>>),
}

/// A transaction of any answer type.
pub(crate) trait Transaction: Send {
    fn run(self: Box<Self>, head: &View) -> Executed;
    fn refuse(self: Box<Self>, why: StoreError);
}

/// A transaction that ran, until it is durable. One that changed nothing, or was refused, waits as
/// well: what it saw has to be durable before it is told.
pub(crate) struct Executed {
    view: View,
    changes: Vec<Change>,
    writes: Vec<Write>,
    answer: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

pub(crate) struct Pending<F, R, E> {
    pub run: F,
    pub answer: oneshot::Sender<Result<Committed<R>, TransactError<E>>>,
}

impl<F, R, E> Transaction for Pending<F, R, E>
where
    F: FnOnce(&mut Tx) -> Result<R, E> + Send,
    R: Send + 'static,
    E: Send + 'static,
{
    fn run(self: Box<Self>, head: &View) -> Executed {
        let Self { run, answer } = *self;
        let ran = catch_unwind(AssertUnwindSafe(|| run_and_seal(head, run)));
        let ran = ran.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic)).into()));
        let (sealed, outcome) = match ran {
            Ok((sealed, value)) => (sealed, Ok(Committed { value, version: 0 })),
            Err(error) => (Sealed::nothing(head), Err(error)),
        };
        let Sealed { view, changes, writes } = sealed;
        let version = view.version();
        let outcome = outcome.map(|committed| Committed { version, ..committed });
        // A caller that went away wants no answer.
        let answer = Box::new(move |durable: Result<(), StoreError>| {
            let _ = answer.send(durable.map_err(TransactError::Store).and(outcome));
        });
        Executed { view, changes, writes, answer }
    }

    fn refuse(self: Box<Self>, why: StoreError) {
        let _ = self.answer.send(Err(why.into()));
    }
}

fn run_and_seal<R, E>(head: &View, run: impl FnOnce(&mut Tx) -> Result<R, E>) -> Result<(Sealed, R), TransactError<E>> {
    let mut tx = Tx::begin(head);
    let value = run(&mut tx).map_err(TransactError::Refused)?;
    Ok((tx.seal()?, value))
}

/// Runs jobs until every handle of the store is gone.
pub(crate) fn write(mut jobs: mpsc::Receiver<Job>, mut head: View, work: &SyncSender<Work>, shared: &Shared) {
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Reload(answer) => {
                let _ = answer.send(reload(work).map(|view| head = view));
            }
            Job::Run(transaction) => match shared.stopped() {
                Some(why) => transaction.refuse(why),
                None => {
                    let executed = transaction.run(&head);
                    head = executed.view.clone();
                    // Without a committer the answer is dropped, which its caller sees.
                    let _ = work.send(Work::Keep(executed));
                }
            },
        }
    }
}

fn reload(work: &SyncSender<Work>) -> Result<View, StoreError> {
    let (answer, answered) = sync_channel(1);
    let _ = work.send(Work::Reload(answer));
    answered.recv().unwrap_or_else(|_| Err(gone()))
}

/// For callers whose thread died without an answer.
pub(crate) fn gone() -> StoreError {
    StoreError::Stopped("its thread ended, see the log".into())
}

pub(crate) struct Committer<N> {
    engine: N,
    tables: BTreeMap<u16, TableInfo>,
    epoch: u64,
}

impl<N: Engine> Committer<N> {
    /// Loads for the first time.
    pub fn open(engine: N, tables: BTreeMap<u16, TableInfo>) -> Result<(Self, View), StoreError> {
        let mut committer = Self { engine, tables, epoch: 0 };
        let view = committer.load()?;
        Ok((committer, view))
    }

    fn load(&mut self) -> Result<View, StoreError> {
        let mut view = View::empty(&self.tables);
        let mut damage = Ok(());
        let loaded = guarded(|| {
            self.engine.load(&mut |row| {
                if damage.is_ok() {
                    damage = view.load(row.kind, row.key, row.value);
                }
            })
        });
        let loaded = loaded.map_err(|error| StoreError::Engine(Arc::new(error)))?;
        damage?;
        view.set_version(loaded.version);
        self.epoch = loaded.epoch;
        Ok(view)
    }

    /// Works until the writer is gone.
    pub fn commit(mut self, work: &Receiver<Work>, shared: &Shared) {
        while let Ok(first) = work.recv() {
            let (group, reload) = gather(first, work);
            if !group.is_empty() {
                self.keep(group, shared);
            }
            if let Some(answer) = reload {
                let _ = answer.send(self.reload(shared));
            }
        }
    }

    fn keep(&mut self, mut group: Vec<Executed>, shared: &Shared) {
        let kept = shared.stopped().map_or_else(|| self.write(&mut group, shared), Err);
        if kept.is_ok() {
            publish(&mut group, shared);
        }
        for executed in group {
            (executed.answer)(kept.clone());
        }
    }

    fn write(&mut self, group: &mut [Executed], shared: &Shared) -> Result<(), StoreError> {
        let writes: Vec<Write> = group.iter_mut().flat_map(|executed| std::mem::take(&mut executed.writes)).collect();
        let Some(last) = group.last().filter(|_| !writes.is_empty()) else { return Ok(()) };
        let batch = Batch { epoch: self.epoch, version: last.view.version(), writes };
        guarded(|| self.engine.commit(&batch)).map_err(|error| {
            tracing::error!(%error, version = batch.version, "a batch was not kept: the store stops writing");
            let why: Arc<str> = error.to_string().into();
            shared.failure.send_replace(Some(why.clone()));
            StoreError::Stopped(why)
        })
    }

    /// Goes back to what is durable. The writer waits for it, so nothing runs meanwhile.
    fn reload(&mut self, shared: &Shared) -> Result<View, StoreError> {
        if shared.stopped().is_none() {
            return Ok(View::clone(&shared.view.load()));
        }
        let view = self.load()?;
        shared.view.store(Arc::new(view.clone()));
        // Without readers there is nobody to tell.
        let _ = shared.feed.send(FeedItem::Reloaded);
        shared.failure.send_replace(None);
        Ok(view)
    }
}

/// What waits, up to a reload or the size of a batch.
fn gather(first: Work, work: &Receiver<Work>) -> (Vec<Executed>, Option<SyncSender<Result<View, StoreError>>>) {
    let mut group = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(item) = next {
        match item {
            Work::Reload(answer) => return (group, Some(answer)),
            Work::Keep(executed) => {
                bytes += executed.writes.iter().map(Write::bytes).sum::<usize>();
                group.push(executed);
            }
        }
        next = if bytes < BATCH_BYTES_MAX { work.try_recv().ok() } else { None };
    }
    (group, None)
}

/// Shows the group's changes: first in the view, so that a reader of the feed finds them there.
fn publish(group: &mut [Executed], shared: &Shared) {
    if let Some(last) = group.last() {
        shared.view.store(Arc::new(last.view.clone()));
    }
    for executed in group.iter_mut().filter(|executed| !executed.changes.is_empty()) {
        let (version, changes) = (executed.view.version(), std::mem::take(&mut executed.changes));
        let _ = shared.feed.send(FeedItem::Commit(Arc::new(Commit { version, changes })));
    }
}

/// An engine that panics has failed, and is loaded again like any other.
fn guarded<R>(call: impl FnOnce() -> Result<R, EngineError>) -> Result<R, EngineError> {
    let panicked = |panic: Box<dyn Any + Send>| Err(EngineError::Storage(format!("panicked: {}", panic_text(&*panic))));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

fn panic_text(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").into()
}
