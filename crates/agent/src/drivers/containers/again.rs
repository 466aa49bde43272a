//! Containers that may be started again: after their end they are held, with address, ports, root and output,
//! until it is said what becomes of them.

use super::{Containers, Error, Status};
use crate::drivers::records::{Exit, Outcome};
use crate::drivers::spec::ContainerId;
use tokio::sync::oneshot;

/// What becomes of a container that is held.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Told once the container is at [`Status::Created`] again.
    Restart(oneshot::Sender<()>),
    LetGo,
}

impl Containers {
    /// Starts a held container again; returns when its process runs, or has run already.
    ///
    /// # Errors
    /// [`Error::NotHeld`]; [`Error::Start`] with the runtime's complaint, after which it is held again.
    pub async fn restart(&self, id: &ContainerId) -> Result<Status, Error> {
        let entry = self.entry(id)?;
        let mut status = entry.status.clone();
        let (begun, beginning) = oneshot::channel();
        if !matches!(*status.borrow(), Status::Halted(_)) || entry.verdicts.send(Verdict::Restart(begun)).is_err() {
            return Err(Error::NotHeld(id.clone()));
        }
        let gone = || Error::Start("the agent is shutting down".to_owned());
        beginning.await.map_err(|_| gone())?;
        let reached = status.wait_for(|status| *status != Status::Created).await.map_err(|_| gone())?.clone();
        match reached {
            Status::Halted(Exit { outcome: Outcome::NotStarted { message }, .. }) => Err(Error::Start(message)),
            other => Ok(other),
        }
    }

    /// Frees what a held container holds; it is then over for good. No error for one that is over already.
    ///
    /// # Errors
    /// [`Error::Unknown`]
    pub async fn let_go(&self, id: &ContainerId) -> Result<(), Error> {
        let entry = self.entry(id)?;
        if matches!(*entry.status.borrow(), Status::Halted(_)) {
            // One that nobody follows any more is let go by that.
            _ = entry.verdicts.send(Verdict::LetGo);
            let mut status = entry.status.clone();
            // An error means that nobody follows it, again.
            drop(status.wait_for(|status| matches!(status, Status::Exited(_))).await);
        }
        Ok(())
    }
}
