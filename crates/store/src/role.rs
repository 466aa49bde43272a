use std::sync::Arc;

use crate::StoreError;

/// What a store can do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Transactions.
    Leading {
        /// Another one after each time that another server may have led.
        term: u64,
        /// Another one after each load.
        epoch: u64,
    },
    /// Views of what another server commits, which serves at this address if it is known.
    Following { leader: Option<Arc<str>> },
    /// Views of what was durable, until a reload.
    Stopped {
        why: Arc<str>,
        /// Another server may lead by now, so views may be old.
        may_be_old: bool,
    },
}

impl Role {
    /// The epoch to run transactions in.
    ///
    /// # Errors
    /// Why no transaction is taken.
    pub(crate) fn epoch(&self) -> Result<u64, StoreError> {
        match self {
            Self::Leading { epoch, .. } => Ok(*epoch),
            Self::Following { leader } => Err(StoreError::Following { leader: leader.clone() }),
            Self::Stopped { why, .. } => Err(StoreError::Stopped(why.clone())),
        }
    }

    /// Whether views show the newest durable state there is.
    ///
    /// # Errors
    /// Why they may not: ask the server that leads.
    pub fn current(&self) -> Result<(), StoreError> {
        match self {
            Self::Stopped { may_be_old: false, .. } => Ok(()),
            _ => self.epoch().map(|_| ()),
        }
    }
}
