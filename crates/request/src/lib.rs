//! An operation's life without HTTP: begin, authorise, run, audit, commit.
//!
//! Every commit of the system goes through here: from the gateway, the
//! registry and the control loops alike. This room does not know sockets,
//! headers or which operations exist; the gateway's table tells it.

mod audit;
mod cx;
mod entry;
mod errors;
mod hosts;
mod list;
mod requests;

pub use audit::Call;
pub use cx::{Caller, Cx, Installation, Open};
pub use entry::{ChecksOf, Entry, Flow, FlowStep, Kind, ReadStep, TxStep, checks_of, flow_step, read_step, tx_step};
pub use errors::{denied, unavailable};
pub use hosts::{Hosts, reachable};
pub use list::List;
pub use requests::{Clock, Parts, Requests};

/// What an operation's `checks` answer.
pub type Checks = Result<Vec<auth::Check>, base::ApiError>;
