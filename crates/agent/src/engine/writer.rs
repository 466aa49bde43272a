//! The one writer of tasks' files. What waits is written together; the latest of a task counts.

use crate::backoff::Backoff;
use crate::machine::Event;
use crate::order::id_of;
use crate::saved::Saved;
use base::is_disk_full;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pauses between attempts on a disk that is full or broken.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a new task waits for room on the disk: as long as the node takes to see that it has to make some.
const ROOM_WAIT: Duration = Duration::from_secs(30);
/// Most that is written together.
const BATCH_MAX: usize = 64;

/// What is to be done on disk; `task` is an ARN.
#[derive(Clone, Debug)]
pub enum Work {
    Write { task: String, bytes: Vec<u8>, revision: u64 },
    Forget { task: String },
}

#[derive(Clone)]
pub struct Writer {
    saved: Saved,
    /// Tasks that have a file.
    known: BTreeSet<String>,
    events: mpsc::UnboundedSender<Event>,
}

impl Writer {
    pub fn new(saved: Saved, known: BTreeSet<String>, events: mpsc::UnboundedSender<Event>) -> Self {
        Self { saved, known, events }
    }

    /// Works until nobody can ask any more.
    pub async fn run(mut self, mut works: mpsc::UnboundedReceiver<Work>) {
        let mut waiting = Vec::new();
        while works.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            let mut batch = latest(waiting.drain(..));
            let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
            let begun = Instant::now();
            while let Err(error) = self.write(&batch).await {
                tracing::error!(%error, "tasks cannot be written; trying again");
                if is_disk_full(&error) && begun.elapsed() >= ROOM_WAIT {
                    self.give_up(&batch, &error);
                }
                backoff.wait().await;
                // What came meanwhile counts: nobody needs what was given up.
                let newer = std::iter::from_fn(|| works.try_recv().ok());
                batch.append(&mut latest(newer));
            }
            for (task, work) in batch {
                match work {
                    Work::Write { .. } => self.known.insert(task),
                    Work::Forget { .. } => self.known.remove(&task),
                };
            }
        }
    }

    /// Says of each new task that there is no room for it.
    fn give_up(&self, batch: &BTreeMap<String, Work>, error: &io::Error) {
        for work in batch.values() {
            if let Work::Write { task, .. } = work
                && !self.known.contains(task)
            {
                self.tell(Event::Unwritable { task: task.clone(), why: error.to_string() });
            }
        }
    }

    async fn write(&self, batch: &BTreeMap<String, Work>) -> io::Result<()> {
        // Blocking work owns what it works on; a batch is small.
        let (writer, batch) = (self.clone(), batch.values().cloned().collect::<Vec<_>>());
        let written = tokio::task::spawn_blocking(move || writer.write_all(&batch));
        written.await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    /// What goes makes room. New orders are noted before anything is synced: their containers wait for no more.
    fn write_all(&self, batch: &[Work]) -> io::Result<()> {
        for work in batch {
            if let Work::Forget { task } = work {
                self.saved.forget(id_of(task))?;
            }
        }
        for work in batch {
            if let Work::Write { task, bytes, .. } = work
                && !self.known.contains(task)
            {
                self.saved.note(id_of(task), bytes)?;
                self.tell(Event::Noted { task: task.clone() });
            }
        }
        for work in batch {
            if let Work::Write { task, bytes, revision } = work {
                match self.known.contains(task) {
                    true => self.saved.replace(id_of(task), bytes)?,
                    false => self.saved.sync_new(id_of(task))?,
                }
                self.tell(Event::Persisted { task: task.clone(), revision: *revision });
            }
        }
        Ok(())
    }

    fn tell(&self, event: Event) {
        // Without an engine nobody needs to know.
        _ = self.events.send(event);
    }
}

impl Work {
    fn task(&self) -> &str {
        match self {
            Self::Write { task, .. } | Self::Forget { task } => task,
        }
    }
}

fn latest(works: impl Iterator<Item = Work>) -> BTreeMap<String, Work> {
    works.map(|work| (work.task().to_owned(), work)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(works: Vec<Work>) -> (Vec<String>, bool) {
        let dir = tempfile::tempdir().expect("temp dir");
        let saved = Saved::open(dir.path()).expect("open");
        let (events, mut told) = mpsc::unbounded_channel();
        let (sender, receiver) = mpsc::unbounded_channel();
        works.into_iter().for_each(|work| sender.send(work).expect("a receiver"));
        drop(sender);
        Writer::new(saved, BTreeSet::new(), events).run(receiver).await;
        let mut shown = Vec::new();
        while let Some(event) = told.recv().await {
            shown.push(match event {
                Event::Noted { .. } => "noted".to_owned(),
                Event::Persisted { revision, .. } => format!("persisted {revision}"),
                other => panic!("{other:?}"),
            });
        }
        (shown, dir.path().join("tasks/1/task.json").exists())
    }

    fn write(revision: u64) -> Work {
        Work::Write { task: "task/c/1".to_owned(), bytes: b"{}".to_vec(), revision }
    }

    #[tokio::test]
    async fn the_latest_of_a_task_is_noted_then_synced() {
        assert_eq!(written(vec![write(1)]).await, (vec!["noted".to_owned(), "persisted 1".to_owned()], true));
        assert_eq!(written(vec![write(1), write(2)]).await, (vec!["noted".to_owned(), "persisted 2".to_owned()], true));
        let forget = Work::Forget { task: "task/c/1".to_owned() };
        assert_eq!(written(vec![write(1), forget]).await, (Vec::new(), false));
    }
    #[tokio::test(start_paused = true)]
    async fn a_new_task_that_finds_no_room_is_given_up_and_can_be_forgotten() {
        let dir = tempfile::tempdir().expect("temp dir");
        let saved = Saved::open(dir.path()).expect("open");
        let task = dir.path().join("tasks/1");
        std::fs::create_dir(&task).expect("made");
        std::os::unix::fs::symlink("/dev/full", task.join("task.json")).expect("linked");
        let (events, mut told) = mpsc::unbounded_channel();
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(write(1)).expect("a receiver");
        let begun = Instant::now();
        let writer = tokio::spawn(Writer::new(saved, BTreeSet::new(), events).run(receiver));
        match told.recv().await {
            Some(Event::Unwritable { task, why }) if task == "task/c/1" => {
                assert!(why.contains("No space left"), "{why}")
            }
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() >= ROOM_WAIT);
        sender.send(Work::Forget { task: "task/c/1".to_owned() }).expect("a receiver");
        drop(sender);
        writer.await.expect("it ends");
        assert!(!task.exists());
    }
}
