//! What the agent keeps on disk beside its containers:
//!
//! | path under the data folder | content |
//! |---|---|
//! | `node.json` | [`Node`]: which container instance we are |
//! | `tasks/<task id>/task.json` | a [`Task`], until its end was acknowledged, and what was not told of its story when it was written |
//! | `tasks/<task id>/<runtime id>.logs` | how far the container's output was shipped, see [`crate::logs`] |
//!
//! Everything here blocks.

use crate::drivers::files::{Durable, read_json, replace_json};
use crate::task::Task;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wire::acs::TaskEvent;

const NODE: &str = "node.json";
const TASKS: &str = "tasks";
const TASK: &str = "task.json";

/// Who this machine is to the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The cluster's name.
    pub cluster: String,
    pub container_instance_arn: String,
}

/// A task's file: the task, and beside its members the untold part of its story.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    task: &'a Task,
    story: &'a [TaskEvent],
}

#[derive(Default, Deserialize)]
struct Untold {
    #[serde(default)]
    story: Vec<TaskEvent>,
}

/// What a task's file holds.
///
/// # Errors
/// Never, with the types as they are.
pub fn bytes(task: &Task, story: &[TaskEvent]) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Written { task, story })
}

/// The data folder's own part of the files above.
#[derive(Clone, Debug)]
pub struct Saved {
    data: PathBuf,
}

impl Saved {
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(data: &Path) -> io::Result<Self> {
        fs::create_dir_all(data.join(TASKS))?;
        Ok(Self { data: data.to_owned() })
    }

    pub fn node(&self) -> io::Result<Option<Node>> {
        read_json(&self.data.join(NODE))
    }

    pub fn set_node(&self, node: &Node) -> io::Result<()> {
        replace_json(&self.data.join(NODE), node, Durable::Yes)?;
        sync_dir(&self.data)
    }

    /// Every saved task. A file that a power failure cut off is of an order that was never
    /// acknowledged: it is passed over, and the order comes again.
    pub fn tasks(&self) -> io::Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for entry in fs::read_dir(self.data.join(TASKS))? {
            let path = entry?.path().join(TASK);
            match read_json(&path) {
                Ok(task) => tasks.extend(task),
                Err(error) if error.kind() == io::ErrorKind::InvalidData || is_cut_off(&error) => {
                    tracing::warn!(path = %path.display(), %error, "a task's file was never completed");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(tasks)
    }

    /// What was not told of a saved task's story when its file was written; some of it may have been told since.
    pub fn story(&self, id: &str) -> io::Result<Vec<TaskEvent>> {
        Ok(read_json::<Untold>(&self.dir(id).join(TASK))?.unwrap_or_default().story)
    }

    /// Writes a new task where it survives this process. [`Saved::sync_new`] makes it survive the machine.
    pub fn note(&self, id: &str, task: &[u8]) -> io::Result<()> {
        let dir = self.dir(id);
        match fs::create_dir(&dir) {
            // Left by a file that was cut off.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        fs::write(dir.join(TASK), task)
    }

    pub fn sync_new(&self, id: &str) -> io::Result<()> {
        let dir = self.dir(id);
        File::open(dir.join(TASK))?.sync_all()?;
        sync_dir(&dir)?;
        sync_dir(&self.data.join(TASKS))
    }

    /// Replaces a task's file, all or nothing, and synced.
    pub fn replace(&self, id: &str, task: &[u8]) -> io::Result<()> {
        let dir = self.dir(id);
        let staged = dir.join("task.new");
        fs::write(&staged, task)?;
        File::open(&staged)?.sync_all()?;
        fs::rename(&staged, dir.join(TASK))?;
        sync_dir(&dir)
    }

    /// Removes a task with all that was kept of it; no error when there is none.
    pub fn forget(&self, id: &str) -> io::Result<()> {
        crate::drivers::files::absent_is_fine(fs::remove_dir_all(self.dir(id)))
    }

    /// Removes every task's folder.
    pub fn forget_all(data: &Path) -> io::Result<()> {
        crate::drivers::files::absent_is_fine(fs::remove_dir_all(data.join(TASKS)))
    }

    /// Where the shipping of a container's output notes how far it is.
    pub fn shipping(&self, id: &str, runtime_id: &str) -> PathBuf {
        self.dir(id).join(format!("{runtime_id}.logs"))
    }

    /// `id` is a task id, which the reader of orders has checked.
    fn dir(&self, id: &str) -> PathBuf {
        self.data.join(TASKS).join(id)
    }
}

/// serde's word for a text that ends too early, as an I/O error.
fn is_cut_off(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::TaskOrder;
    use crate::task::Desired;

    fn task(arn: &str) -> Task {
        Task::new(TaskOrder { arn: arn.to_owned(), ..TaskOrder::default() }.into(), Vec::new())
    }

    #[test]
    fn tasks_come_back_until_they_are_forgotten() {
        let dir = tempfile::tempdir().expect("temp dir");
        let saved = Saved::open(dir.path()).expect("open");
        let mut first = task("task/c/1");
        let story = [TaskEvent { text: Some("untold".to_owned()), ..TaskEvent::default() }];
        saved.note("1", &bytes(&first, &story).expect("json")).expect("noted");
        assert_eq!(saved.tasks().expect("read"), [first.clone()]);
        assert_eq!(saved.story("1").expect("read"), story);
        saved.sync_new("1").expect("synced");
        first.desired = Desired::Stopped;
        saved.replace("1", &serde_json::to_vec(&first).expect("json")).expect("replaced");
        assert_eq!(Saved::open(dir.path()).expect("open").tasks().expect("read"), [first]);
        assert_eq!(saved.story("1").expect("read"), []);
        saved.forget("1").expect("forgotten");
        saved.forget("1").expect("forgotten twice");
        assert_eq!(saved.tasks().expect("read"), []);
    }

    #[test]
    fn an_order_that_was_cut_off_is_passed_over_and_taken_again() {
        let dir = tempfile::tempdir().expect("temp dir");
        let saved = Saved::open(dir.path()).expect("open");
        let whole = serde_json::to_vec(&task("task/c/1")).expect("json");
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            saved.note("1", &whole[..cut]).expect("noted");
            assert_eq!(saved.tasks().expect("read"), [], "{cut}");
        }
        saved.note("1", &whole).expect("noted again");
        assert_eq!(saved.tasks().expect("read").len(), 1);
    }

    #[test]
    fn the_node_is_remembered() {
        let dir = tempfile::tempdir().expect("temp dir");
        let saved = Saved::open(dir.path()).expect("open");
        assert_eq!(saved.node().expect("read"), None);
        let node = Node { cluster: "default".to_owned(), container_instance_arn: "arn".to_owned() };
        saved.set_node(&node).expect("written");
        assert_eq!(saved.node().expect("read"), Some(node));
    }
}
