//! Shipping a container's output to CloudWatch Logs, as Docker's `awslogs` driver does.
//!
//! ```text
//! spool -> batch: [from, to) of the spool --noted--> PutLogEvents --noted--> spool gives the room back
//! ```
//!
//! A batch is a stretch of the spool, noted with a number before it is sent. After kill -9 the same
//! stretch is read again and sent under the same number (`x-longshore-batch`), which the control plane
//! stores once. Nothing is synced: the spool's writer does not outlive a power failure either.
//!
//! What a batch leaves begun, lines of either stream and an event of several lines, is noted with it before the
//! spool's room is given back, so that neither is lost with the process.

mod batch;
mod lines;
mod multiline;
mod ship;
#[cfg(test)]
mod tests;

pub use ship::{Destination, Shipper, Trouble, open_stream};

/// An event as PutLogEvents takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    pub message: String,
}
