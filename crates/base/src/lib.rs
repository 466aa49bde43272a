//! What every room may use: ids, ARNs, time, names, secrets, API errors.
//!
//! No async and no I/O live here; the one door to the operating system is
//! [`OsSecrets`], which only shells construct. This room does not know any AWS
//! service, table or protocol.

mod arn;
mod error;
mod names;
mod principal;
mod sealed;
mod secrets;
mod time;

pub use arn::{Arn, ArnError};
pub use error::{ApiError, Fault};
pub use names::Names;
pub use principal::Principal;
pub use sealed::{MASTER_KEY_LEN, MasterKey, SealError, Sealed};
pub use secrets::{OsSecrets, Secrets};
pub use time::Timestamp;

/// The only partition an installation has; AWS's other partitions differ in ARNs alone.
pub const PARTITION: &str = "aws";

/// True for what a disk says that has no room: the same may do once somebody has made some.
pub fn is_disk_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// True for a twelve-digit account id.
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}
