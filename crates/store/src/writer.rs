//! The two threads behind a store.
//!
//! The writer owns the head and runs transactions on it one by one, without waiting for the disk.
//! The committer owns the engine: it takes whatever transactions have run while it was busy, keeps
//! them as one batch, and only then publishes, feeds and answers. While another server leads it
//! shows what that one commits instead.
//!
//! A load begins an epoch. What ran on the head of an earlier one is refused when it arrives, so
//! neither thread waits for the other.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::engine::{Batch, Engine, Followed, Standing, Write};
use crate::feed::FeedItem;
use crate::row::TableInfo;
use crate::tx::Sealed;
use crate::{Change, Commit, Committed, EngineError, Role, StoreError, TransactError, Tx, View};

/// Transactions that wait to be run; more wait in their callers. Ours.
pub(crate) const WAITING_MAX: usize = 1_024;

/// Transactions that may run ahead of the disk. Ours.
pub(crate) const AHEAD_MAX: usize = 256;

/// How often an idle leader asks its engine whether it still leads. Ours.
const LEAD_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a follower waits for a batch before it looks whether it is wanted otherwise. Ours.
const FOLLOW_WAIT: Duration = Duration::from_millis(100);

/// What all handles of a store see. Durable things only.
pub(crate) struct Shared {
    pub view: ArcSwap<View>,
    pub feed: broadcast::Sender<FeedItem>,
    pub role: watch::Sender<Role>,
}

impl Shared {
    fn epoch(&self) -> Result<u64, StoreError> {
        self.role.borrow().epoch()
    }

    /// The view first, so that whoever hears of the change finds it there.
    fn show(&self, view: View, item: FeedItem) {
        self.view.store(Arc::new(view));
        // Without readers there is nobody to tell.
        let _ = self.feed.send(item);
    }
}

/// What the writer is asked for.
pub(crate) enum Job {
    Run(Box<dyn Transaction>),
    Reload(ReloadAnswer),
}

pub(crate) type ReloadAnswer = oneshot::Sender<Result<(), StoreError>>;

/// What the committer is asked for.
pub(crate) enum Work {
    Keep(Executed),
    Reload(ReloadAnswer),
}

/// A transaction of any answer type.
pub(crate) trait Transaction: Send {
    fn run(self: Box<Self>, head: &Head) -> Executed;
    fn refuse(self: Box<Self>, why: StoreError);
}

/// What transactions run on.
pub(crate) struct Head {
    epoch: u64,
    view: View,
}

/// A transaction that ran, until it is durable. One that changed nothing, or was refused, waits as
/// well: what it saw has to be durable before it is told.
pub(crate) struct Executed {
    epoch: u64,
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
    fn run(self: Box<Self>, head: &Head) -> Executed {
        let Self { run, answer } = *self;
        let ran = catch_unwind(AssertUnwindSafe(|| run_and_seal(&head.view, run)));
        let ran = ran.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic)).into()));
        let (sealed, outcome) = match ran {
            Ok((sealed, value)) => (sealed, Ok(Committed { value, version: 0 })),
            Err(error) => (Sealed::nothing(&head.view), Err(error)),
        };
        let Sealed { view, changes, writes } = sealed;
        let version = view.version();
        let outcome = outcome.map(|committed| Committed { version, ..committed });
        // A caller that went away wants no answer.
        let answer = Box::new(move |durable: Result<(), StoreError>| {
            let _ = answer.send(durable.map_err(TransactError::Store).and(outcome));
        });
        Executed { epoch: head.epoch, view, changes, writes, answer }
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
pub(crate) fn write(mut jobs: mpsc::Receiver<Job>, work: &SyncSender<Work>, shared: &Shared) {
    let mut head: Option<Head> = None;
    while let Some(job) = jobs.blocking_recv() {
        let work_item = match job {
            Job::Reload(answer) => Work::Reload(answer),
            Job::Run(transaction) => match shared.epoch() {
                Err(why) => {
                    transaction.refuse(why);
                    continue;
                }
                Ok(epoch) => {
                    let current = head.take().filter(|head| head.epoch == epoch);
                    // Nothing of a new epoch has run yet, so its head is what the load showed.
                    let current = current.unwrap_or_else(|| Head { epoch, view: View::clone(&shared.view.load()) });
                    let executed = transaction.run(&current);
                    head = Some(Head { epoch, view: executed.view.clone() });
                    Work::Keep(executed)
                }
            },
        };
        // Without a committer the answer is dropped, which its caller sees.
        let _ = work.send(work_item);
    }
}

/// For callers whose thread died without an answer.
pub(crate) fn gone() -> StoreError {
    StoreError::Gone
}

pub(crate) struct Committer<N> {
    engine: N,
    tables: BTreeMap<u16, TableInfo>,
    /// Did not fit into the last batch.
    postponed: Option<Work>,
}

/// What the committer does next.
enum Next {
    Work(Work),
    Follow,
    End,
}

impl<N: Engine> Committer<N> {
    /// Loads for the first time.
    pub fn open(engine: N, tables: BTreeMap<u16, TableInfo>) -> Result<(Self, View, Role), StoreError> {
        let mut committer = Self { engine, tables, postponed: None };
        let (view, role) = committer.load()?;
        Ok((committer, view, role))
    }

    fn load(&mut self) -> Result<(View, Role), StoreError> {
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
        let role = match loaded.standing {
            Standing::Leads { term, epoch } => Role::Leading { term, epoch },
            Standing::Follows { leader } => Role::Following { leader: leader.map(Into::into) },
        };
        Ok((view, role))
    }

    /// Works until the writer is gone.
    pub fn commit(mut self, work: &Receiver<Work>, shared: &Shared) {
        loop {
            match self.next(work, shared) {
                Next::Work(first) => self.turn(first, work, shared),
                Next::Follow => self.follow(shared),
                Next::End => return,
            }
        }
    }

    fn next(&mut self, work: &Receiver<Work>, shared: &Shared) -> Next {
        if let Some(postponed) = self.postponed.take() {
            return Next::Work(postponed);
        }
        let role = shared.role.borrow().clone();
        let next = match role {
            Role::Leading { .. } => work.recv_timeout(LEAD_CHECK_INTERVAL),
            Role::Stopped { .. } => work.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Role::Following { .. } => work.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
        };
        match next {
            Ok(item) => Next::Work(item),
            Err(RecvTimeoutError::Timeout) => Next::Follow,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    fn turn(&mut self, first: Work, work: &Receiver<Work>, shared: &Shared) {
        let (group, reload) = self.gather(first, work);
        if !group.is_empty() {
            self.keep(group, shared);
        }
        if let Some(answer) = reload {
            // Whoever asked may have gone away.
            let _ = answer.send(self.reload(shared));
        }
    }

    /// What waits, up to a reload or what the engine takes at once.
    fn gather(&mut self, first: Work, work: &Receiver<Work>) -> (Vec<Executed>, Option<ReloadAnswer>) {
        let limits = self.engine.limits();
        let (mut group, mut writes, mut bytes) = (Vec::new(), 0, 0);
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Reload(answer) => return (group, Some(answer)),
                Work::Keep(executed) => {
                    writes += executed.writes.len();
                    bytes += executed.writes.iter().map(Write::bytes).sum::<usize>();
                    if !group.is_empty() && (writes > limits.writes || bytes > limits.bytes) {
                        self.postponed = Some(Work::Keep(executed));
                        break;
                    }
                    group.push(executed);
                }
            }
            next = work.try_recv().ok();
        }
        (group, None)
    }

    fn keep(&mut self, mut group: Vec<Executed>, shared: &Shared) {
        let current = shared.epoch();
        let (mut fresh, stale): (Vec<_>, Vec<_>) =
            group.drain(..).partition(|ran| matches!(&current, Ok(epoch) if *epoch == ran.epoch));
        let outdated = current.map_or_else(|why| why, |_| StoreError::Stopped("its rows were loaded again".into()));
        for executed in stale {
            (executed.answer)(Err(outdated.clone()));
        }
        let kept = self.write(&mut fresh, shared);
        if kept.is_ok() {
            publish(&mut fresh, shared);
        }
        for executed in fresh {
            (executed.answer)(kept.clone());
        }
    }

    fn write(&mut self, group: &mut [Executed], shared: &Shared) -> Result<(), StoreError> {
        let writes: Vec<Write> = group.iter_mut().flat_map(|executed| std::mem::take(&mut executed.writes)).collect();
        let Some(last) = group.last().filter(|_| !writes.is_empty()) else { return Ok(()) };
        let batch = Batch { epoch: last.epoch, version: last.view.version(), writes };
        guarded(|| self.engine.commit(&batch)).map_err(|error| self.stop(&error, shared))
    }

    fn stop(&self, error: &dyn std::fmt::Display, shared: &Shared) -> StoreError {
        tracing::error!(%error, "the store stops writing");
        let why: Arc<str> = error.to_string().into();
        shared.role.send_replace(Role::Stopped { why: why.clone(), may_be_old: self.engine.is_shared() });
        StoreError::Stopped(why)
    }

    /// Goes back to what is durable.
    fn reload(&mut self, shared: &Shared) -> Result<(), StoreError> {
        if !matches!(*shared.role.borrow(), Role::Stopped { .. }) {
            return Ok(());
        }
        self.load_and_show(shared)
    }

    fn load_and_show(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let (view, role) = self.load()?;
        shared.show(view, FeedItem::Reloaded);
        shared.role.send_replace(role);
        Ok(())
    }

    /// Takes what another server did; a leader only learns whether it still leads.
    fn follow(&mut self, shared: &Shared) {
        let follows = matches!(*shared.role.borrow(), Role::Following { .. });
        let wait = if follows { FOLLOW_WAIT } else { Duration::ZERO };
        let outcome = match guarded(|| self.engine.follow(wait)) {
            Ok(Followed::Nothing) => Ok(()),
            Ok(Followed::Batch(batch)) => apply(&batch, shared),
            Ok(Followed::Load) => self.load_and_show(shared),
            Err(error) => Err(StoreError::Engine(Arc::new(error))),
        };
        if let Err(error) = outcome {
            self.stop(&error, shared);
        }
    }
}

/// Shows another server's batch as one commit.
fn apply(batch: &Batch, shared: &Shared) -> Result<(), StoreError> {
    let mut view = View::clone(&shared.view.load());
    let mut changes = Vec::with_capacity(batch.writes.len());
    for write in &batch.writes {
        changes.push(Change::apply(&mut view, write)?);
    }
    view.set_version(batch.version);
    shared.show(view, FeedItem::Commit(Arc::new(Commit { version: batch.version, changes })));
    Ok(())
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
