use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::feed::FEED_COMMITS_MAX;
use crate::writer::{self, AHEAD_MAX, Committer, Job, Pending, Shared, WAITING_MAX};
use crate::{Engine, Feed, Role, Schema, StoreError, TransactError, Tx, View};

/// A handle to the rows; clones are the same store. When the last one and the last [`Feed`] are
/// dropped, the transactions taken so far are finished and the engine is closed, on that thread.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// In the order of dropping: without `jobs` the threads end, and are waited for.
struct Inner {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    _threads: Threads,
}

/// The answer of a transaction that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<R> {
    pub value: R,
    /// The version that it made, or saw where it changed nothing.
    pub version: u64,
}

impl Store {
    /// Loads every row.
    ///
    /// # Errors
    /// When tables share a kind, or the engine's rows are not all readable as the schema's tables.
    pub fn open(schema: Schema, engine: impl Engine) -> Result<Self, StoreError> {
        let (committer, view, role) = Committer::open(engine, schema.by_kind()?)?;
        let shared = Arc::new(Shared {
            view: ArcSwap::from_pointee(view),
            feed: broadcast::Sender::new(FEED_COMMITS_MAX),
            role: watch::Sender::new(role),
        });
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (work, ahead) = sync_channel(AHEAD_MAX);
        let mut threads = Threads::default();
        let seen = shared.clone();
        threads.spawn("store-commit", move || committer.commit(&ahead, &seen))?;
        let seen = shared.clone();
        threads.spawn("store-write", move || writer::write(waiting, &work, &seen))?;
        Ok(Self { inner: Arc::new(Inner { jobs, shared, _threads: threads }) })
    }

    /// The newest durable version. Never waits.
    pub fn view(&self) -> View {
        View::clone(&self.inner.shared.view.load())
    }

    /// Runs `run` on the newest version there is, after every transaction before it, and answers
    /// once that is durable and seen in [`Store::view`]. An error of `run` keeps nothing of it, and
    /// is answered once what it saw is durable. A transaction goes on when its caller goes away.
    ///
    /// # Errors
    /// `run`'s own as [`TransactError::Refused`]; the store's, among them a transaction over
    /// [`CHANGED_ROWS_MAX`](crate::CHANGED_ROWS_MAX) or [`CHANGED_BYTES_MAX`](crate::CHANGED_BYTES_MAX).
    pub async fn transact<R, E>(
        &self,
        run: impl FnOnce(&mut Tx) -> Result<R, E> + Send + 'static,
    ) -> Result<Committed<R>, TransactError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Job::Run(Box::new(Pending { run, answer }));
        self.inner.jobs.send(job).await.map_err(|_| writer::gone())?;
        answered.await.unwrap_or_else(|_| Err(writer::gone().into()))
    }

    /// The commits from now on. Subscribe first and then take a view, and nothing is missed between.
    pub fn subscribe(&self) -> Feed {
        Feed::new(self.inner.shared.feed.subscribe(), self.clone())
    }

    /// What the store can do. A follower takes over by itself when the leader is gone, and every feed
    /// is then told that it lagged.
    pub fn role(&self) -> Role {
        self.inner.shared.role.borrow().clone()
    }

    /// Waits until the store has a role that `wanted` holds of, and answers it.
    pub async fn wait_role(&self, wanted: impl Fn(&Role) -> bool) -> Role {
        let mut role = self.inner.shared.role.subscribe();
        loop {
            let now = role.borrow_and_update().clone();
            if wanted(&now) {
                return now;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = role.changed().await;
        }
    }

    /// Why the store stopped, if so: a batch failed or the lead was lost, and every transaction is
    /// answered with [`StoreError::Stopped`] until [`Store::reload`] succeeds. Views still show what
    /// was durable.
    pub fn failed(&self) -> Option<Arc<str>> {
        match self.role() {
            Role::Stopped { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Waits until the store has stopped, and answers why.
    pub async fn wait_failed(&self) -> Arc<str> {
        match self.wait_role(|role| matches!(role, Role::Stopped { .. })).await {
            Role::Stopped { why, .. } => why,
            _ => Arc::default(),
        }
    }

    /// Loads the rows again after a failure and writes on, or follows if another server leads by now.
    /// The batch that failed may turn out to have been kept: then it is in the view, and every feed
    /// is told that it lagged. Does nothing unless the store stopped.
    ///
    /// # Errors
    /// When the rows cannot be loaded; it may be asked again.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.inner.jobs.send(Job::Reload(answer)).await.map_err(|_| writer::gone())?;
        answered.await.unwrap_or_else(|_| Err(writer::gone()))
    }
}

/// Threads that are waited for when dropped.
#[derive(Default)]
struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.0.push(thread.map_err(|error| StoreError::Thread(Arc::new(error)))?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let here = std::thread::current().id();
        // The last handle may go inside a transaction; a thread cannot wait for itself.
        if self.0.iter().any(|thread| thread.thread().id() == here) {
            return;
        }
        for thread in self.0.drain(..) {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}
